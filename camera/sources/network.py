"""`HttpSource`: a camera behind an http:// or https:// address. Runs on the capture thread.

What the address gives decides how it is read: a multipart stream or a single JPEG is passed through untouched and
never decoded; a video (MP4, MPEG-TS, HLS, …) is handed to FFmpeg; a web page is an error that says so.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from camera.errors import JpegError, SourceError, SourceLost, SourceUnusable
from camera.redact import redact
from camera.sources import Image, Mode, Wanted
from camera.sources.opencv import decoded
from camera.sources.pace import Pace
from camera.sources.parts import FRAME_LIMIT, Parts, PartsError
from camera.sources.wire import Request, Response, get

if TYPE_CHECKING:
    from collections.abc import Callable

OPEN_WITHIN: Final = 5.0
"""Seconds for the connection, the answer and the first picture together."""
SILENCE: Final = 2.0
"""Seconds without a byte after which a stream is lost; more when less than one picture in that time was asked for."""
NO_PICTURE: Final = 10.0
"""Seconds without a whole picture after which a stream is lost, whatever else it sends."""
STILL_FPS: Final = 1.0
FASTEST_STILL: Final = 10.0
"""Requests a second for a still: a camera that is asked more often has a stream, which is what should be read."""
_SNIFF: Final = 512


class _Reader(Protocol):
    """What reads an address once it is known what it gives."""

    def read(self) -> bytes | Image | None: ...

    def close(self) -> None: ...


class HttpSource:
    """MJPEG, stills or video over HTTP.

    A stream has the size and rate that its server gives it; `wanted.fps` is how often a still is fetched
    (1 a second when nothing is asked, 10 at most).
    """

    retry_every = 5.0

    def __init__(self, url: str, wanted: Wanted) -> None:
        self._url = url
        self._wanted = wanted
        self._name = redact(url)
        self._request: Request | None = None
        self._reader: _Reader | None = None

    def open(self) -> Mode:
        """Connect, see what comes, and wait for the first picture. Raises a `SourceError`."""
        self.close()
        if self._request is None:
            self._request = Request.of(self._url)
        request = self._request
        deadline = time.monotonic() + OPEN_WITHIN
        response = get(request, OPEN_WITHIN)
        try:
            kind, boundary, beginning = _kind(response, self._name, deadline)
            if kind == "video":
                # FFmpeg makes a connection of its own, in which it sees the container from its first byte.
                response.close()
                from camera.sources.ffmpeg import FfmpegSource

                self._reader = video = FfmpegSource(self._url, self._wanted)
                return video.open()
            fps = min(self._wanted.fps or STILL_FPS, FASTEST_STILL)
            if kind == "still":
                self._reader = still = _Still(self._name, lambda: get(request, SILENCE), fps)
                return still.first(response, beginning, deadline)
            patience = max(SILENCE, 3 / self._wanted.fps) if self._wanted.fps else SILENCE
            self._reader = stream = _Stream(self._name, response, Parts(boundary), patience)
            return stream.first(beginning, deadline)
        except BaseException:
            response.close()
            raise

    def read(self) -> bytes | Image | None:
        """The newest picture that has come whole; older ones that waited with it are left out."""
        if self._reader is None:
            raise SourceLost(f"{self._name} is not open")
        return self._reader.read()

    def close(self) -> None:
        """Close the connection."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


class _Stream:
    """A multipart stream that is being received."""

    def __init__(self, name: str, response: Response, parts: Parts, patience: float) -> None:
        self._name = name
        self._response = response
        self._parts = parts
        self._patience = patience
        self._heard = self._pictured = time.monotonic()
        self._newest: bytes | None = None

    def first(self, beginning: bytes, deadline: float) -> Mode:
        """Wait for the first picture, after the `beginning` that was received already; `read()` returns it."""
        self._feed(beginning)
        while self._newest is None:
            if time.monotonic() > deadline:
                raise SourceUnusable(f"{self._name} sends a stream, but no picture in it")
            data = self._response.receive(min(1.0, max(0.0, deadline - time.monotonic())))
            if data == b"":
                raise SourceUnusable(f"{self._name} ended before the first picture")
            self._feed(data or b"")
        self._heard = self._pictured = time.monotonic()
        return Mode(self._name, *_size(self._newest), 0.0, "MJPG")

    def read(self) -> bytes | None:
        deadline = time.monotonic() + 1.0
        while True:
            data = self._response.receive(0.0 if self._newest else deadline - time.monotonic())
            now = time.monotonic()
            if data:
                self._heard = now
                self._feed(data)
            elif self._newest is None:
                if data == b"":
                    raise SourceLost(f"{self._name} ended the stream")
                if now - self._heard >= self._patience:
                    raise SourceLost(f"{self._name} sent nothing for {self._patience:g} s")
            if self._newest is not None and (not data or now >= deadline):
                picture, self._newest = self._newest, None
                self._pictured = now
                return picture
            if now - self._pictured >= max(NO_PICTURE, self._patience):
                raise SourceLost(f"{self._name} sent no whole picture for {now - self._pictured:.0f} s")
            if now >= deadline:
                return None

    def close(self) -> None:
        self._response.close()

    def _feed(self, data: bytes) -> None:
        try:
            pictures = self._parts.feed(data)
        except PartsError as error:
            raise SourceLost(f"{self._name} is no stream of JPEGs: {error}") from None
        if pictures:
            self._newest = pictures[-1]


