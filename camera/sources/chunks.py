"""`Chunks`: takes the chunked coding (RFC 9112, 7.1) off a body. Pure; used on the capture thread."""

from __future__ import annotations

from typing import Final

_LINE_LIMIT: Final = 4096
"""Bytes of the line with a chunk's size and extensions."""
_DIGITS: Final = 15
"""Of a size, at most."""


class Chunks:
    """A chunked body that is being received."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._left = 0
        self._first = True
        self.ended = False
        """Whether the last chunk has come."""

    def feed(self, data: bytes) -> bytes:
        """The part of the body in `data`; raises ValueError for what is no chunk."""
        self._buffer += data
        body = bytearray()
        while self._buffer and not self.ended:
            if self._left:
                body += self._buffer[: self._left]
                taken = min(self._left, len(self._buffer))
                self._left -= taken
                del self._buffer[:taken]
                continue
            end = self._buffer.find(b"\n", 0 if self._first else 2)
            if end < 0:
                if len(self._buffer) > _LINE_LIMIT:
                    raise ValueError("a chunk has no size")
                break
            line = bytes(self._buffer[:end]).strip().partition(b";")[0].strip()
            del self._buffer[: end + 1]
            if not line or not all(digit in b"0123456789abcdefABCDEF" for digit in line) or len(line) > _DIGITS:
                raise ValueError("a chunk has no size")
            self._left = int(line, 16)
            self._first = False
            self.ended = self._left == 0
        return bytes(body)
