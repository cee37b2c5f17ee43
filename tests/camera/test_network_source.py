"""Cameras behind an address, played by real servers on loopback that frame, lie and break off as real ones do."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from camera.errors import SourceDenied, SourceError, SourceLost, SourceMissing, SourceUnusable
from camera.sources import Wanted, network
from camera.sources.ffmpeg import FfmpegSource
from camera.sources.network import HttpSource
from camera.sources.parts import FRAME_LIMIT, Parts, PartsError

if TYPE_CHECKING:
    from pathlib import Path

Answer = Callable[[socket.socket, bytes], None]
Serve = Callable[[Answer], str]


def picture(number: int, quality: int = 80) -> bytes:
    """A JPEG of 160x120 pixels that differs with its number."""
    noise = np.random.default_rng(number).integers(0, 255, (120, 160, 3), np.uint8)
    return bytes(cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


PICTURES = [picture(number) for number in range(6)]
HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace;boundary=%s\r\n\r\n"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: multipart/x-mixed-replace; boundary=%s\r\n\r\n"
)


def with_thumbnail(jpeg: bytes) -> bytes:
    """The same picture with a whole JPEG in an APP1 segment in front, as cameras embed their thumbnails."""
    small = b"Exif\0\0" + picture(99, 10)[:60_000]
    return jpeg[:2] + b"\xff\xe1" + (len(small) + 2).to_bytes(2, "big") + small + jpeg[2:]


def chunked(data: bytes, size: int = 1000) -> bytes:
    """`data` in chunks."""
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%X;x=y\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


def request_of(connection: socket.socket) -> bytes:
    """The head of a request."""
    head = b""
    while b"\r\n\r\n" not in head and (data := connection.recv(65536)):
        head += data
    return head


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A server per call: each connection is answered on a thread of its own, with the socket and the request's head."""
    listeners: list[socket.socket] = []
    connections: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def answered(connection: socket.socket, answer: Answer) -> None:
        with contextlib.suppress(OSError), connection:
            answer(connection, request_of(connection))

    def accept(listener: socket.socket, answer: Answer) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connections.append(connection)
            thread = threading.Thread(target=answered, args=(connection, answer))
            threads.append(thread)
            thread.start()

    def serving(answer: Answer) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        thread = threading.Thread(target=accept, args=(listener, answer))
        threads.append(thread)
        thread.start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/stream"

    yield serving
    for waiting in (*listeners, *connections):
        with contextlib.suppress(OSError):
            waiting.shutdown(socket.SHUT_RDWR)
        waiting.close()
    for thread in threads:
        thread.join()


def in_step(head: bytes, before: bytes, parts: list[bytes]) -> tuple[Answer, Callable[[], None]]:
    """A server that sends one part each time it is told to, and what tells it; the first comes by itself."""
    go = threading.Semaphore(1)
    sent = threading.Semaphore(0)

    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(head + before)
        for part in parts:
            if not go.acquire(timeout=10):
                return
            connection.sendall(part)
            sent.release()
        go.acquire(timeout=10)

    def step() -> None:
        go.release()

    return answer, step


def part(
    jpeg: bytes, boundary: bytes = b"b", header: bytes = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n"
) -> bytes:
    """A part with its boundary in front."""
    return b"--%s\r\n%s\r\n%s\r\n" % (boundary, header % len(jpeg) if b"%d" in header else header, jpeg)