class _Still:
    """An address that gives one picture at a time, fetched over and over."""

    def __init__(self, name: str, fetch: Callable[[], Response], fps: float) -> None:
        self._name = name
        self._fetch = fetch
        self._fps = fps
        self._pace = Pace(fps)
        self._first: bytes | Image | None = None

    def first(self, response: Response, beginning: bytes, deadline: float) -> Mode:
        """Receive the first picture, after the `beginning` that was received already; `read()` returns it."""
        self._first = first = self._receive(response, beginning, deadline)
        self._pace = Pace(self._fps)
        if isinstance(first, bytes):
            return Mode(self._name, *_size(first), self._fps, "JPEG")
        return Mode(self._name, first.shape[1], first.shape[0], self._fps, "image")

    def read(self) -> bytes | Image | None:
        if not self._pace.wait():
            return None
        picture, self._first = self._first, None
        if picture is not None:
            return picture
        try:
            return self._receive(self._fetch(), b"", time.monotonic() + SILENCE)
        except SourceLost:
            raise
        except SourceError as error:
            raise SourceLost(str(error)) from None

    def close(self) -> None:
        self._first = None

    def _receive(self, response: Response, beginning: bytes, deadline: float) -> bytes | Image:
        body = bytearray(beginning)
        try:
            while data := self._more(response, deadline):
                body += data
                if len(body) > FRAME_LIMIT:
                    raise SourceUnusable(f"{self._name} gives a picture of more than {FRAME_LIMIT >> 20} MiB")
        finally:
            response.close()
        if body.startswith(b"\xff\xd8"):
            return bytes(body)
        return decoded(bytes(body), self._name)

    def _more(self, response: Response, deadline: float) -> bytes:
        while (data := response.receive(deadline - time.monotonic())) is None:
            if time.monotonic() >= deadline:
                raise SourceLost(f"{self._name} sent no whole picture for {SILENCE:g} s")
        return data


def _kind(response: Response, name: str, deadline: float) -> tuple[str, bytes, bytes]:
    """What a response is (`stream`, `still` or `video`), the boundary of its parts, and what was read to find out."""
    headers = response.headers
    declared = headers.get_content_type() if "Content-Type" in headers else ""
    main = declared.partition("/")[0]
    if main == "multipart":
        return "stream", (headers.get_boundary() or "").strip().encode("latin-1", "replace"), b""
    if main == "text" or declared in ("application/json", "application/xhtml+xml", "application/xml"):
        if "mpegurl" in declared:
            return "video", b"", b""
        raise SourceUnusable(
            f"{name} gives {declared} and no picture: give the address of the stream itself, "
            "often /stream, /video or /?action=stream"
        )
    if main in ("video", "audio") or "mpegurl" in declared or "dash+xml" in declared:
        return "video", b"", b""
    # The rest is often declared wrong: look.
    beginning = b""
    while len(beginning) < _SNIFF and (data := response.receive(deadline - time.monotonic())):
        beginning += data
    if beginning.startswith(b"--") or beginning.lstrip().startswith(b"--"):
        return "stream", beginning.lstrip().partition(b"\n")[0].strip().removeprefix(b"--"), beginning
    if main == "image" or beginning.startswith(b"\xff\xd8"):
        return "still", b"", beginning
    return "video", b"", b""


def _size(picture: bytes) -> tuple[int, int]:
    """Width and height; 0 and 0 while unknown, as when the first picture is damaged."""
    from camera.jpeg import checked

    try:
        header = checked(picture)
    except JpegError:
        return 0, 0
    return header.width, header.height
