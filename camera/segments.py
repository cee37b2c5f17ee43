"""The segments of a JPEG file: what each must be, so that decoders can begin, and whether they add up.

Pure functions of bytes after ITU-T T.81 (the JPEG standard). Nothing is decoded. Which files are accepted was tried
with a million mutated ones: each that passes, OpenCV's decoder begins to decode (`tests/soak`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, cast

import numpy as np

from camera.errors import JpegError
from camera.limits import excess

SOI: Final = b"\xff\xd8"
EOI: Final = b"\xff\xd9"
DHT, DQT, DRI, SOS, COM, DNL = 0xC4, 0xDB, 0xDD, 0xDA, 0xFE, 0xDC
PROGRESSIVE: Final = 0xC2
_FRAME_HEADERS: Final = frozenset({0xC0, 0xC1, PROGRESSIVE})
"""Baseline, extended and progressive Huffman: what decoders in the field can show."""
_FILL: Final = re.compile(rb"\xff+")
"""Bytes that may stand before any marker."""
_BITS: Final = 8
"""Of a sample; what decoders in the field can show."""
_MOST_BLOCKS: Final = 10
"""In a unit of an interleaved scan (B.2.3)."""

STANDARD_TABLES: Final = frozenset({0x00, 0x01, 0x10, 0x11})
"""The Huffman tables of annex K.3, which a camera may leave out: class and destination."""


@dataclass(slots=True)
class Header:
    """What a walk over the segments of one file has learned so far."""

    frame: int = 0
    width: int = 0
    height: int = 0
    units: tuple[int, int] = (0, 0)
    """Units of an interleaved scan, across and down (A.2)."""
    components: int = 0
    identifiers: tuple[int, ...] = ()
    quantisers: tuple[int, ...] = ()
    """The quantisation table of each component."""
    sampling: tuple[tuple[int, int], ...] = ()
    quantised: set[int] = field(default_factory=set)
    """Quantisation tables that are there."""
    huffman: set[int] = field(default_factory=set)
    """Huffman tables that are there: class in the upper four bits, destination in the lower."""
    restarts: bool = False
    """Whether there are restart markers in the scans."""
    scanned: set[int] = field(default_factory=set)
    """The components that had data so far."""
    scans: int = 0
    """How many there have been, with the one that is being read."""
    least: int = 0
    """Bits that the data of the scan that is being read have, if they are whole."""
    scan_at: int = 0
    """Where the first scan's data begin."""
    misleading: list[tuple[int, int]] = field(default_factory=list)
    """Where APPn and COM segments begin and end that contain SOI or EOI, a thumbnail's for example."""
    missing_at: int = 0
    """Where the standard Huffman tables have to be put in; 0 when there are some."""


def segment(jpeg: bytes, position: int) -> tuple[int, int, int]:
    """The segment at `position`, past fill bytes: where it starts, its marker, and where it ends (T.81 B.1.1.4)."""
    if jpeg.startswith(b"\xff\xff", position):
        position = cast("re.Match[bytes]", _FILL.match(jpeg, position)).end() - 1
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


def read_table(header: Header, marker: int, body: bytes) -> None:
    """Take note of a segment that is neither data nor decoration."""
    if marker == DHT:
        _read_huffman_tables(header, body)
    elif marker == DQT:
        _read_quantisation_tables(header, body)
    elif marker == DRI:
        if len(body) != 2:
            raise JpegError("restart interval of the wrong length")
        header.restarts = body != b"\0\0"
    elif marker in _FRAME_HEADERS:
        _read_frame_header(header, marker, body)
    elif marker != DNL:
        raise JpegError(f"coding process {marker:02X}, which nobody shows")


def _read_huffman_tables(header: Header, body: bytes) -> None:
    """Take note of the tables in a DHT segment's `body` (T.81 B.2.4.2); their codes must fit into their lengths."""
    position = 0
    while position < len(body):
        name, counts = body[position], body[position + 1 : position + 17]
        position += 17 + sum(counts)
        code = 0
        for length, count in enumerate(counts, 1):
            code += count
            if code > 1 << length:  # C.2: more codes than there are of this length
                raise JpegError("Huffman table with too many codes")
            code <<= 1
        values = body[position - sum(counts) : position]
        if name & 0xEC or position > len(body) or sum(counts) > 256 or (name < 0x10 and any(v > 15 for v in values)):
            raise JpegError("Huffman table that does not add up")
        header.huffman.add(name)


def _read_quantisation_tables(header: Header, body: bytes) -> None:
    """Take note of the tables in a DQT segment's `body` (T.81 B.2.4.1)."""
    position = 0
    while position < len(body):
        name = body[position]
        position += 129 if name >> 4 else 65
        if name & 0xEC or position > len(body):
            raise JpegError("quantisation table that does not add up")
        header.quantised.add(name & 15)