def trailing(jpeg: bytes, header: bytes = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n") -> bytes:
    """A part with its boundary behind it, as ustreamer sends it."""
    return b"%s\r\n%s\r\n--b\r\n" % (header % len(jpeg) if b"%d" in header else header, jpeg)


NO_LENGTH = b"Content-Type: image/jpeg\r\n"
THUMBNAILS = [with_thumbnail(jpeg) for jpeg in PICTURES]
PADDED = [jpeg.ljust(40_000, b"\0") for jpeg in PICTURES]

FRAMINGS: dict[str, tuple[bytes, bytes, list[bytes], list[bytes]]] = {
    "trailing boundary": (HEAD % b"b", b"--b\r\n", [trailing(jpeg) for jpeg in PICTURES], PICTURES),
    "chunked": (CHUNKED % b"b", chunked(b"--b\r\n"), [chunked(trailing(jpeg)) for jpeg in PICTURES], PICTURES),
    "tiny chunks": (
        CHUNKED % b"b",
        chunked(b"--b\r\n", 1),
        [chunked(trailing(jpeg), 7) for jpeg in PICTURES],
        PICTURES,
    ),
    "leading boundary": (HEAD % b"b", b"", [part(jpeg) for jpeg in PICTURES], PICTURES),
    "CRLF before the boundary": (HEAD % b"b", b"", [b"\r\n" + part(jpeg) for jpeg in PICTURES], PICTURES),
    "no length": (HEAD % b"b", b"", [part(jpeg, header=NO_LENGTH) for jpeg in PICTURES], PICTURES),
    "headers early": (
        HEAD % b"b",
        b"--b\r\nContent-Type: image/jpeg\r\n\r\n",
        [jpeg + b"\r\n--b\r\nContent-Type: image/jpeg\r\n\r\n" for jpeg in PICTURES],
        PICTURES,
    ),
    "no part headers": (HEAD % b"b", b"", [part(jpeg, header=b"") for jpeg in PICTURES], PICTURES),
    "thumbnail": (HEAD % b"b", b"", [part(jpeg) for jpeg in THUMBNAILS], THUMBNAILS),
    "thumbnail, no length": (HEAD % b"b", b"", [part(jpeg, header=NO_LENGTH) for jpeg in THUMBNAILS], THUMBNAILS),
    "quoted boundary": (HEAD % b'"b d"', b"", [part(jpeg, b"b d") for jpeg in PICTURES], PICTURES),
    "boundary with dashes": (HEAD % b"--b", b"", [part(jpeg) for jpeg in PICTURES], PICTURES),
    "boundary with dashes twice": (HEAD % b"--b", b"", [part(jpeg, b"--b") for jpeg in PICTURES], PICTURES),
    "boundary without dashes": (HEAD % b"b", b"", [part(jpeg)[2:] for jpeg in PICTURES], PICTURES),
    "another boundary than declared": (HEAD % b"x", b"", [part(jpeg) for jpeg in PICTURES], PICTURES),
    "no boundary declared": (
        b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace\r\n\r\n",
        b"",
        [part(jpeg) for jpeg in PICTURES],
        PICTURES,
    ),
    "keep-alive lines": (HEAD % b"b", b"\r\n", [b"\r\n\r\n" + part(jpeg) + b"\r\n" for jpeg in PICTURES], PICTURES),
    "keep-alive before the headers": (
        HEAD % b"b",
        b"",
        [part(jpeg, header=b"\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n") for jpeg in PICTURES],
        PICTURES,
    ),
    "constant length, padded": (
        HEAD % b"b",
        b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: 40000\r\n\r\n",
        [jpeg + b"\r\n--b\r\nContent-Type: image/jpeg\r\nContent-Length: 40000\r\n\r\n" for jpeg in PADDED],
        PADDED,
    ),
    "headers in any case": (
        HEAD % b"b",
        b"",
        [part(jpeg, header=b"CONTENT-type:image/jpg\r\ncontent-LENGTH:%d\r\nX-Other: 1\r\n") for jpeg in PICTURES],
        PICTURES,
    ),
    "bare line feeds": (
        b"HTTP/1.0 200 OK\nContent-Type: multipart/x-mixed-replace;boundary=b\n\n",
        b"",
        [b"--b\nContent-Length: %d\n\n%s\n" % (len(jpeg), jpeg) for jpeg in PICTURES],
        PICTURES,
    ),
    "preamble": (HEAD % b"b", b"This is a stream of pictures.\r\n\r\n", [part(jpeg) for jpeg in PICTURES], PICTURES),
    "length too short": (
        HEAD % b"b",
        b"",
        [part(jpeg, header=b"Content-Length: 1000\r\n") for jpeg in PICTURES],
        PICTURES,
    ),
    "length of nothing": (
        HEAD % b"b",
        b"",
        [part(jpeg, header=b"Content-Length: 0\r\n") for jpeg in PICTURES],
        PICTURES,
    ),
    "a length for the whole stream": (
        b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\nContent-Type: multipart/x-mixed-replace;boundary=b\r\n\r\n",
        b"",
        [part(jpeg) for jpeg in PICTURES],
        PICTURES,
    ),
    "declared as binary": (
        b"HTTP/1.0 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n",
        b"",
        [part(jpeg) for jpeg in PICTURES],
        PICTURES,
    ),
    "declared as one picture": (
        b"HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\n\r\n",
        b"",
        [part(jpeg) for jpeg in PICTURES],
        PICTURES,
    ),
    "not declared at all": (b"HTTP/1.0 200 OK\r\n\r\n", b"", [part(jpeg) for jpeg in PICTURES], PICTURES),
}


@pytest.mark.parametrize("framing", FRAMINGS)
def test_every_framing_is_read_untouched_and_in_time(serve: Serve, framing: str) -> None:
    """Each picture comes byte for byte as it was sent, and before the next one is on its way: none is late by one."""
    head, before, parts, pictures = FRAMINGS[framing]
    answer, step = in_step(head, before, parts)
    source = HttpSource(serve(answer), Wanted(fps=30))
    mode = source.open()
    assert mode.encoding == "MJPG"
    assert (mode.width, mode.height) == (160, 120)
    for number, expected in enumerate(pictures):
        if number:
            step()
        assert source.read() == expected
    step()
    source.close()


def test_too_long_a_length_costs_no_picture(serve: Serve) -> None:
    """Where the Content-Length reaches into the next part, the boundary ends the picture."""
    parts = [part(jpeg, header=b"Content-Length: 1000000\r\n") for jpeg in PICTURES]
    answer, step = in_step(HEAD % b"b", b"", [parts[0] + parts[1][:60], parts[1][60:] + parts[2][:60]])
    source = HttpSource(serve(answer), Wanted())
    source.open()
    assert source.read() == PICTURES[0]
    step()
    assert source.read() == PICTURES[1]
    step()
    source.close()


def test_the_newest_of_what_waits(serve: Serve) -> None:
    """When several pictures are already there, the newest is handed out and the old ones are left out."""
    sent, go = threading.Event(), threading.Event()

    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(HEAD % b"b" + part(PICTURES[0]))
        go.wait(10)
        connection.sendall(b"".join(part(jpeg) for jpeg in PICTURES[1:5]))
        sent.set()
        request_of(connection)

    source = HttpSource(serve(answer), Wanted())
    source.open()
    assert source.read() == PICTURES[0]
    go.set()
    assert sent.wait(10)
    assert source.read() == PICTURES[4]
    source.close()


def test_a_picture_that_was_cut_short_is_handed_on_as_it_is(serve: Serve) -> None:
    """A torn picture ends at its boundary, and the one after it is whole; judging it is not the source's business."""
    torn = PICTURES[1][:4000]
    parts = [part(PICTURES[0]), part(torn, header=NO_LENGTH) + b"--b\r\n", part(PICTURES[2])[5:]]
    answer, step = in_step(HEAD % b"b", b"", parts)
    source = HttpSource(serve(answer), Wanted())
    source.open()
    for expected in (PICTURES[0], torn, PICTURES[2]):
        assert source.read() == expected
        step()
    source.close()


def test_silence_is_a_loss(serve: Serve) -> None:
    """A server that stops sending is lost after two seconds; before that a read says that nothing has come."""
    answer, step = in_step(HEAD % b"b", b"", [part(PICTURES[0])])
    source = HttpSource(serve(answer), Wanted(fps=30))
    source.open()
    assert source.read() == PICTURES[0]
    assert source.read() is None
    with pytest.raises(SourceLost, match="sent nothing for 2 s"):
        [source.read() for _ in range(3)]
    source.close()
    step()


def test_a_slow_stream_that_was_asked_for_is_waited_for(serve: Serve) -> None:
    """Who asks for one picture in five seconds does not take two seconds of silence for a loss."""
    answer, step = in_step(HEAD % b"b", b"", [part(PICTURES[0]), part(PICTURES[1])])
    source = HttpSource(serve(answer), Wanted(fps=0.2))
    source.open()
    assert source.read() == PICTURES[0]
    assert [source.read() for _ in range(3)] == [None] * 3
    step()
    assert source.read() == PICTURES[1]
    source.close()
    step()


def test_the_end_is_a_loss_after_the_last_picture(serve: Serve) -> None:
    """What was sent before a server closed is still handed out, then the source is lost; it can be opened again."""

    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(HEAD % b"b" + part(PICTURES[0]))

    source = HttpSource(serve(answer), Wanted())
    for _ in range(2):
        source.open()
        assert source.read() == PICTURES[0]
        with pytest.raises(SourceLost, match="ended the stream"):
            source.read()
        source.close()


def test_a_reset_is_a_loss(serve: Serve) -> None:
    """A connection that is torn down is lost with one line."""
    answer, step = in_step(HEAD % b"b", b"", [part(PICTURES[0])])

    def rude(connection: socket.socket, request: bytes) -> None:
        answer(connection, request)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()

    source = HttpSource(serve(rude), Wanted())
    source.open()
    assert source.read() == PICTURES[0]
    step()
    with pytest.raises(SourceLost, match="broke the connection"):
        source.read()
    source.close()


def flood(data: bytes) -> Answer:
    """A server that sends `data` and then the same 64 KiB for ever."""

    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(data)
        while True:
            connection.sendall(b"garbage " * 8192)

    return answer


def drip(data: bytes) -> Answer:
    """A server that sends `data` and then one byte at a time, for ever."""

    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(data)
        stop = threading.Event()
        while not stop.wait(0.1):
            connection.sendall(b"x")

    return answer


def once(data: bytes) -> Answer:
    """A server that sends `data` and closes."""
    return lambda connection, _: connection.sendall(data)


HOSTILE: dict[str, tuple[Answer, str]] = {
    "no end of headers": (flood(b"HTTP/1.0 200 OK\r\nX: "), "headers have no end"),
    "too many headers": (once(b"HTTP/1.0 200 OK\r\n" + b"X: y\r\n" * 2000 + b"\r\n"), "does not speak HTTP"),
    "headers drip": (drip(b"HTTP/1.0 200 OK\r\nX: "), "does not answer"),
    "no pictures": (flood(HEAD % b"b"), "no stream of JPEGs: no picture in 64 KiB"),
    "a picture without end": (flood(HEAD % b"b" + b"--b\r\n\r\n" + PICTURES[0][:-2]), "no end after 32 MiB"),
    "pictures drip": (drip(HEAD % b"b" + b"--b\r\n"), "no picture in it"),
    "no answer": (once(b""), "closed the connection without an answer"),
    "another protocol": (once(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "does not speak HTTP"),
    "cut in the middle": (once(HEAD % b"b" + part(PICTURES[0])[:3000]), "ended before the first picture"),
    "bad chunks": (once(CHUNKED % b"b" + b"zz\r\n"), "a chunk has no size"),
    "negative chunks": (once(CHUNKED % b"b" + b"-5\r\nhello"), "a chunk has no size"),
    "a web page": (once(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html>"), "give the address of the stream"),
    "an empty picture": (once(b"HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\n\r\n"), "no picture that can be read"),
    "no content": (once(b"HTTP/1.0 204 No Content\r\n\r\n"), "answers 204"),
    "not there": (once(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), "not there.*check the path"),
    "forbidden": (once(b"HTTP/1.1 403 Forbidden\r\n\r\n"), "may not be opened"),
    "wants a password": (once(b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\n\r\n"), "wants a user and a password"),
    "busy": (once(b"HTTP/1.1 503 Busy\r\n\r\n"), "is tried again"),
    "broken": (once(b"HTTP/1.1 500 \x1b[31mInternal\r\n\r\n"), r"answers 500 \[31mInternal$"),
    "round in circles": (once(b"HTTP/1.1 302 Found\r\nLocation: /stream\r\n\r\n"), "redirects again and again"),
    "leads to a file": (once(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n"), "leads to"),
    "leads nowhere": (once(b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\n\r\n"), "no address"),
}


@pytest.mark.parametrize("server", HOSTILE)
def test_hostile_servers_get_one_clear_line(serve: Serve, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a server does, opening ends in time, with one line that says what is wrong."""
    monkeypatch.setattr(network, "OPEN_WITHIN", 1.0)
    answer, words = HOSTILE[server]
    source = HttpSource(serve(answer), Wanted())
    with pytest.raises(SourceError, match=words) as caught:
        source.open()
    assert "\n" not in str(caught.value)
    source.close()


@pytest.mark.parametrize(
    ("url", "kind", "words"),
    [
        ("http://127.0.0.1:1/", SourceMissing, "127.0.0.1 port 1 refuses connections"),
        ("http://no-such-host.invalid/", SourceMissing, "there is no host no-such-host.invalid"),
        ("http://host:99999/", SourceUnusable, "port"),
        ("http:///stream", SourceUnusable, "no address"),
        ("http://[::1/", SourceUnusable, "no address"),
        ("http://" + "a" * 64 + ".invalid/", SourceMissing, "there is no host"),
    ],
)
def test_addresses_that_lead_nowhere(url: str, kind: type[SourceError], words: str) -> None:
    """A host or port that is not there, or no address at all, is told apart."""
    with pytest.raises(kind, match=words):
        HttpSource(url, Wanted()).open()


def with_user(url: str, user: str) -> str:
    """`url` with a user and password in it."""
    return url.replace("http://", f"http://{user}@")


def test_basic_password(serve: Serve) -> None:
    """User and password of the address are told when the server asks, decoded, and never before."""
    seen: list[bytes] = []

    def answer(connection: socket.socket, request: bytes) -> None:
        seen.append(request)
        if b"Authorization: Basic " + base64.b64encode("jö:p/w".encode()) in request:
            connection.sendall(HEAD % b"b" + part(PICTURES[0]))
        else:
            connection.sendall(b'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="cam"\r\n\r\n')

    source = HttpSource(with_user(serve(answer), "j%C3%B6:p%2Fw"), Wanted())
    mode = source.open()
    assert source.read() == PICTURES[0]
    source.close()
    assert b"Authorization" not in seen[0]
    assert "p%2Fw" not in mode.name
    assert "p/w" not in mode.name


@pytest.mark.parametrize("algorithm", ["", "MD5", "SHA-256", "MD5-sess"])
@pytest.mark.parametrize("quality", ["", 'qop="auth,auth-int"'])
def test_digest_password(serve: Serve, algorithm: str, quality: str) -> None:
    """Digest works with each algorithm, with and without qop, with commas in the realm, a new nonce each time."""
    count = iter(range(100))
    hashed = hashlib.sha256 if algorithm == "SHA-256" else hashlib.md5

    def of(text: str) -> str:
        return hashed(text.encode()).hexdigest()

    def right(request: str, nonce: str) -> bool:
        found = {key: quoted or bare for key, quoted, bare in re.findall(r'(\w+)=(?:"([^"]*)"|([^",\s]+))', request)}
        secret = of("admin:a, b:pass")
        if algorithm == "MD5-sess":
            secret = of(f"{secret}:{nonce}:{found.get('cnonce')}")
        middle = f"{found.get('nc')}:{found.get('cnonce')}:auth:" if quality else ""
        return found.get("response") == of(f"{secret}:{nonce}:{middle}{of('GET:/stream?a=b')}")

    nonces = ["none"]

    def answer(connection: socket.socket, request: bytes) -> None:
        if right(request.decode(), nonces.pop()):
            connection.sendall(HEAD % b"b" + part(PICTURES[0]))
            return
        nonces.append(f"nonce{next(count)}")
        fields = ['realm="a, b"', f'nonce="{nonces[-1]}"', 'opaque="x"']
        fields += [f"algorithm={algorithm}"] * bool(algorithm) + [quality] * bool(quality)
        challenge = ", ".join(fields)
        connection.sendall(
            b'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="x"\r\n'
            + f"WWW-Authenticate: Digest {challenge}\r\n\r\n".encode()
        )

    source = HttpSource(with_user(serve(answer), "admin:pass") + "?a=b", Wanted())
    for _ in range(2):
        source.open()
        assert source.read() == PICTURES[0]
        source.close()
        nonces.append("none")


@pytest.mark.parametrize("challenge", [b"Basic", b'Digest realm="r", nonce="n"', b"Negotiate"])
def test_a_wrong_password_is_denied_without_telling_it(serve: Serve, challenge: bytes) -> None:
    """A password that is refused ends in SourceDenied after two requests; it is in no message."""
    requests: list[bytes] = []

    def answer(connection: socket.socket, request: bytes) -> None:
        requests.append(request)
        connection.sendall(b"HTTP/1.1 401 No\r\nWWW-Authenticate: %s\r\n\r\n" % challenge)

    source = HttpSource(with_user(serve(answer), "joe:hunter2"), Wanted())
    with pytest.raises(SourceDenied, match="does not accept") as caught:
        source.open()
    assert "hunter2" not in str(caught.value)
    assert "joe" not in str(caught.value)
    assert len(requests) <= 2


def test_redirects_are_followed_and_passwords_stay_at_home(serve: Serve) -> None:
    """A redirect leads to the stream; a password is not taken to another server."""
    requests: list[bytes] = []

    def stream(connection: socket.socket, request: bytes) -> None:
        requests.append(request)
        if b"Authorization" in request:
            connection.sendall(b"HTTP/1.0 500 No\r\n\r\n")
        else:
            connection.sendall(HEAD % b"b" + part(PICTURES[0]))

    elsewhere = serve(stream)

    def answer(connection: socket.socket, request: bytes) -> None:
        if b"Authorization" in request:
            connection.sendall(f"HTTP/1.1 307 There\r\nLocation: {elsewhere}\r\n\r\n".encode())
        else:
            connection.sendall(b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\n\r\n")

    source = HttpSource(with_user(serve(answer), "joe:hunter2"), Wanted())
    source.open()
    assert source.read() == PICTURES[0]
    source.close()
    assert len(requests) == 1


def test_stills_are_fetched_over_and_over(serve: Serve) -> None:
    """An address that gives one JPEG is asked again for each picture, and hands them on untouched."""
    numbers = iter(range(100))

    def answer(connection: socket.socket, _: bytes) -> None:
        jpeg = PICTURES[next(numbers) % 6]
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg) + jpeg
        )
        request_of(connection)  # a server that keeps the connection open

    source = HttpSource(serve(answer), Wanted(fps=30))
    mode = source.open()
    assert (mode.encoding, mode.fps, mode.width, mode.height) == ("JPEG", 10.0, 160, 120)
    assert [source.read() for _ in range(4)] == PICTURES[:4]
    source.close()


def test_stills_of_another_kind_are_decoded(serve: Serve) -> None:
    """A PNG is shown as well, decoded."""
    image = np.full((48, 64, 3), 77, np.uint8)
    png = bytes(cv2.imencode(".png", image)[1])
    source = HttpSource(serve(once(b"HTTP/1.0 200 OK\r\nContent-Type: image/png\r\n\r\n" + png)), Wanted())
    mode = source.open()
    shown = source.read()
    source.close()
    assert (mode.width, mode.height) == (64, 48)
    assert isinstance(shown, np.ndarray)
    assert (shown == image).all()


def test_a_still_that_is_too_large_is_not_decoded(serve: Serve) -> None:
    """The header of a picture says how much memory it would take, and that is looked at first."""
    small = bytes(cv2.imencode(".bmp", np.zeros((8, 8, 3), np.uint8))[1])
    huge = small[:18] + struct.pack("<ii", 16_000, -16_000) + small[26:]
    with pytest.raises(SourceUnusable, match="16000 x 16000 pixels are more than 50 megapixels"):
        HttpSource(serve(once(b"HTTP/1.0 200 OK\r\nContent-Type: image/bmp\r\n\r\n" + huge)), Wanted()).open()


def test_a_still_that_fails_later_is_a_loss(serve: Serve) -> None:
    """When the server of a still answers with an error, the source is lost with its reason."""
    answers = iter([b"HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\n\r\n" + PICTURES[0]])

    def answer(connection: socket.socket, _: bytes) -> None:
        connection.sendall(next(answers, b"HTTP/1.0 404 Gone\r\n\r\n"))

    source = HttpSource(serve(answer), Wanted(fps=10))
    source.open()
    assert source.read() == PICTURES[0]
    with pytest.raises(SourceLost, match="not there"):
        source.read()
    source.close()


def certified(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A context for a server on 127.0.0.1, and the certificate that whoever is to trust it needs."""
    key, certificate = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", str(key), "-out", str(certificate)),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate


@pytest.mark.parametrize("challenge", ["Basic", 'Digest realm="r", nonce="{}", qop="auth"'])
def test_a_password_goes_along_to_the_same_servers_https(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, challenge: str
) -> None:
    """A camera that asks in the clear and then leads to its https is given the password there too."""
    context, certificate = certified(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    refusal = f"HTTP/1.1 401 No\r\nWWW-Authenticate: {challenge}\r\n\r\n"
    listener = socket.create_server(("127.0.0.1", 0))

    def secure() -> None:
        answered = False
        while not answered:
            with context.wrap_socket(listener.accept()[0], server_side=True) as connection:
                request = request_of(connection)
                answered = b"Authorization: Basic" in request or b'nonce="private"' in request
                good = HEAD % b"b" + part(PICTURES[0])
                connection.sendall(good if answered else refusal.format("private").encode())

    thread = threading.Thread(target=secure, daemon=True)
    thread.start()

    def answer(connection: socket.socket, request: bytes) -> None:
        there = f"HTTP/1.1 301 There\r\nLocation: https://127.0.0.1:{listener.getsockname()[1]}/\r\n\r\n"
        connection.sendall((there if b"Authorization" in request else refusal.format("open")).encode())

    source = HttpSource(with_user(serve(answer), "joe:hunter2"), Wanted())
    source.open()
    assert source.read() == PICTURES[0]
    source.close()
    thread.join()
    listener.close()


def test_an_untrusted_certificate_is_refused(tmp_path: Path) -> None:
    """The certificate is checked under https, and a server that has none is told apart from one nobody vouches for."""
    context, certificate = certified(tmp_path)
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        for _ in range(2):
            connection = listener.accept()[0]
            try:
                with context.wrap_socket(connection, server_side=True) as secure:
                    request_of(secure)
                    secure.sendall(HEAD % b"b" + b"".join(part(jpeg) for jpeg in PICTURES))
                    request_of(secure)
            except OSError:
                connection.close()
        with listener.accept()[0] as connection:
            connection.sendall(b"HTTP/1.0 400 This is not TLS\r\n\r\n")
            connection.recv(65536)

    thread = threading.Thread(target=accept)
    thread.start()
    url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
    with pytest.raises(SourceUnusable, match="certificate is not trusted"):
        HttpSource(url, Wanted()).open()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SSL_CERT_FILE", str(certificate))
        source = HttpSource(url, Wanted())
        source.open()
        assert source.read() in PICTURES
        source.close()
    with pytest.raises(SourceUnusable, match="does not speak TLS"):
        HttpSource(url, Wanted()).open()
    thread.join()
    listener.close()


def film() -> bytes:
    """Two seconds of MPEG-TS."""
    source = [
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=320x240:rate=25",
        "-t",
        "2",
        "-c:v",
        "libx264",
        "-g",
        "5",
        "-f",
        "mpegts",
    ]
    return subprocess.run(["ffmpeg", "-v", "error", *source, "-"], check=True, capture_output=True).stdout


@pytest.mark.parametrize("kind", [b"video/mp2t", b"application/octet-stream"])
def test_video_over_http_is_handed_to_ffmpeg(serve: Serve, kind: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    """What is neither multipart nor a picture is decoded by FFmpeg, and its end is a loss, in silence."""
    data = film()
    source = HttpSource(serve(once(b"HTTP/1.0 200 OK\r\nContent-Type: %s\r\n\r\n" % kind + data)), Wanted())
    mode = source.open()
    assert (mode.width, mode.height, mode.encoding) == (320, 240, "H264")
    shown = source.read()
    assert isinstance(shown, np.ndarray)
    assert shown.shape == (240, 320, 3)
    with pytest.raises(SourceLost, match="ended"):
        [source.read() for _ in range(60)]
    source.close()
    assert capfd.readouterr() == ("", "")


def rtsp_server(data: bytes) -> Answer:
    """A small RTSP server (RFC 2326) that plays MPEG-TS in RTP over its own connection, for joe with hunter2 only."""

    def answer(connection: socket.socket, request: bytes) -> None:
        while request:
            lines = request.decode().split("\r\n")
            method, url = lines[0].split()[:2]
            number = next(line for line in lines if line.lower().startswith("cseq"))
            headers, body, status = [number, "Session: 1"], "", "200 OK"
            if method == "DESCRIBE" and "Authorization: Basic am9lOmh1bnRlcjI=" not in lines:
                status = "401 Unauthorized"
                headers.append('WWW-Authenticate: Basic realm="cam"')
            elif method == "DESCRIBE":
                body = f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:{url}\r\n"
                headers.append("Content-Type: application/sdp")
            elif method == "SETUP":
                headers.append("Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
            headers.append(f"Content-Length: {len(body)}")
            connection.sendall("\r\n".join([f"RTSP/1.0 {status}", *headers, "", body]).encode())
            if method == "PLAY":
                break
            request = request_of(connection)
        else:
            return
        for index in range(len(data) // 1316):
            packet = b"\x80\x21" + index.to_bytes(2, "big") + (index * 900).to_bytes(4, "big") + b"\0\0\0\1"
            packet += data[index * 1316 : (index + 1) * 1316]
            connection.sendall(b"$\0" + len(packet).to_bytes(2, "big") + packet)

    return answer


def test_rtsp(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    """An RTSP camera with a password is shown; the password is in no name and no message; its end is a loss."""
    url = with_user(serve(rtsp_server(film())), "joe:hunter2").replace("http://", "rtsp://")
    source = FfmpegSource(url, Wanted())
    mode = source.open()
    assert (mode.width, mode.height, mode.encoding) == (320, 240, "H264")
    assert "hunter2" not in mode.name
    shown = source.read()
    assert isinstance(shown, np.ndarray)
    assert shown.shape == (240, 320, 3)
    with pytest.raises(SourceLost) as caught:
        [source.read() for _ in range(100)]
    assert "hunter2" not in str(caught.value)
    source.close()
    assert capfd.readouterr() == ("", "")


def test_rtsp_with_a_wrong_password(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    """A refused RTSP password says what to check, and tells neither user nor password."""
    url = with_user(serve(rtsp_server(b"")), "joe:wrong").replace("http://", "rtsp://")
    with pytest.raises(SourceUnusable, match="check its path, user and password") as caught:
        FfmpegSource(url, Wanted()).open()
    assert "wrong" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_mpeg_ts_from_the_real_ffmpeg(capfd: pytest.CaptureFixture[str]) -> None:
    """A live MPEG-TS that Debian's ffmpeg sends over UDP is opened and shown; when it stops the source is lost."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        url = f"udp://127.0.0.1:{free.getsockname()[1]}"
    source_options = ["-re", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=25"]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "5", "-f", "mpegts"]
    sender = subprocess.Popen(["ffmpeg", "-v", "quiet", *source_options, *coding, url + "?pkt_size=1316"])
    source = FfmpegSource(url, Wanted())
    try:
        assert source.open().width == 320
        assert source.read() is not None
        sender.terminate()
        with pytest.raises(SourceLost, match="sent nothing for 2 s"):
            [source.read() for _ in range(1000)]
    finally:
        sender.kill()
        sender.wait()
        source.close()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("url", "kind", "words"),
    [
        ("rtsp://user:hunter2@127.0.0.1:1/h264", SourceMissing, "refuses connections"),
        ("rtsp://user:hunter2@no-such-host.invalid/h264", SourceMissing, "there is no host"),
        ("gopher://user:hunter2@127.0.0.1/", SourceUnusable, "no video that FFmpeg can open"),
        ("rtsp://user:hunter2@[::1/h264", SourceUnusable, "no address"),
    ],
)
def test_what_ffmpeg_cannot_open(
    url: str, kind: type[SourceError], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """FFmpeg's failures are told apart in one line of ours, without its own and without the password."""
    with pytest.raises(kind, match=words) as caught:
        FfmpegSource(url, Wanted()).open()
    assert "hunter2" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_parts_survive_any_cut() -> None:
    """However the bytes of a stream fall into pieces, the same pictures come out."""
    for name in (
        "trailing boundary",
        "no length",
        "thumbnail, no length",
        "constant length, padded",
        "length too short",
    ):
        _, before, parts, pictures = FRAMINGS[name]
        data = before + b"".join(parts)
        for size in (1, 2, 3, 7, 100, 4096, len(data)):
            reader = Parts(b"b")
            found = [jpeg for at in range(0, len(data), size) for jpeg in reader.feed(data[at : at + size])]
            assert found == pictures, (name, size)


def test_parts_never_grow_without_bounds() -> None:
    """Random bytes, and markers at random, end in an error or in pieces, never in a heap."""
    random = np.random.default_rng(1)
    for seed in range(30):
        reader = Parts(b"b")
        alphabet = np.frombuffer(b"\xff\xd8\xff\xd9\xda\xe1\x00\r\n--b0123Content-Length: 9", np.uint8)
        with contextlib.suppress(PartsError):
            for _ in range(40):
                data = random.choice(alphabet, 50_000) if seed % 2 else random.integers(0, 256, 50_000, np.uint8)
                pieces = reader.feed(data.astype(np.uint8).tobytes())
                assert all(len(piece) <= FRAME_LIMIT for piece in pieces)
        assert len(reader._buffer) <= 40 * 50_000
