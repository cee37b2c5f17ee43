"""The framings of a stream: how frames are cut into parts, for whom. Pure functions of a frame.

Measured against the parsers of many clients (docs/http.md has the table): ustreamer's framing, with the boundary
*behind* each part and a Content-Length, is the one that every program reads without being a frame late. A browser
shows a part in an `<img>` only when it has seen the next part's headers, so there they are sent along early.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from werkzeug.datastructures import MIMEAccept

    from camera import Frame

BOUNDARY: Final = "boundarydonotcross"
"""mjpg-streamer's and ustreamer's: some clients know no other. Unquoted and without dashes, for others."""
_MULTIPART: Final = f"multipart/x-mixed-replace;boundary={BOUNDARY}"
_DELIMITER: Final = f"--{BOUNDARY}\r\n".encode()
_CLOSING: Final = b"\r\n" + _DELIMITER
_IMAGE_HEADERS: Final = b"Content-Type: image/jpeg\r\n\r\n"
_PROGRAM_HEADERS: Final = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\nX-Timestamp: %.6f\r\n\r\n"
_PAGE_HEADERS: Final = _PROGRAM_HEADERS[:-2] + b"X-Vedette-Sequence: %d\r\nX-Vedette-State: %s\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Framing:
    """One way to write frames into a response."""

    name: str
    """As shown in `/state`: `program`, `img` or `page`."""
    content_type: str
    opening: bytes
    """What stands before the first part."""
    part: Callable[[Frame, str], bytes]
    """The bytes to send for a frame; the second argument is the state of its camera."""


def _program_part(frame: Frame, state: str) -> bytes:
    del state
    headers = _PROGRAM_HEADERS % (len(frame.jpeg), frame.captured_at)
    return b"".join((headers, frame.jpeg, _CLOSING))


def _page_part(frame: Frame, state: str) -> bytes:
    headers = _PAGE_HEADERS % (len(frame.jpeg), frame.captured_at, frame.sequence, state.encode())
    return b"".join((headers, frame.jpeg, _CLOSING))


def _img_part(frame: Frame, state: str) -> bytes:
    del state
    return b"".join((frame.jpeg, _CLOSING, _IMAGE_HEADERS))


PROGRAM: Final = Framing("program", _MULTIPART, _DELIMITER, _program_part)
"""Exactly ustreamer's; X-Timestamp is the time of capture, in seconds since the epoch."""
IMG: Final = Framing("img", _MULTIPART, _DELIMITER + _IMAGE_HEADERS, _img_part)
"""For an `<img>`: the boundary and the next part's headers right behind the frame, hence no Content-Length."""
PAGE: Final = Framing("page", "application/octet-stream", _DELIMITER, _page_part)
"""For a page that reads with `fetch()`, which WebKit refuses for a multipart type."""


def framing_for(accept: MIMEAccept, fetch_destination: str) -> Framing:
    """The framing for a request, from its Accept and Sec-Fetch-Dest headers: no need to know user agents.

    A browser's `<img>` asks for `image/…` first and its address bar for `text/html`; programs say `*/*` or nothing.
    """
    if fetch_destination in ("image", "document", "iframe"):
        return IMG
    first = accept[0][0] if accept else "*/*"
    if first.startswith("image/") or first == "text/html":
        return IMG
    return PAGE if first == "application/octet-stream" else PROGRAM
