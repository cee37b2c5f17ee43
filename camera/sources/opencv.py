"""OpenCV as sources use it: silent, and given nothing to decode that is too large. On the capture thread."""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, Final

from camera.errors import SourceUnusable
from camera.limits import excess, size_of

if TYPE_CHECKING:
    from camera.sources import Image


_PNG: Final = b"\x89PNG\r\n\x1a\n"
_NEEDED: Final = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"eXIf"})


def silence() -> None:
    """Have OpenCV and its FFmpeg write nothing to stderr from now on: what goes wrong is said in an error."""
    # FFmpeg asks for it once; whoever wants to see its many lines sets it before.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def decoded(data: bytes, name: str) -> Image:
    """The picture in `data`, which is no JPEG; `name` is what messages call where it is from.

    Raises `SourceUnusable` for what is damaged, of no known format, or larger than `camera.limits` allows.
    """
    import cv2
    import numpy as np

    size = size_of(data)
    if size is None:
        raise SourceUnusable(f"{name} gives no picture that can be read")
    too_large = excess(*size)
    if too_large:
        raise SourceUnusable(f"{name} gives a picture that is too large: {too_large}")
    if data.startswith(_PNG):
        data = _bare_png(data)
    silence()
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error:
        image = None
    if image is None:
        raise SourceUnusable(f"{name} gives no picture that can be read")
    found: Image = image.astype(np.uint8, copy=False)
    return found


def _bare_png(data: bytes) -> bytes:
    """The chunks of a PNG (ISO/IEC 15948, 5.3) that its picture needs; empty when one of them is damaged or missing.

    libpng writes its complaints to stderr by itself, whatever OpenCV was told: about sums that are wrong, and about
    colour profiles, which OpenCV makes no use of. So it is given nothing to complain of.
    """
    pieces = [_PNG]
    position = len(_PNG)
    while True:
        length, name = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        end = position + 12 + length
        if end > len(data):
            return b""
        if name in _NEEDED:
            if zlib.crc32(data[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
                return b""
            pieces.append(data[position:end])
        if name == b"IEND":
            return b"".join(pieces)
        position = end
