"""The real server as a process of its own, for the tests of every room."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.message import Message
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PATIENCE = 30.0
"""Seconds to wait for something that must happen; a loaded machine needs many, an idle one hardly any."""


def wait_until(done: Callable[[], object], complaint: str, patience: float = PATIENCE) -> None:
    """Wait until `done()` is true; fail with `complaint` when it never is."""
    deadline = time.monotonic() + patience
    while not done():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.05)


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody uses just now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class Vedette:
    """`vedette` with the given arguments, on one port for its life, so that it can come back where it was."""

    def __init__(self, log: Path, *arguments: str, host: str = "127.0.0.1") -> None:
        """`log`: the file to which its output is appended."""
        self.port = free_port()
        self.url = f"http://{host}:{self.port}"
        self._log = log
        self._command = [sys.executable, "-m", "web", "--port", str(self.port), *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The parent process."""
        assert self._process is not None
        return self._process

    @property
    def worker(self) -> int:
        """The process id of the gunicorn worker: the process with the hub and the cameras."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return int(children.split()[0])

    @property
    def log(self) -> str:
        """All it has printed."""
        return self._log.read_text()

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self._log.open("ab") as log:
            # In a group of its own: what is done to it is done to its worker as well.
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, start_new_session=True)
        wait_until(self._answers, f"{' '.join(self._command)} does not answer")

    def _answers(self) -> bool:
        assert self.process.poll() is None, f"{' '.join(self._command)} ended: {self.log}"
        try:
            self.healthz()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            with suppress(ProcessLookupError):  # it may have ended by itself
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def terminate(self) -> int:
        """Ask it to end, as systemd does, and wait for it; its exit code."""
        self.process.terminate()
        code = self.process.wait(PATIENCE)
        self._process = None
        return code

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """For a while it runs no instruction, and closes nothing."""
        os.killpg(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.process.pid, signal.SIGCONT)

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, Message, bytes]:
        """Ask for `path`: status, headers and body. Names of headers have `_` for `-`."""
        request = urllib.request.Request(
            self.url + path, method=method, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read()

    def healthz(self) -> tuple[int, Any]:
        """Status and content of `/healthz`."""
        status, _, body = self.get("/healthz")
        return status, json.loads(body)

    def state(self) -> Any:
        """What `/state` says."""
        return json.loads(self.get("/state")[2])

    def watching(self) -> list[str]:
        """The framing of every viewer's stream: `page`, `img` or `program`."""
        return [viewer["framing"] for camera in self.state()["cameras"].values() for viewer in camera["viewers"]]

    def viewers(self) -> int:
        """How many viewers there are."""
        count: int = self.state()["viewers"]["count"]
        return count

    def camera(self, name: str = "camera") -> Any:
        """What `/state` says of one camera."""
        return self.state()["cameras"][name]

    def connect(self, path: str = "/stream", *headers: str) -> socket.socket:
        """A connection on which `path` was asked for and nothing has been read yet."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        lines = "".join(f"{header}\r\n" for header in headers)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode())
        return connection

    def descriptors(self) -> int:
        """How many descriptors the worker has open."""
        return sum(1 for _ in Path(f"/proc/{self.worker}/fd").iterdir())

    def threads(self) -> int:
        """How many threads the worker has."""
        return sum(1 for _ in Path(f"/proc/{self.worker}/task").iterdir())


class StreamReader:
    """Reads the parts of a stream with a Content-Length, as simply as the format allows."""

    def __init__(self, connection: socket.socket) -> None:
        self._file: io.BufferedReader = connection.makefile("rb")
        self.status = self._file.readline().decode().strip()
        self.headers = self._headers()
        self.first = b""
        """The boundary line."""
        if self.status.endswith("200 OK"):
            self.first = self._file.readline()

    def _headers(self) -> dict[str, str]:
        headers = {}
        while line := self._file.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.strip().lower()] = value.strip()
        return headers

    def part(self) -> tuple[dict[str, str], bytes]:
        """The next part's headers and body; raises `EOFError` at the end of the stream."""
        headers = self._headers()
        if "content-length" not in headers:
            raise EOFError
        body = self._file.read(int(headers["content-length"]))
        ending = self._file.read(2) + self._file.readline()
        if not re.fullmatch(rb"\r\n--[^\r\n]+\r\n", ending):
            raise EOFError
        return headers, body

    def some(self) -> bytes:
        """What has arrived, at least a byte; empty at the end of the stream."""
        return self._file.read1(65536)
