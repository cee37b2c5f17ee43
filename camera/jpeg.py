"""JPEG files as bytes: the structural check, the repair, encoding and decoding.

Frames that are passed through untouched come unchecked from the camera, so each is walked once: `Checker`
is what stands between a damaged USB transfer and every viewer. Runs on the capture thread, for each frame.

Formats after ITU-T T.81 (the JPEG standard): segments in annex B, Huffman tables in annex K.3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import numpy as np

from camera.errors import JpegError

if TYPE_CHECKING:
    from camera.sources import Image

SOI: Final = b"\xff\xd8"
EOI: Final = b"\xff\xd9"
_DHT, _DQT, _DRI, _SOS, _COM = 0xC4, 0xDB, 0xDD, 0xDA, 0xFE
_FRAME_HEADERS = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended and progressive Huffman: what decoders in the field can show."""
_OTHER_FRAME_HEADERS = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_PROGRESSIVE = 0xC2

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


class Checked(NamedTuple):
    """A JPEG that has passed the structural check, repaired where that could be done without decoding."""

    jpeg: bytes
    width: int
    """Pixels."""
    height: int
    """Pixels."""


@dataclass(slots=True)
class _Header:
    """What the walk over the segments has learned so far."""

    frame: int = 0
    width: int = 0
    height: int = 0
    blocks: int = 0
    components: int = 0
    quantised: bool = False
    huffman: bool = False
    scan_at: int = 0
    """Where the first scan's data begin."""
    missing_at: int = 0
    """Where the standard Huffman tables have to be put in; 0 when there are some."""


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
        self._tables_at = self._scan_at = self._least_end = self._missing_at = 0

    def check(self, jpeg: bytes) -> bytes:
        """The frame as it may be shown; raises `JpegError`. Says of each frame what `checked()` says."""
        if self._tables and jpeg.startswith(self._tables, self._tables_at) and self._has_known_lead(jpeg):
            marker = _MARKER.search(jpeg, self._scan_at)
            if marker is not None and marker[0] == EOI:
                end = marker.end()
                if end >= self._least_end:
                    at = self._missing_at
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

    def _remember(self, jpeg: bytes, header: _Header) -> None:
        self._tables = b""
        if header.frame == _PROGRESSIVE:  # several scans: the long way each time
            return
        lead = []
        start, marker, end = _segment(jpeg, 2)
        while marker >= 0xE0:
            lead.append((jpeg[start : start + 4], start, end))
            start, marker, end = _segment(jpeg, end)
        self._lead = ((SOI, 0, 2), *lead)
        self._tables_at, self._scan_at = start, header.scan_at
        self._tables = jpeg[start : header.scan_at]
        self._missing_at = header.missing_at
        self._least_end = header.scan_at + -(-header.blocks // 4) + len(EOI)


def checked(jpeg: bytes) -> Checked:
    """Check the structure of one JPEG file and give it back in a form that every client can take.

    Walks all segments and scans without decoding. Standard Huffman tables are added where there are
    none; bytes after the end of the image and segments that hide another image (thumbnails, which
    break clients that search for markers) are left out. A file that needs none of this comes back
    as the same object.

    Raises `JpegError` with what does not add up: empty, no SOI, no EOI, a segment that runs over the
    end, a marker inside a scan, restart markers out of order, too little data for the size.
    """
    return _walk(jpeg)[0]


def _walk(jpeg: bytes) -> tuple[Checked, _Header]:
    """The walk over all segments and scans of `jpeg`, and what it has learned on the way."""
    if len(jpeg) < 4 or jpeg[:2] != SOI:
        raise JpegError("empty" if len(jpeg) < 4 else "no start of image")
    header = _Header()
    misleading: list[tuple[int, int]] = []
    position = 2
    while True:
        start, marker, position = _segment(jpeg, position)
        if marker >= 0xE0:  # APPn and COM: nothing that a picture needs
            body = jpeg[start + 4 : position]
            if SOI in body or EOI in body:
                misleading.append((start, position))
        elif marker == _SOS:
            _check_scan_header(header, jpeg[start + 4 : position])
            if not header.huffman:
                header.missing_at, header.huffman = start, True
            header.scan_at = header.scan_at or position
            position = _end_of_scan(jpeg, position, header)
            if jpeg[position + 1] == 0xD9:
                break
        else:
            _read_table(header, marker, jpeg[start + 4 : position])
    position += 2
    if misleading or header.missing_at or position != len(jpeg):
        jpeg = _rebuilt(jpeg, position, misleading, header.missing_at)
    return Checked(jpeg, header.width, header.height), header


def _segment(jpeg: bytes, position: int) -> tuple[int, int, int]:
    """The segment at `position`, past fill bytes: where it starts, its marker, and where it ends (T.81 B.1.1.4)."""
    while jpeg[position : position + 2] == b"\xff\xff":
        position += 1
    if position + 4 > len(jpeg):
        raise JpegError("cut short between segments")
    if jpeg[position] != 0xFF:
        raise JpegError(f"no marker at byte {position}")
    marker = jpeg[position + 1]
    if marker == 0xD9:
        raise JpegError("no picture data before the end of image")
    if marker < 0xC0 or 0xD0 <= marker <= 0xD8:
        raise JpegError(f"marker {marker:02X} where a segment must start")
    length = (jpeg[position + 2] << 8) | jpeg[position + 3]
    end = position + 2 + length
    if length < 2 or end > len(jpeg):
        raise JpegError(f"segment {marker:02X} runs over the end")
    return position, marker, end


def _read_table(header: _Header, marker: int, body: bytes) -> None:
    """Take note of a segment that is neither data nor decoration."""
    if marker == _DHT:
        header.huffman = True
    elif marker == _DQT:
        header.quantised = True
    elif marker in _FRAME_HEADERS:
        _read_frame_header(header, marker, body)
    elif marker in _OTHER_FRAME_HEADERS:
        raise JpegError(f"coding process {marker:02X}, which nobody shows")


def _read_frame_header(header: _Header, marker: int, body: bytes) -> None:
    """Take size and sampling from an SOF segment's `body` (T.81 B.2.2)."""
    if header.frame:
        raise JpegError("two frame headers")
    if len(body) < 6 or len(body) != 6 + 3 * body[5]:
        raise JpegError("frame header of the wrong length")
    header.frame = marker
    header.height, header.width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    header.components = body[5]
    if not header.width or not header.height or header.components not in (1, 3, 4):
        raise JpegError(f"{header.width} x {header.height} pixels in {header.components} components")
    sampling = body[7::3]
    across = max(factor >> 4 for factor in sampling)
    down = max(factor & 15 for factor in sampling)
    if not all(1 <= factor >> 4 <= 4 and 1 <= factor & 15 <= 4 for factor in sampling):
        raise JpegError("impossible sampling factors")
    units = -(-header.width // (8 * across)) * -(-header.height // (8 * down))
    header.blocks = units * sum((factor >> 4) * (factor & 15) for factor in sampling)


def _check_scan_header(header: _Header, body: bytes) -> None:
    """Hold an SOS segment's `body` against what came before it (T.81 B.2.3)."""
    if not header.frame:
        raise JpegError("scan before the frame header")
    if not header.quantised:
        raise JpegError("no quantisation tables")
    if not body or not 1 <= body[0] <= header.components or len(body) != 4 + 2 * body[0]:
        raise JpegError("scan header that does not add up")


def _end_of_scan(jpeg: bytes, start: int, header: _Header) -> int:
    """Where the entropy-coded data from `start` ends: the position of the next marker.

    In a scan every FF is followed by 00 (a stuffed byte) or by a restart marker, RST0 to RST7 in turn;
    anything else ends it. Vectorised: byte by byte it would cost a hundred times as much.
    """
    data = np.frombuffer(jpeg, np.uint8, offset=start)
    positions = np.flatnonzero(data[:-1] == 0xFF)
    followers = data[positions + 1]
    special = np.flatnonzero(followers)  # most files have one: the EOI
    restarts = 0
    for index in special.tolist():
        marker = int(followers[index])
        if 0xD0 <= marker <= 0xD7:
            if marker != 0xD0 + restarts % 8:
                raise JpegError("restart markers out of order")
            restarts += 1
            continue
        if marker == 0xFF:  # fill before a marker
            continue
        position = int(positions[index])
        if marker == 0xD9 or (header.frame == _PROGRESSIVE and marker in (_DHT, _SOS, _DQT, _DRI, _COM)):
            # The shortest block is two codes of one bit: less than that is a picture that was cut.
            if header.frame != _PROGRESSIVE and position * 4 < header.blocks:
                raise JpegError("too little data for the size")
            return start + position
        if marker in (_DHT, _SOS, _DQT, _DRI, _COM) and header.components > 1 and position:
            return start + position  # sequential, one scan for each component
        raise JpegError(f"marker {marker:02X} inside the picture data")
    raise JpegError("no end of image")


def _rebuilt(jpeg: bytes, end: int, dropped: list[tuple[int, int]], tables_at: int) -> bytes:
    """`jpeg` up to `end` without the `dropped` spans, standard tables put in at `tables_at` (0: none needed)."""
    pieces = []
    position = 0
    for start, stop in dropped:
        pieces.append(jpeg[position:start])
        position = stop
    if tables_at:
        pieces += [jpeg[position:tables_at], STANDARD_HUFFMAN_TABLES]
        position = tables_at
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
