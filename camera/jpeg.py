"""JPEG files as bytes: the structural check and the repair of what a camera sends, encoding and decoding.

Frames that are passed through untouched come unchecked from the camera, so each is walked once: `Checker`
is what stands between a damaged USB transfer and every viewer. Runs on the capture thread, for each frame.
`camera.segments` knows the segments; the Huffman tables here are those of annex K.3 of ITU-T T.81.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import numpy as np

from camera.errors import JpegError
from camera.segments import COM, EOI, PROGRESSIVE, SOI, SOS, Header, check_scan_header, end_of_scan, read_table, segment

if TYPE_CHECKING:
    from camera.sources import Image

# Annex K.3: how many codes of each length (1 to 16 bits), then the values in order of their codes.
_LUMA_DC = (
    bytes.fromhex("00010501010101010100000000000000"),
    bytes(range(12)),
)
_CHROMA_DC = (
    bytes.fromhex("00030101010101010101010000000000"),
    bytes(range(12)),
)
_LUMA_AC = (
    bytes.fromhex("0002010303020403050504040000017d"),
    bytes.fromhex(
        "0102030004110512213141061351610722711432 8191a1082342b1c11552d1f02433627282090a161718191a25262728"
        "292a3435363738393a434445464748494a535455565758595a636465666768696a737475767778797a83848586878889"
        "8a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2"
        "e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
    ),
)
_CHROMA_AC = (
    bytes.fromhex("00020102040403040705040400010277"),
    bytes.fromhex(
        "0001020311040521310612415107617113223281081442 91a1b1c109233352f0156272d10a162434e125f11718191a26"
        "2728292a35363738393a434445464748494a535455565758595a636465666768696a737475767778797a828384858687"
        "88898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9da"
        "e2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa"
    ),
)


def _huffman_segment() -> bytes:
    """The standard tables as one DHT segment: class and destination, counts, values, four times."""
    tables = ((0x00, _LUMA_DC), (0x10, _LUMA_AC), (0x01, _CHROMA_DC), (0x11, _CHROMA_AC))
    body = b"".join(bytes([destination]) + counts + values for destination, (counts, values) in tables)
    return b"\xff\xc4" + (len(body) + 2).to_bytes(2, "big") + body


STANDARD_HUFFMAN_TABLES: Final = _huffman_segment()
"""What most webcams leave out of their MJPG frames, and what browsers cannot do without."""


_MARKER: Final = re.compile(rb"\xff[^\x00]")
"""What ends the data of a scan without restart markers: an FF that is not a stuffed byte."""
_MISLEADING: Final = re.compile(rb"\xff[\xd8\xd9]")
"""What must not stand inside a segment: clients that search for SOI and EOI take it for a picture of its own."""


class Checked(NamedTuple):
    """A JPEG that has passed the structural check, repaired where that could be done without decoding."""

    jpeg: bytes
    width: int
    """Pixels."""
    height: int
    """Pixels."""


class Checker:
    """Checks the frames of one camera, one after another.

    A camera writes the same tables into every frame. Those of the last good frame are remembered, and for a frame
    that has them in the same place the walk over them is one comparison, and the scan one search. At thirty frames a
    second the caches are cold each time, and what costs is what is touched: this is a third of the full walk.
    """

    def __init__(self) -> None:
        self.width = 0
        """Pixels, of the frame that was checked last."""
        self.height = 0
        """Pixels, of the frame that was checked last."""
        self._lead: tuple[tuple[bytes, int, int], ...] = ()
        self._tables = b""
        self._tables_at = self._least_end = 0
        self._header = Header()

    def check(self, jpeg: bytes) -> bytes:
        """The frame as it may be shown; raises `JpegError`. Says of each frame what `checked()` says."""
        if self._tables and jpeg.startswith(self._tables, self._tables_at) and self._has_known_lead(jpeg):
            header = self._header
            if header.restarts:
                end = end_of_scan(jpeg, header.scan_at, header) + len(EOI)
                ends = jpeg.startswith(EOI, end - len(EOI))
            else:
                marker = _MARKER.search(jpeg, header.scan_at)
                end = marker.end() if marker is not None else 0
                ends = marker is not None and marker[0] == EOI
            if ends and end >= self._least_end:
                at = header.missing_at
                if at:
                    return b"".join((jpeg[:at], STANDARD_HUFFMAN_TABLES, jpeg[at:end]))
                return jpeg if end == len(jpeg) else jpeg[:end]
        result, header = _walk(jpeg)
        self.width, self.height = result.width, result.height
        self._remember(jpeg, header)
        return result.jpeg

    def _has_known_lead(self, jpeg: bytes) -> bool:
        """Whether the APPn and COM segments before the tables are as long as last time, and hide no marker.

        Their content may differ: that is where a camera puts what changes from frame to frame.
        """
        for head, start, end in self._lead:
            if not jpeg.startswith(head, start) or jpeg.find(b"\xff", start + len(head), end) >= 0:
                return False
        return True

    def _remember(self, jpeg: bytes, header: Header) -> None:
        self._tables = b""
        if header.frame == PROGRESSIVE or header.scans > 1 or header.misleading:  # or something to leave out each time
            return
        lead = []
        start, marker, end = segment(jpeg, 2)
        while marker >= 0xE0:
            lead.append((jpeg[start : start + 4], start, end))
            start, marker, end = segment(jpeg, end)
        self._lead = ((SOI, 0, 2), *lead)
        self._header = header
        self._tables_at, self._tables = start, jpeg[start : header.scan_at]
        self._least_end = header.scan_at + -(-header.least // 8) + len(EOI)


def checked(jpeg: bytes) -> Checked:
    """Check the structure of one JPEG file and give it back in a form that every client can take.

    Walks all segments and scans without decoding. Standard Huffman tables are added where there are
    none; bytes after the end of the image and segments that hide another image (thumbnails, which
    break clients that search for markers) are left out. A file that needs none of this comes back
    as the same object.

    Raises `JpegError` with what does not add up: empty, no SOI, no EOI, a segment that runs over the
    end, a marker inside a scan, restart markers out of order, too little data for the size, a size of too many pixels
    (`camera.limits`).
    """
    return _walk(jpeg)[0]


def _walk(jpeg: bytes) -> tuple[Checked, Header]:
    """The walk over all segments and scans of `jpeg`, and what it has learned on the way."""
    if len(jpeg) < 4 or jpeg[:2] != SOI:
        raise JpegError("empty" if len(jpeg) < 4 else "no start of image")
    header = Header()
    position = 2
    while True:
        start, marker, position = segment(jpeg, position)
        if 0xE0 <= marker <= 0xEF or marker == COM:  # APPn and COM: nothing that a picture needs
            if _MISLEADING.search(jpeg, start + 4, position):
                header.misleading.append((start, position))
        elif marker == SOS:
            check_scan_header(header, jpeg[start + 4 : position], start)
            header.scan_at = header.scan_at or position
            position = end_of_scan(jpeg, position, header)
            if jpeg[position + 1] == 0xD9:
                break
        else:
            read_table(header, marker, jpeg[start + 4 : position])
    position += 2
    if header.misleading or header.missing_at or position != len(jpeg):
        jpeg = _rebuilt(jpeg, position, header)
    return Checked(jpeg, header.width, header.height), header


def _rebuilt(jpeg: bytes, end: int, header: Header) -> bytes:
    """`jpeg` up to `end` without its misleading segments, and with the standard tables where there were none."""
    pieces = []
    position = 0
    for start, stop in header.misleading:
        if position <= header.missing_at < start and header.missing_at:
            pieces += [jpeg[position : header.missing_at], STANDARD_HUFFMAN_TABLES]
            position = header.missing_at
        pieces.append(jpeg[position:start])
        position = stop
    if header.missing_at and header.missing_at >= position:
        pieces += [jpeg[position : header.missing_at], STANDARD_HUFFMAN_TABLES]
        position = header.missing_at
    pieces.append(jpeg[position:end])
    return b"".join(pieces)


def encode(image: Image, quality: int) -> bytes:
    """One JPEG of `image` (uint8, shape (height, width, 3), BGR) at `quality`, 1 to 100."""
    import cv2

    done, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise JpegError(f"could not encode an image of shape {image.shape}")
    return encoded.tobytes()


def decode(jpeg: bytes) -> Image:
    """The picture in `jpeg`: uint8, shape (height, width, 3), BGR. Raises `JpegError` when there is none."""
    import cv2

    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise JpegError("cannot be decoded")
    return cast("Image", image)


def brightness(jpeg: bytes) -> float:
    """Mean brightness of `jpeg`, 0 to 255, from a decode at an eighth of its size; 0 when there is none."""
    import cv2

    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)
    return 0.0 if image is None else float(image.mean())
