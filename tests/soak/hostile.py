"""Hostile requests on raw sockets, beside an honest viewer: nothing breaks, leaks, or echoes what could do harm."""

from __future__ import annotations

import random
import re
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.serving import wait_until
from tests.soak.churn import told_of
from tests.soak.figures import Figures, curve
from tests.soak.server import FPS, Honest, Soaked, leaked, pictures

MARK = b"<script>vedette()</script>"
"""What no page may contain as it is."""
IDLE = 2000
"""Connections that say nothing, opened at once."""
RESET = struct.pack("ii", 1, 0)
PATHS = (b"/", b"/stream", b"/snapshot", b"/state", b"/healthz", b"/cameras/camera/stream", b"/static/live.js", b"/%00")
METHODS = (b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"TRACE", b"CONNECT", b"\x00\x01", b"G" * 9000, b"")

Attack = Callable[[random.Random], bytes]


def _line(chance: random.Random) -> bytes:
    """A request line of random pieces."""
    target = chance.choice(
        (*PATHS, b"http://evil.example/", b"*", MARK, b"/" + chance.randbytes(20), b"//evil.example")
    )
    version = chance.choice((b"HTTP/1.1", b"HTTP/1.0", b"HTTP/9.9", b"HTTP/1.1.1", b"", b"HTTP", MARK))
    space = chance.choice((b" ", b"  ", b"\t", b""))
    end = chance.choice((b"\r\n", b"\n", b"\r", b"\0"))
    return chance.choice(METHODS) + space + target + space + version + end + b"Host: localhost\r\n\r\n"


def _host(chance: random.Random) -> bytes:
    host = chance.choice(
        (
            b"evil.example",
            MARK,
            b"",
            b"localhost:99999",
            b"[::1",
            b"a" * 5000,
            b"localhost\0",
            b"localhost, evil",
            b"@",
            b"..",
        )
    )
    again = chance.choice((b"", b"Host: evil.example\r\n", b"X-Forwarded-Host: evil.example\r\n"))
    return b"GET " + chance.choice(PATHS) + b" HTTP/1.1\r\nHost: " + host + b"\r\n" + again + b"\r\n"


def _headers(chance: random.Random) -> bytes:
    bad = chance.choice(
        (
            b"X: " + b"a" * chance.choice((8000, 9000, 70000)) + b"\r\n",
            b"".join(b"X-%d: y\r\n" % number for number in range(chance.choice((99, 101, 2000)))),
            b"X\0Y: z\r\n",
            b"X : y\r\n",
            b": y\r\n",
            b" folded\r\n",
            b"no colon\r\n",
            MARK + b": " + MARK + b"\r\n",
            b"Accept: " + chance.randbytes(30).replace(b"\n", b"") + b"\r\n",
            b"Accept: image/jpeg;q=nan, text/html;q=-1;;;=,,,\r\n",
            b"Sec-Fetch-Dest: " + MARK + b"\r\n",
            b"Expect: 100-continue\r\n",
            b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
            b"Range: bytes=" + b"0-1," * 1000 + b"\r\n",
            b"If-None-Match: " + b"W/" * 2000 + b"\r\n",
            b"If-Modified-Since: " + MARK + b"\r\n",
            b"Cookie: " + b"a=b;" * 1000 + b"\r\n",
            b"Origin: " + MARK + b"\r\n",
        )
    )
    method = chance.choice((b"GET ", b"POST "))
    return method + chance.choice(PATHS) + b" HTTP/1.1\r\nHost: localhost\r\n" + bad + b"\r\n"


