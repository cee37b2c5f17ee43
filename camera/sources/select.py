"""`source_for`: which source a user means. Any thread; opens nothing, and imports a source only when it is chosen."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from camera.errors import SettingError
from camera.redact import lacks_scheme, redact

if TYPE_CHECKING:
    from camera.sources import Source, Wanted

HINT: Final = (
    "give auto, pattern, a device (0, /dev/video0, /dev/v4l/by-id/…), an address (http://…, rtsp://…), "
    "a video or picture file, or a folder of pictures"
)


def source_for(spec: str, wanted: Wanted) -> Source:
    """The source that `spec` means, not opened yet.

        auto                             the first camera there is, else the test pattern
        pattern                          the test pattern
        0, /dev/video0, /dev/v4l/by-id/… a device
        http://… https://…               MJPEG or a still, passed through untouched; anything else through FFmpeg
        rtsp://… rtmp://… srt://… …      whatever FFmpeg opens
        a path                           a video or picture file, or a folder of pictures, looped

    A path need not exist yet: what is missing or unreadable is reported when the source is opened, and tried again.
    Raises `SettingError` for what can be none of these.
    """
    text = spec.strip()
    if text == "auto":
        from camera.sources.device import Auto

        return Auto(wanted)
    if text == "pattern":
        from camera.sources.pattern import Pattern

        return Pattern(wanted)
    if re.fullmatch(r"[0-9]+", text) or text.startswith("/dev/"):
        from camera.sources.device import Device

        return Device(text, wanted)
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/{0,2}", text)
    if scheme and scheme[0].endswith("://"):
        return _address(text, scheme[1].lower(), wanted)
    # What may not be asked for, or cannot be, counts as missing here: opening it tells why.
    path = Path(os.path.expanduser(text))  # noqa: PTH111 - Path raises for a user that there is not
    exists = os.path.exists(path)  # noqa: PTH110 - Path raises where one may not look
    if lacks_scheme(text) and not exists:
        raise SettingError(
            f"source: {redact(text)!r} has no scheme: put http:// or rtsp:// before an address, ./ before a file"
        )
    # A word alone is more often a misspelt kind of source than a file that is still to come.
    if not text or "\0" in text or not (exists or "/" in text or path.suffix):
        raise SettingError(f"source: {redact(text)!r} is not a source and there is no such file; {HINT}")
    from camera.sources.file import FileSource

    return FileSource(path, wanted)


def _address(url: str, scheme: str, wanted: Wanted) -> Source:
    if scheme == "file":
        from urllib.parse import unquote, urlsplit

        from camera.sources.file import FileSource

        try:
            path = unquote(urlsplit(url).path)
        except ValueError:
            path = ""
        if not path or "\0" in path:
            raise SettingError(f"source: {redact(url)!r} names no file: write file:///folder/file")
        return FileSource(Path(path), wanted)
    if scheme in ("http", "https"):
        from camera.sources.network import HttpSource

        return HttpSource(url, wanted)
    from camera.sources.ffmpeg import FfmpegSource

    return FfmpegSource(url, wanted)
