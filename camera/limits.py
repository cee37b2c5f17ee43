"""How large a picture may be, and how large one says it is before anything is decoded. Pure functions of bytes.

A header of a few bytes can claim any size, and decoders take the memory first and look at the data afterwards: a PNG
of 31 KB with 16000 x 16000 pixels costs 1.5 GB. OpenCV has limits of its own, but reads them once, when it is loaded,
and a program may have loaded it before us; so the header is read here. What is no known format is not decoded.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_PIXELS: Final = 50_000_000
"""Of one picture: 8000 x 6000, the largest mode of webcams that can be bought, and 150 MB decoded."""

_NUMBERS: Final = rb"(?:\s|#[^\n]*\n)+([0-9]{1,9})"
_PNM: Final = re.compile(rb"P[1-6]" + _NUMBERS + _NUMBERS + rb"\s")
_RADIANCE: Final = re.compile(rb"\n[+-]Y +([0-9]{1,9}) +[+-]X +([0-9]{1,9})\n")
_ISPE: Final = re.compile(rb"ispe\0{4}(.{4})(.{4})", re.DOTALL)
"""ImageSpatialExtentsProperty, ISO/IEC 23008-12, 6.5.3: width and height."""
_SIZ: Final = re.compile(rb"\xff\x4f\xff\x51.{4}(.{4})(.{4})", re.DOTALL)
"""The image and tile size segment of a JPEG 2000 code stream, ITU-T T.800, A.5.1."""
_TIFF_WIDTHS: Final = frozenset({256, 322})
_TIFF_HEIGHTS: Final = frozenset({257, 323})
"""Tags of the picture and of its tiles (TIFF 6.0): each is memory that the decoder takes."""
_TIFF_TYPES: Final = {1: "B", 3: "H", 4: "I"}

Size = tuple[int, int]
"""Width and height in pixels."""


def excess(width: int, height: int) -> str:
    """What is wrong with a picture of this size in pixels: empty when it is not too large."""
    if width * height <= MAX_PIXELS:
        return ""
    return f"{width} x {height} pixels are more than {MAX_PIXELS // 1_000_000} megapixels"


def size_of(data: bytes) -> Size | None:
    """The size that the header of a picture gives; None for what is no picture of a kind that is known here.

    Knows PNG, BMP, GIF, WebP, TIFF, AVIF, JPEG 2000, Radiance HDR and the PNM family.
    """
    for signature, read in _READERS:
        if signature.match(data):
            try:
                return read(data)
            except (struct.error, IndexError):
                return None
    return None


def _png(data: bytes) -> Size | None:
    width, height = struct.unpack_from(">II", data, 16)
    return (width, height) if data[12:16] == b"IHDR" else None


def _gif(data: bytes) -> Size:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _bmp(data: bytes) -> Size:
    old = struct.unpack_from("<I", data, 14)[0] == 12  # noqa: PLR2004 - the size of BITMAPCOREHEADER
    width, height = struct.unpack_from("<HH" if old else "<ii", data, 18)
    return abs(width), abs(height)  # a negative height says that the first line is the topmost


def _webp(data: bytes) -> Size | None:
    """RFC 9649: the canvas of the extended format, or the size of the only picture."""
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _tiff(data: bytes) -> Size | None:
    """The first directory, which is what OpenCV shows; of what is there twice, the larger."""
    order = "<" if data[0] == ord("I") else ">"
    start = struct.unpack_from(order + "I", data, 4)[0]
    count = struct.unpack_from(order + "H", data, start)[0]
    width = height = 0
    for at in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(order + "HH", data, at)
        if tag in _TIFF_WIDTHS or tag in _TIFF_HEIGHTS:
            if kind not in _TIFF_TYPES:
                return None
            value = struct.unpack_from(order + _TIFF_TYPES[kind], data, at + 8)[0]
            width, height = max(width, value * (tag in _TIFF_WIDTHS)), max(height, value * (tag in _TIFF_HEIGHTS))
    return (width, height) if width and height else None


def _pnm(data: bytes) -> Size | None:
    found = _PNM.match(data)
    return (int(found[1]), int(found[2])) if found else None


def _radiance(data: bytes) -> Size | None:
    found = _RADIANCE.search(data)
    return (int(found[2]), int(found[1])) if found else None


def _largest(pattern: re.Pattern[bytes]) -> Callable[[bytes], Size | None]:
    """Of all sizes in a file of boxes in boxes: pictures in parts have several, and the whole is the largest."""

    def read(data: bytes) -> Size | None:
        sizes = [
            (int.from_bytes(width, "big"), int.from_bytes(height, "big")) for width, height in pattern.findall(data)
        ]
        return max(sizes, key=lambda size: size[0] * size[1], default=None)

    return read


_READERS: Final[tuple[tuple[re.Pattern[bytes], Callable[[bytes], Size | None]], ...]] = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), _png),
    (re.compile(rb"GIF8[79]a"), _gif),
    (re.compile(rb"BM"), _bmp),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), _webp),
    (re.compile(rb"II\*\0|MM\0\*"), _tiff),
    (re.compile(rb".{4}ftyp", re.DOTALL), _largest(_ISPE)),
    (re.compile(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"), _largest(_SIZ)),
    (re.compile(rb"#\?(?:RADIANCE|RGBE)"), _radiance),
    (re.compile(rb"P[1-6]"), _pnm),
)
