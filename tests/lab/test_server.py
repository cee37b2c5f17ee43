"""A real `vedette` server on real V4L2 drivers: what a viewer sees while its camera is unplugged."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from camera import jpeg

if TYPE_CHECKING:
    from tests.lab.conftest import LabCamera

Figures = Callable[[str, float], None]


class Part(NamedTuple):
    """One part of the stream as a viewer gets it."""

    at: float
    state: str
    jpeg: bytes


class Viewer(threading.Thread):
    """Reads the stream as the live page does, on one connection, for as long as it lasts."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        request = urllib.request.Request(f"{address}stream", headers={"Accept": "application/octet-stream"})
        self._stream: IO[bytes] = urllib.request.urlopen(request, timeout=10)
        self.parts: list[Part] = []
        self.ended = ""
        self._news = threading.Condition()

    def run(self) -> None:
        """Read until the connection ends."""
        try:
            while True:
                headers: dict[str, str] = {}
                while line := self._stream.readline().strip():
                    name, _, value = line.decode().partition(":")
                    headers[name.lower()] = value.strip()
                if "content-length" not in headers:
                    assert headers, "the stream ended"
                    continue
                body = self._stream.read(int(headers["content-length"]))
                self._stream.readline()
                with self._news:
                    self.parts.append(Part(time.monotonic(), headers["x-vedette-state"], body))
                    self._news.notify_all()
        except (OSError, ValueError, AssertionError, KeyError) as error:
            with self._news:
                self.ended = repr(error)
                self._news.notify_all()
        finally:
            self._stream.close()

    def until(self, since: float, *, live: bool, seconds: float = 15.0) -> Part:
        """The first part after `since` that is live, or that is not."""

        def found() -> Part | None:
            return next((part for part in self.parts if part.at > since and (part.state == "live") is live), None)

        with self._news:
            self._news.wait_for(lambda: found() or self.ended, seconds)
            part = found()
        assert part is not None, self.ended or f"no {'live' if live else 'placeholder'} part"
        return part


@contextmanager
def serving(*options: str) -> Iterator[str]:
    """A server on a free port; its address."""
    command = [sys.executable, "-m", "web", "--port", "0", *options]
    log: list[str] = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stderr is not None
            address = ""
            for line in server.stderr:
                log.append(line)
                if said := re.search(r"http://\S+/", line):
                    address = said[0]
                    break
            assert address, "".join(log)
            reader = threading.Thread(target=log.extend, args=(server.stderr,))
            reader.start()
            yield address
            server.send_signal(signal.SIGTERM)
            assert server.wait(10) == 0, "".join(log)
            reader.join()
            assert not re.search("Traceback|ERROR", "".join(log)), "".join(log)
        finally:
            server.kill()


def state(address: str) -> dict[str, Any]:
    """What /state says of the only camera."""
    with urllib.request.urlopen(f"{address}state", timeout=5) as answer:
        said = json.load(answer)
    camera: dict[str, Any] = next(iter(said["cameras"].values()))
    return camera


def test_a_viewer_stays_connected_through_ten_unplugs(pluggable: LabCamera, figures: Figures) -> None:
    """One connection lasts through all of it: placeholders while the camera is away, then the picture again."""
    with serving("--source", str(pluggable.node()), "--size", "640x480") as address:
        viewer = Viewer(address)
        viewer.start()
        viewer.until(0.0, live=True)
        for _ in range(10):
            pulled = pluggable.pull()
            figures(f"viewer, {pluggable.name}: told of the loss [s]", viewer.until(pulled, live=False).at - pulled)
            pushed = pluggable.push()
            back = viewer.until(pushed, live=True).at
            figures(f"viewer, {pluggable.name}: picture after the replug [s]", back - pushed)
        assert viewer.ended == ""
        gaps = [later.at - part.at for part, later in zip(viewer.parts, viewer.parts[1:], strict=False)]
        figures(f"viewer, {pluggable.name}: longest time without a part [s]", max(gaps))
        assert max(gaps) < 3
        for part in viewer.parts:
            jpeg.checked(part.jpeg)
        assert state(address)["opened"] == 11
    viewer.join(10)


def test_no_damaged_frame_reaches_a_viewer(usb: LabCamera, cam: Callable[..., str]) -> None:
    """With every kind of damage on the wire, all that a viewer gets is whole; what was dropped is counted."""
    with serving("--source", str(usb.node()), "--size", "640x480") as address:
        viewer = Viewer(address)
        viewer.start()
        viewer.until(0.0, live=True)
        for fault in ("truncate", "garbage", "empty", "error"):
            cam("usb", "set", fault, "3")
        parts = len(viewer.parts)
        deadline = time.monotonic() + 20
        while len(viewer.parts) < parts + 60:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for part in viewer.parts:
            jpeg.checked(part.jpeg)
        told = state(address)
        assert told["damaged"] > 5
        assert told["damage"]
    viewer.join(10)
