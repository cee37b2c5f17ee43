"""`vedette snapshot`: one still from a camera into a file, without a server. Runs on the main thread."""

from __future__ import annotations

import logging
import os
import secrets
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from camera.errors import FrameTimeout, SettingError, SourceError, VedetteError
from camera.state import State
from web.cameras import make_camera

if TYPE_CHECKING:
    from camera.camera import Camera
    from camera.frame import Frame
    from web.settings import CameraSettings

_STOP_WITHIN: Final = 3.0
"""Seconds that a camera may take to close before the process ends without it."""

_INTERRUPTED_WITHIN: Final = 0.5
"""The same after Ctrl-C: whoever presses it is waiting."""


def take(settings: CameraSettings, file: str, *, timeout: float) -> str:
    """Open the camera, write its first settled picture to `file` (`-`: standard output) and close it.

    Returns what a user should know about the picture, or nothing. Raises `SourceError` when the camera cannot be
    opened, `FrameTimeout` when no picture came within `timeout` seconds, `SettingError` for a file that cannot be
    meant. Should the driver hang, the process ends here: Python must not be torn down beneath a running thread.
    """
    _check(file)
    # What the capture thread would tell the log of a server is told by the error that ends this command.
    logging.getLogger("vedette").setLevel(logging.ERROR)
    camera = make_camera(settings)
    camera.start()
    try:
        picture = _first_picture(camera, timeout)
        _write(picture, file)
    except VedetteError as error:
        if not camera.stop(_STOP_WITHIN):
            _end(f"vedette: {error}", 1)
        raise
    except KeyboardInterrupt:
        if not camera.stop(_INTERRUPTED_WITHIN):
            _end("", 130)
        raise
    notice = camera.mode.notice if camera.mode else ""
    if not camera.stop(_STOP_WITHIN):
        _end(f"vedette: {notice}" if notice else "", 0)
    return notice


def _check(file: str) -> None:
    """Refuse a place that cannot be written before the camera is opened for it."""
    if file == "-":
        if sys.stdout.isatty():
            raise SettingError("-: a picture is no text for a terminal; redirect it or name a file")
        return
    path = Path(file)
    try:
        if not path.absolute().parent.is_dir():
            raise SettingError(f"{file}: there is no folder {path.parent}")
        if path.is_dir():
            raise SettingError(f"{file}: is a folder; name a file in it")
    except OSError as error:
        raise SettingError(f"{file}: cannot write the picture there: {error.strerror}") from None


def _first_picture(camera: Camera, timeout: float) -> bytes:
    """The first settled JPEG; a camera that cannot be opened is not waited for, since nobody plugs it in meanwhile."""
    deadline = time.monotonic() + timeout
    seen = 0

    def telling(frame: Frame) -> bool:
        return frame.sequence > seen and (frame.settled or not frame.live)

    with camera.watch():
        while (left := deadline - time.monotonic()) > 0:
            # Before the wait: a camera that need not be asked for may have been lost already. During the wait a
            # placeholder is published as soon as it is, so waiting for any frame sees that too.
            status = camera.status
            if status.state is State.LOST:
                raise SourceError(status.reason)
            frame = camera.buffer.wait(telling, left)
            if frame is not None and frame.live:
                return frame.jpeg
            if frame is not None:
                seen = frame.sequence
    raise FrameTimeout(f"{camera.name}: no picture within {timeout:g} seconds, the camera is {camera.status.state}")


def _end(sentence: str, code: int) -> NoReturn:
    """End the process although its capture thread hangs."""
    if sentence:
        sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
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
        beside = path.with_name(f".vedette-{secrets.token_hex(8)}")
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
