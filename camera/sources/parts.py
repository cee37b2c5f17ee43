"""`Parts`: JPEGs out of a multipart stream, however its server frames them. Pure; used on the capture thread.

Servers disagree about almost everything: dashes and quotes around the boundary, Content-Length or none or a wrong one,
headers before or long before the picture, blank lines to keep a connection alive. So the JPEG itself is the guide: a
part is looked for where a picture starts, and ends where the JPEG says so (ITU-T T.81, annex B). A Content-Length
that agrees with the picture spares the search, and the boundary ends a picture that was cut short. The bytes of a
picture are handed on untouched; whether they are sound is for others to judge.
"""

from __future__ import annotations

import re
from typing import Final

FRAME_LIMIT: Final = 32 * 1024 * 1024
"""Bytes of one picture, at most."""
HEADER_LIMIT: Final = 64 * 1024
"""Bytes between two pictures, at most: part headers, preamble, blank lines."""

_START: Final = b"\xff\xd8\xff"
_END: Final = b"\xff\xd9"
_SOS: Final = 0xDA
_MARKER: Final = 0xFF
_CR: Final = 0x0D
_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_LENGTH = re.compile(rb"(?:^|\n)content-length[ \t]*:[ \t]*([0-9]{1,10})[ \t]*\r?\n", re.IGNORECASE)


class PartsError(ValueError):
    """The stream is no series of pictures; the message says in a few words why."""


class Parts:
    """What has been received of a stream of JPEGs."""

    def __init__(self, boundary: bytes = b"") -> None:
        """`boundary` as in the Content-Type; without one the stream is read all the same."""
        # Who declares the dashes may add two more or not.
        core = boundary.lstrip(b"-")
        self._delimiters = tuple({b"\n--" + core, b"\n--" + boundary}) if core else ()
        self._buffer = bytearray()
        self._begun = False
        self._length: int | None = None
        self._segments = 0
        self._searched = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream; returns the pictures they complete, in their order.

        Raises `PartsError` when there is no picture in much more than there should be between two.
        """
        self._buffer += data
        pictures = []
        while (picture := self._next()) is not None:
            pictures.append(picture)
        return pictures

    def _next(self) -> bytes | None:
        if not self._begun and not self._begin():
            return None
        end = self._end()
        if end is None:
            if len(self._buffer) > FRAME_LIMIT:
                raise PartsError(f"a picture has no end after {FRAME_LIMIT >> 20} MiB")
            return None
        picture = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._begun = False
        self._searched = 0
        return picture

    def _begin(self) -> bool:
        """Go to the start of the next picture, if it is there; what is before it is dropped."""
        start = self._buffer.find(_START, max(0, self._searched - 2))
        if start < 0:
            if len(self._buffer) > HEADER_LIMIT:
                raise PartsError(f"no picture in {HEADER_LIMIT >> 10} KiB")
            self._searched = len(self._buffer)
            return False
        lengths = _LENGTH.findall(bytes(self._buffer[:start]))
        self._length = int(lengths[-1]) if lengths else None
        del self._buffer[:start]
        self._begun = True
        self._segments = 2
        self._searched = 0
        return True

    def _end(self) -> int | None:
        """Where the picture at the start of the buffer ends; None when that has not been received yet."""
        buffer = self._buffer
        length = self._length
        if length is not None and length <= FRAME_LIMIT:
            if len(buffer) < length:
                # Too long a length must not swallow the next picture: that is found out when its boundary is there.
                return self._cut()
            # Zeros after the end are how servers with one length for all frames fill them up.
            if bytes(buffer[length - 2 : length]) == _END or buffer[:length].rstrip(b"\0").endswith(_END):
                return length
            self._length = None
            self._searched = 0
        return self._end_of_jpeg()

    def _end_of_jpeg(self) -> int | None:
        scan = self._skip_segments()
        if scan is None:
            return self._cut()
        from_ = max(scan, self._searched - 2)
        end = self._buffer.find(_END, from_)
        # In a scan an FF is followed by a 0 or a restart marker: this is the next picture.
        other = self._buffer.find(_START, from_, end if end >= 0 else len(self._buffer))
        if other >= 0:
            end = other - 2
        cut = self._cut()
        if end < 0:
            return cut
        return end + 2 if cut is None else min(cut, end + 2)

    def _skip_segments(self) -> int | None:
        """Where the scan starts: a segment before it may hold a whole picture of its own, the thumbnail."""
        buffer, at = self._buffer, self._segments
        while at + 4 <= len(buffer):
            marker = buffer[at + 1]
            if buffer[at] != _MARKER or marker == 0x00:
                return at  # no JPEG at all; where something ends like one will do
            if marker == _MARKER:
                at += 1
            elif marker in _STANDALONE:
                at += 2
            elif marker in (_SOS, _END[1]):
                return at
            else:
                at += 2 + int.from_bytes(buffer[at + 2 : at + 4], "big")
            self._segments = at
        return None

    def _cut(self) -> int | None:
        """Where a boundary breaks into this picture; None when none has been seen."""
        buffer = self._buffer
        cuts = []
        for delimiter in self._delimiters:
            at = buffer.find(delimiter, max(0, self._searched - len(delimiter)))
            if at >= 0:
                cuts.append(at - 1 if at and buffer[at - 1] == _CR else at)
        self._searched = len(buffer)
        return min(cuts, default=None)