def _read_frame_header(header: Header, marker: int, body: bytes) -> None:
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
    too_large = excess(header.width, header.height)
    if too_large:
        raise JpegError(too_large)
    if body[0] != _BITS:
        raise JpegError(f"{body[0]} bits per sample, which nobody shows")
    header.identifiers, header.quantisers = tuple(body[6::3]), tuple(body[8::3])
    if len(set(header.identifiers)) != header.components:
        raise JpegError("two components of the same name")
    sampling = body[7::3]
    header.sampling = tuple((factor >> 4, factor & 15) for factor in sampling)
    across = max(factor >> 4 for factor in sampling)
    down = max(factor & 15 for factor in sampling)
    if not all(1 <= factor >> 4 <= 4 and 1 <= factor & 15 <= 4 for factor in sampling):
        raise JpegError("impossible sampling factors")
    if any(across % (factor >> 4) or down % (factor & 15) for factor in sampling):
        raise JpegError("fractional sampling factors, which nobody shows")
    header.units = -(-header.width // (8 * across)), -(-header.height // (8 * down))


def check_scan_header(header: Header, body: bytes, position: int) -> None:
    """Hold the `body` of an SOS segment at `position` against what came before it (T.81 B.2.3)."""
    if not header.frame:
        raise JpegError("scan before the frame header")
    if not body or not 1 <= body[0] <= header.components or len(body) != 4 + 2 * body[0]:
        raise JpegError("scan header that does not add up")
    if not header.huffman:
        header.huffman = set(STANDARD_TABLES)
        header.missing_at = position
    header.scans += 1
    _check_scan_tables(header, body)


def _check_scan_tables(header: Header, body: bytes) -> None:
    """Whether a scan has the components and tables it names, and takes an allowed part of them (T.81 B.2.3, G.1.1)."""
    start, end, high, low = body[-3], body[-2], body[-1] >> 4, body[-1] & 15
    progressive = header.frame == PROGRESSIVE
    if progressive and (
        (end != 0 if start == 0 else not start <= end <= 63 or body[0] != 1) or low > 13 or (high and high != low + 1)
    ):
        raise JpegError("impossible progression")
    if progressive and header.scans == 1 and (start or high):  # G.1.1.1: the DC coefficients come first
        raise JpegError("progression without a beginning")
    blocks = 0
    seen: set[int] = set()
    for name, tables in zip(body[1:-3:2], body[2:-3:2], strict=True):
        if name not in header.identifiers or name in seen:
            raise JpegError("scan of a component that is not there")
        seen.add(name)
        component = header.identifiers.index(name)
        blocks += header.sampling[component][0] * header.sampling[component][1]
        dc, ac = tables >> 4, 0x10 | tables & 15
        needed = set() if progressive else {dc, ac}
        if progressive and start == 0 and not high:
            needed = {dc}
        elif progressive and start:
            needed = {ac}
        if header.quantisers[component] not in header.quantised or not needed <= header.huffman:
            raise JpegError("scan with a table that is not there")
    if body[0] > 1 and blocks > _MOST_BLOCKS:
        raise JpegError("too many blocks in a unit")
    blocks *= header.units[0] * header.units[1]
    if body[0] == 1:
        blocks = _blocks_of(header, header.identifiers.index(body[1]))
    header.scanned |= seen
    # The shortest block is two codes of one bit. In a progression, each scan of the DC coefficient has one bit of it;
    # all other coefficients of many blocks may be one code.
    header.least = blocks * (2 if not progressive else 1 if not start else 0)


def _blocks_of(header: Header, component: int) -> int:
    """The blocks in a scan of one component alone, where there are none that only fill up a unit (T.81 A.2.2)."""
    across, down = max(factor[0] for factor in header.sampling), max(factor[1] for factor in header.sampling)
    width = -(-header.width * header.sampling[component][0] // across)
    height = -(-header.height * header.sampling[component][1] // down)
    return -(-width // 8) * -(-height // 8)


def end_of_scan(jpeg: bytes, start: int, header: Header) -> int:
    """Where the entropy-coded data from `start` ends: the position of the next marker.

    In a scan every FF is followed by 00 (a stuffed byte) or by a restart marker, RST0 to RST7 in turn;
    anything else ends it. Vectorised: byte by byte it would cost a hundred times as much.
    """
    data = np.frombuffer(jpeg, np.uint8, offset=start)
    positions = np.flatnonzero(data[:-1] == 0xFF)
    followers = data[positions + 1]
    special = (followers != 0x00) & (followers != 0xFF)  # an FF may be repeated before a marker
    positions, markers = positions[special], followers[special]
    ending = np.flatnonzero((markers < 0xD0) | (markers > 0xD7))
    if not ending.size:
        raise JpegError("no end of image")
    restarts = int(ending[0])
    if restarts and not np.array_equal(markers[:restarts], 0xD0 + np.arange(restarts) % 8):
        raise JpegError("restart markers out of order")
    position, marker = int(positions[restarts]), int(markers[restarts])
    progressive = header.frame == PROGRESSIVE
    if position * 8 < header.least:
        raise JpegError("too little data for the size")
    if marker == 0xD9 and len(header.scanned) < header.components:
        raise JpegError("component without data")
    if marker == 0xD9 or (marker in (DHT, SOS, DQT, DRI, COM) and (progressive or header.components > 1)):
        return start + position  # the end, or what stands before the next of several scans
    raise JpegError(f"marker {marker:02X} inside the picture data")
