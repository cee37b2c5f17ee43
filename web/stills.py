"""`vedette snapshot`: one still from a camera into a file, without a server. Runs on the main thread."""

from __future__ import annotations

import os
import secrets
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from camera.errors import SettingError, VedetteError
from web.cameras import make_camera

if TYPE_CHECKING:
    from web.settings import CameraSettings

_STOP_WITHIN: Final = 3.0
"""Seconds that a camera may take to close before the process ends without it."""


def take(settings: CameraSettings, file: str, *, timeout: float) -> None:
    """Open the camera, write its first settled picture to `file` (`-`: standard output) and close it.

    Raises `FrameTimeout` when none came within `timeout` seconds, `SettingError` for a place that cannot be written.
    """
    if file == "-" and sys.stdout.isatty():
        raise SettingError("-: a picture is no text for a terminal; redirect it or name a file")
    if file != "-" and not Path(file).absolute().parent.is_dir():
        raise SettingError(f"{file}: there is no folder {Path(file).parent}")
    if Path(file).is_dir():
        raise SettingError(f"{file}: is a folder; name a file in it")
    camera = make_camera(settings)
    camera.start()
    try:
        picture = camera.wait_frame(timeout=timeout, settled=True).jpeg
        _write(picture, file)
    except VedetteError as error:
        if not camera.stop(_STOP_WITHIN):
            print(f"vedette: {error}", file=sys.stderr, flush=True)  # noqa: T201 - the process ends on the next line
            _end(1)
        raise
    if not camera.stop(_STOP_WITHIN):
        _end(0)


def _end(code: int) -> None:
    """End the process while its capture thread hangs in a driver: tearing Python down beneath it would crash."""
    sys.stdout.flush()
    os._exit(code)


def _write(picture: bytes, file: str) -> None:
    """Write `picture` so that a reader of `file` sees the old one or the new one, whole."""
    try:
        if file == "-":
            sys.stdout.buffer.write(picture)
            sys.stdout.buffer.flush()
            return
        # A link is followed; a device or a pipe is written to, where replacing it would make it a file.
        path = Path(os.path.realpath(file))
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            path.write_bytes(picture)
            return
        beside = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}")
        try:
            with beside.open("xb") as stream:
                stream.write(picture)
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise VedetteError(f"{file}: cannot write the picture: {error.strerror}") from None
