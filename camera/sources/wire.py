"""`get()`: one HTTP request, and `Response`, whose body is read as it comes. Used on the capture thread.

Not urllib's, because its responses can only block: a camera's stream must be read with a limit of time each time,
take everything that is already there, and still be usable after nothing came. So the socket stays in our hands.
"""

from __future__ import annotations

import http.client
import io
import re
import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from camera.errors import SourceDenied, SourceError, SourceLost, SourceMissing, SourceUnusable
from camera.redact import redact
from camera.sources.challenge import Credentials
from camera.sources.chunks import Chunks

if TYPE_CHECKING:
    from email.message import Message

PORTS: Final = {"http": 80, "https": 443}
REDIRECTS: Final = 5
_REDIRECTED: Final = frozenset({301, 302, 303, 307, 308})
HEAD_LIMIT: Final = 64 * 1024
"""Bytes of the head of a response."""
_STATUS_LINE: Final = re.compile(rb"HTTP/[0-9.]+ +([0-9]{3})(?: +([^\r\n]*))?\r?\n")
_BLANK_LINE: Final = re.compile(rb"\n\r?\n")
_DIGITS: Final = 15
"""Of a length, at most."""
_AT_ONCE: Final = 256 * 1024

Address = tuple[str, str, int]
"""Scheme, host and port."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask for, and whom to say we are."""

    url: str
    """Without user and password."""
    credentials: Credentials | None

    @classmethod
    def of(cls, url: str) -> Request:
        """The request that `url` means, with the user and password that may be in it.

        Raises `SourceUnusable` for what is no address.
        """
        parts = _split(url)
        _address(parts)
        credentials = None
        if parts.username is not None:
            credentials = Credentials(unquote(parts.username), unquote(parts.password or ""))
        host = parts.netloc.rpartition("@")[2]
        return cls(parts._replace(netloc=host, fragment="").geturl(), credentials)


def get(request: Request, within: float) -> Response:
    """Ask for the address, follow redirects and answer the question for a password, all `within` seconds.

    (The system's look-up of a name may take longer than that.) Raises a `SourceError` that says what to do.
    """
    deadline = time.monotonic() + within
    url, credentials = request.url, request.credentials
    answered = False
    for _ in range(REDIRECTS + 2):
        response = _ask(url, credentials, deadline)
        if response.status == http.client.OK:
            return response
        response.close()
        if response.status in _REDIRECTED and "Location" in response.headers:
            url, credentials = _redirected(url, response.headers["Location"], credentials)
            answered = False
        elif response.status == http.client.UNAUTHORIZED and credentials is not None:
            # A nonce from the request before may be refused without a word about its age: answer once anew.
            known = credentials.learn(response.headers.get_all("WWW-Authenticate", []))
            if not known or (answered and not credentials.stale):
                raise SourceDenied(f"{redact(url)} does not accept this user and password")
            answered = True
        else:
            raise _refusal(url, response.status, response.reason)
    raise SourceUnusable(f"{redact(url)} redirects again and again: give the address it ends at")