def _query(chance: random.Random) -> bytes:
    query = chance.choice(
        (
            b"a" * chance.choice((3000, 9000, 100_000)),
            b"fps="
            + chance.choice((b"1e999", b"-0", b"0x1", b"1" * 3000, b"%00", b"\xd9\xa3", b"%D9%A3", MARK, b"inf")),
            b"&".join(b"p%d=1" % number for number in range(700)),
            b"max_age=" + chance.choice((b"nan", b"-1", b"1e308", b"%0d%0aX-Injected:%201")),
            b"timeout=" + chance.choice((b"0", b"-1", b"1e9", b"0.01")),
            b"download=%0d%0aX-Injected:%201",
            MARK,
            b"%" * 300,
            b"\xff\xfe\xfd",
            b"%0d%0aX-Injected:%201=1",
        )
    )
    path = chance.choice(
        (*PATHS, b"/cameras/" + MARK + b"/stream", b"/cameras/%0d%0aX-Injected:%201/", b"/../../etc/passwd")
    )
    page = chance.choice((b"", b"Accept: text/html\r\n"))
    return b"GET " + path + b"?" + query + b" HTTP/1.1\r\nHost: localhost\r\n" + page + b"\r\n"


def _body(chance: random.Random) -> bytes:
    head = b"POST " + chance.choice(PATHS) + b" HTTP/1.1\r\nHost: localhost\r\n"
    return head + chance.choice(
        (
            b"Content-Length: -1\r\n\r\n",
            b"Content-Length: 1e3\r\n\r\nabc",
            b"Content-Length: 99999999999999999999\r\n\r\nabc",
            b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
            b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc",
            b"Transfer-Encoding: chunked\r\n\r\n-1\r\nabc",
            b"Transfer-Encoding: chunked\r\n\r\n3;" + b"x" * 9000 + b"\r\nabc\r\n0\r\n\r\n",
            b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 5000 + b"0\r\n\r\n",
            b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            b"Transfer-Encoding: \0chunked\r\n\r\n",
        )
    )


def _pipeline(chance: random.Random) -> bytes:
    one = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"
    return b"".join(one % chance.choice(PATHS) for _ in range(chance.randrange(2, 60)))


