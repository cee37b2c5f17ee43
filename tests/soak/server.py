"""The server under soak, what it uses, and the honest viewer who watches all the time."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from camera.errors import JpegError
from camera.jpeg import checked, encode
from tests.serving import StreamReader, Vedette

FPS = 30
SIZE = (1280, 720)
COMPLAINTS = ("traceback", "exception", "error", "critical")
"""What must not stand in the log."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the server uses at one moment; memory in KiB, of parent and worker together."""

    rss: int
    pss: int
    descriptors: int
    threads: int
    greenlets: int
    viewers: int
    objects: int


class Soaked(Vedette):
    """A server whose worker tells which objects are alive."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        """`folder`: for the log and the socket."""
        super().__init__(folder / "vedette.log", *arguments)
        self._door = folder / "census"
        self._command[1:3] = ["-m", "tests.soak.inspected", str(self._door)]
        self._command[0] = sys.executable

    def vitals(self) -> Vitals:
        """What it uses now."""
        with socket.socket(socket.AF_UNIX) as door:
            door.connect(str(self._door))
            census = json.loads(door.makefile("rb").read())
        memory = [_memory(process) for process in (self.process.pid, self.worker)]
        return Vitals(
            rss=sum(rss for rss, _ in memory),
            pss=sum(pss for _, pss in memory),
            descriptors=self.descriptors(),
            threads=self.threads(),
            **census,
        )

    def settled(self, below: Vitals | None = None, patience: float = 20) -> Vitals:
        """What it uses when those who left are gone: as soon as no more than `below`, or after `patience` seconds."""
        deadline = time.monotonic() + patience
        while True:
            vitals = self.vitals()
            if below is None or time.monotonic() > deadline or leaked(vitals, below) == "nothing":
                return vitals
            time.sleep(0.2)

    def complaints(self) -> list[str]:
        """The lines of the log that look like a defect."""
        return [line for line in self.log.splitlines() if any(word in line.lower() for word in COMPLAINTS)]


def leaked(vitals: Vitals, before: Vitals) -> str:
    """What there is more of than before, in words."""
    more = [
        f"{getattr(vitals, name) - getattr(before, name)} {name}"
        for name in ("descriptors", "threads", "greenlets", "viewers")
        if getattr(vitals, name) > getattr(before, name)
    ]
    return ", ".join(more) or "nothing"


def _memory(process: int) -> tuple[int, int]:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:])
    return int(fields["Rss"].split()[0]), int(fields["Pss"].split()[0])


def pictures(folder: Path, count: int = 30) -> Path:
    """A folder with `count` JPEGs of about 60 KB each."""
    folder.mkdir()
    random = np.random.default_rng(1)
    width, height = SIZE
    for index in range(count):
        coarse = random.integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8)
        image = cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC).astype(np.uint8)
        (folder / f"{index}.jpg").write_bytes(encode(image, 70))
    return folder


class Honest:
    """A viewer on a thread of its own who checks every frame and never has to come back."""

    def __init__(self, server: Vedette, *headers: str) -> None:
        self._connection = server.connect("/stream", *headers)
        self._stopping = False
        self._thread = threading.Thread(target=self._watch)
        self.frames = 0
        self._began = time.monotonic()
        self._ended = 0.0
        self.longest_gap = 0.0
        """Seconds between two frames, at most."""
        self.trouble = ""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._ended = time.monotonic()
        self._connection.close()

    @property
    def rate(self) -> float:
        """Frames per second over all its time."""
        return self.frames / (self._ended - self._began)

    def _watch(self) -> None:
        stream = StreamReader(self._connection)
        last, stamp = time.monotonic(), 0.0
        while not self._stopping:
            try:
                headers, jpeg = stream.part()
                found = checked(jpeg)
            except (EOFError, OSError, JpegError) as error:
                if not self._stopping:
                    self.trouble = f"after {self.frames} frames: {error!r}"
                return
            now = time.monotonic()
            self.longest_gap, last = max(self.longest_gap, now - last), now
            before, stamp = stamp, float(headers["x-timestamp"])
            if (found.width, found.height) != SIZE or stamp < before:
                self.trouble = f"frame {self.frames}: {found.width}x{found.height}, {stamp} after {before}"
            self.frames += 1