class Response:
    """A response whose head has been read."""

    def __init__(self, sock: socket.socket, name: str, deadline: float) -> None:
        """Reads the head; `name` is what messages call the server. Raises `SourceError`."""
        self._sock: socket.socket | None = sock
        self._name = name
        self._buffer = bytearray()
        self._ended = False
        status_line, self.headers = self._head(deadline)
        self.status, self.reason = status_line
        self._chunks = Chunks() if "chunked" in self.headers.get("Transfer-Encoding", "").lower() else None
        length = self.headers.get("Content-Length", "")
        self._left = int(length) if self._chunks is None and length.isdecimal() and len(length) <= _DIGITS else None
        if self.headers.get_content_maintype() == "multipart":
            self._left = None  # some declare a length for a stream, and mean nothing by it

    def receive(self, timeout: float) -> bytes | None:
        """The next bytes of the body: at once when there are some; None after `timeout` seconds; b"" at the end.

        Raises `SourceLost` when the connection breaks.
        """
        if self._buffer:
            data = bytes(self._buffer)
            self._buffer.clear()
        elif self._ended or self._left == 0:
            return b""
        else:
            received = self._receive(timeout)
            if received is None:
                return None
            data = received
            self._ended = not data
        if self._chunks is not None and data:
            try:
                data = self._chunks.feed(data)
            except ValueError as error:
                raise SourceLost(f"{self._name} sends no valid HTTP: {error}") from None
            self._ended = self._ended or self._chunks.ended
            return data or (b"" if self._ended else None)
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        return data

    def close(self) -> None:
        """Close the connection."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _receive(self, timeout: float) -> bytes | None:
        if self._sock is None:
            return b""
        self._sock.settimeout(max(0.0, timeout))
        try:
            return self._sock.recv(_AT_ONCE)
        except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
            return None
        except OSError as error:
            raise SourceLost(f"{self._name} broke the connection: {error.strerror or error}") from None

    def _head(self, deadline: float) -> tuple[tuple[int, str], Message]:
        while True:
            end = _BLANK_LINE.search(self._buffer)
            if end:
                head = bytes(self._buffer[: end.end()])
                del self._buffer[: end.end()]
                status = _status(head, self._name)
                if status[0] != http.client.CONTINUE:
                    break
                continue
            if len(self._buffer) > HEAD_LIMIT:
                raise SourceUnusable(f"{self._name} does not speak HTTP: its headers have no end")
            data = self._receive(deadline - time.monotonic())
            if data == b"":
                raise SourceUnusable(f"{self._name} closed the connection without an answer")
            if data is None and time.monotonic() >= deadline:
                raise SourceLost(f"{self._name} does not answer")
            self._buffer += data or b""
        try:
            return status, http.client.parse_headers(io.BytesIO(head.split(b"\n", 1)[1]))
        except http.client.HTTPException as error:
            raise SourceUnusable(f"{self._name} does not speak HTTP: {error}") from None


def _ask(url: str, credentials: Credentials | None, deadline: float) -> Response:
    parts = _split(url)
    scheme, host, port = _address(parts)
    name = redact(url)
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._") + (
        "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~-._?[]|") if parts.query else ""
    )
    sock = _connect(scheme, host, port, deadline)
    try:
        where = f"[{host}]" if ":" in host else host.encode("idna").decode("ascii")
        lines = [
            f"GET {target} HTTP/1.1",
            f"Host: {where}" if port == PORTS[scheme] else f"Host: {where}:{port}",
            "User-Agent: vedette",
            # Whoever asks for an image first may be taken for a browser and given another framing.
            "Accept: */*",
            "Accept-Encoding: identity",
            "Connection: close",
        ]
        answer = credentials.header("GET", target) if credentials else None
        if answer:
            lines.append(f"Authorization: {answer}")
        sock.settimeout(max(0.1, deadline - time.monotonic()))
        try:
            sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1", "replace"))
        except OSError as error:
            raise SourceLost(f"{name} broke the connection: {error.strerror or error}") from None
        return Response(sock, name, deadline)
    except BaseException:
        sock.close()
        raise


def _connect(scheme: str, host: str, port: int, deadline: float) -> socket.socket:
    where = f"{host} port {port}"
    try:
        sock = socket.create_connection((host, port), timeout=max(0.1, (deadline - time.monotonic()) / 2))
    except (socket.gaierror, UnicodeError):
        raise SourceMissing(f"there is no host {host}: check the address, and that the network is up") from None
    except TimeoutError:
        raise SourceMissing(f"{where} does not answer: check that the camera is on and the address is right") from None
    except ConnectionRefusedError:
        raise SourceMissing(f"{where} refuses connections: check the port, and that the camera serves it") from None
    except OSError as error:
        raise SourceMissing(f"{where} cannot be reached: {error.strerror or error}") from None
    if scheme != "https":
        return sock
    try:
        sock.settimeout(max(0.1, deadline - time.monotonic()))
        return ssl.create_default_context().wrap_socket(sock, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        sock.close()
        raise SourceUnusable(
            f"{where}: the certificate is not trusted ({error.verify_message}): "
            "make this machine trust its issuer, or use http://"
        ) from None
    except OSError as error:
        sock.close()
        reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
        raise SourceUnusable(f"{where} does not speak TLS ({reason or error}): use http://?") from None


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise SourceUnusable(f"{redact(url)} is no address: {error}") from None


def _address(parts: SplitResult) -> Address:
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        raise SourceUnusable(f"{redact(parts.geturl())} is no address: the port must be a number up to 65535") from None
    scheme = parts.scheme.lower()
    if scheme not in PORTS or not host:
        raise SourceUnusable(f"{redact(parts.geturl())} is no address of the form http://host/path")
    return scheme, host, port or PORTS[scheme]


def _redirected(url: str, location: str, credentials: Credentials | None) -> tuple[str, Credentials | None]:
    """Where a redirect leads, and what to say there: the password is for the server that it was given for only."""
    try:
        target = urljoin(url, location.strip())
    except ValueError as error:
        raise SourceUnusable(f"{redact(url)} leads to what is no address: {error}") from None
    parts = _split(target)
    if parts.scheme.lower() not in PORTS:
        raise SourceUnusable(f"{redact(url)} leads to {redact(target)}: give that address itself, if it is right")
    before, after = _address(_split(url)), _address(parts)
    # A server that leads from http to its own https is the same: what was for it in the clear it may have in private.
    upgraded = (before[0], after[0]) == ("http", "https") and before[1] == after[1]
    request = Request.of(target)
    return request.url, credentials if before == after or upgraded else None


def _status(head: bytes, name: str) -> tuple[int, str]:
    found = _STATUS_LINE.match(head)
    if found is None:
        raise SourceUnusable(f"{name} does not speak HTTP")
    return int(found[1]), (found[2] or b"").decode("latin-1")


def _refusal(url: str, status: int, reason: str) -> SourceError:
    """The error for an answer that is no success."""
    name = redact(url)
    if status == http.client.UNAUTHORIZED:
        return SourceDenied(f"{name} wants a user and a password: write http://user:password@host/…")
    if status == http.client.FORBIDDEN:
        return SourceDenied(f"{name} may not be opened by this user (403)")
    if status in (http.client.NOT_FOUND, http.client.GONE):
        return SourceMissing(f"{name} is not there ({status}): check the path of the address")
    if status == http.client.SERVICE_UNAVAILABLE:
        return SourceLost(f"{name} is busy or has no picture (503): it is tried again")
    words = "".join(letter for letter in reason if letter.isprintable())[:60]
    return SourceUnusable(f"{name} answers {status} {words}".rstrip())