def _noise(chance: random.Random) -> bytes:
    tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    return chance.choice((b"", tls, b"\x05\x01\x00", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")) + chance.randbytes(500)


ATTACKS: dict[str, Attack] = {
    "request lines": _line,
    "hosts": _host,
    "headers": _headers,
    "queries": _query,
    "bodies": _body,
    "pipelines": _pipeline,
    "noise": _noise,
}


def hostile(folder: Path, seconds: float, seed: int) -> Figures:
    """Run it for `seconds`, and then the attacks by patience."""
    figures = Figures(f"Hostile requests, {seconds / 60:.1f} minutes")
    chance = random.Random(seed)
    with Soaked(folder, "--source", str(pictures(folder / "pictures")), "--fps", str(FPS)) as server:
        with Honest(server) as honest:
            wait_until(lambda: honest.frames > FPS, "the honest viewer sees nothing")
            _each_once(server, chance)
            before = server.settled()
            pss = [before.pss]
            tried: Counter[str] = Counter()
            answers: Counter[str] = Counter()
            dangerous: Counter[str] = Counter()
            slowest, sick = 0.0, 0
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                for _ in range(50):
                    name = chance.choice(list(ATTACKS))
                    request = ATTACKS[name](chance)
                    answer = _ask(server.port, request, chance)
                    tried[name] += 1
                    answers[answer[9:12].decode("latin-1") if answer.startswith(b"HTTP/") else "nothing"] += 1
                    if danger := _danger(answer):
                        dangerous[f"{name}: {danger}: {request[:120]!r}"] += 1
                asked = time.monotonic()
                sick += server.healthz()[0] != 200
                slowest = max(slowest, time.monotonic() - asked)
                if sum(tried.values()) % 1000 == 0:
                    pss.append(server.settled(before).pss)
            after = server.settled(before)
            figures.note("requests", ", ".join(f"{count:,} {name}" for name, count in tried.items()))
            figures.note("answers", ", ".join(f"{count:,} {status}" for status, count in answers.most_common()))
            figures.hold(
                "answers that echo what could do harm",
                list(dangerous)[:4] or 0,
                "0",
                holds=not dangerous,
            )
            figures.hold("answers of /healthz other than 200", sick, "0", holds=not sick)
            figures.at_most("slowest /healthz, s", slowest, 2.0)
            figures.hold("left over", leaked(after, before), "nothing", holds=leaked(after, before) == "nothing")
            figures.at_most("PSS grown, KiB", max(pss[-3:]) - pss[len(pss) // 5], 2048)
            figures.note("PSS over the run, MiB", curve(pss))
            _patience(server, figures)
            rested = server.settled(before, 30)
            figures.hold(
                "left over after all that", leaked(rested, before), "nothing", holds=leaked(rested, before) == "nothing"
            )
        told_of(figures, honest, server)
        log = server.log
        figures.note("lines in the log", log.count("\n"))
        # One line each in a journal: whoever may ask may write there, so it must be little, and nothing of theirs.
        unprintable = sorted({repr(found) for found in re.findall(r"[^\x20-\x7e\n\u0080-\U0010ffff]", log)})
        figures.hold("control characters in the log", unprintable or 0, "0", holds=not unprintable)
    return figures


def _each_once(server: Soaked, chance: random.Random) -> None:
    for attack in ATTACKS.values():
        for _ in range(20):
            _ask(server.port, attack(chance), chance)


def _ask(port: int, request: bytes, chance: random.Random) -> bytes:
    """Send it, in one piece or several, and take what comes at once; leave politely or not."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        answer = b""
        with suppress(OSError):
            cut = chance.randrange(len(request) + 1) if chance.random() < 0.2 else len(request)
            connection.sendall(request[:cut])
            connection.sendall(request[cut:])
            if chance.random() < 0.5:
                connection.shutdown(socket.SHUT_WR)  # half-open: it still listens
            connection.settimeout(0.1)
            while len(answer) < 100_000 and (data := connection.recv(65536)):
                answer += data
        if chance.random() < 0.3:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    return answer


def _danger(answer: bytes) -> str:
    """What is wrong with an answer; nothing in most."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"\r\nX-Injected" in head:
        return "a header that the client has written"
    if MARK in head or (MARK in body and b"text/html" in head):
        return "markup that the client has written"
    if b"Traceback" in answer or b'File "' in answer:
        return "a trace"
    if b"root:x:" in answer:
        return "a file"
    return ""


def _patience(server: Soaked, figures: Figures) -> None:
    """Those who say little and stay: they are cut in seconds, and what others get meanwhile is told."""
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
    began = time.monotonic()
    for connection in slow[:50]:
        connection.sendall(b"GET /state HTTP/1.1\r\n")
    for connection in slow[50:]:
        connection.sendall(b"POST /state HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
    gone: set[socket.socket] = set()
    longest = 0.0
    while len(gone) < len(slow) and time.monotonic() - began < 30:
        for connection in slow:
            if connection not in gone and _drip(connection):
                gone.add(connection)
        longest = max(longest, _health_wait(server))
        time.sleep(0.2)
    figures.at_most(f"{len(slow)} that drip headers or bodies: all cut after, s", time.monotonic() - began, 12.0)
    figures.at_most("/healthz meanwhile, s", longest, 2.0)
    for connection in slow:
        connection.close()

    began = time.monotonic()
    idle = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(IDLE)]
    first = _health_wait(server)
    figures.note(f"{IDLE:,} that say nothing, opened within, s", time.monotonic() - began - first)
    figures.at_most("the first /healthz after them, s", first, 25.0)
    for connection in idle:
        connection.settimeout(30)
        with suppress(OSError):
            connection.recv(1)
    figures.at_most("all of them cut after, s", time.monotonic() - began, 40.0)
    for connection in idle:
        connection.close()


def _drip(connection: socket.socket) -> bool:
    """One more header line or byte; True when the server has closed."""
    try:
        connection.sendall(b"X: y\r\n")
        connection.setblocking(False)
        while connection.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    else:
        return True
    finally:
        connection.setblocking(True)


def _health_wait(server: Soaked) -> float:
    asked = time.monotonic()
    server.healthz()
    return time.monotonic() - asked
