"""One measured window: viewers on one side, the server's CPU time and memory on the other."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import processes

if TYPE_CHECKING:
    from pathlib import Path


class MeasureError(Exception):
    """A window could not be measured; the message says why."""


@dataclass(frozen=True, slots=True)
class Viewing:
    """What the viewers of one connection kind saw; ages in milliseconds, rates in frames per second."""

    viewers: int
    seconds: float
    frames: int
    """Distinct frames, all viewers together."""
    fps_least: float
    """Of the viewer that got the fewest."""
    fps_mean: float
    fps_most: float
    age_ms_p50: float
    age_ms_p90: float
    age_ms_p99: float
    frame_bytes: float
    """Mean size of a JPEG."""
    bytes: int
    repeated: int
    disordered: int
    torn: int
    unstamped: int
    cut: int
    client_cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Window:
    """What one server did for its viewers in one window."""

    viewing: Viewing
    beside: Viewing | None
    """What a viewer on a fast link saw at the same time."""
    cpu_us_per_frame: float
    """CPU of all the server's processes per frame delivered to any viewer, microseconds."""
    pss_mb: float
    alone_mb: float
    load_average: float
    """Of the last minute, at the end of the window; it includes what is measured."""


@dataclass(frozen=True, slots=True)
class Viewers:
    """Viewers to be started: how many, where, and for how long (seconds)."""

    program: Path
    host: str
    port: int
    count: int
    warmup: float
    window: float
    namespace: tuple[str, ...] = ()
    patience: float = 30.0

    def start(self) -> subprocess.Popen[str]:
        """Start them; the process prints "begin", "end" and a JSON object."""
        figures = map(str, (self.port, "/stream", self.count, self.warmup, self.window, self.patience))
        command = [*self.namespace, str(self.program), self.host, *figures]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def measure(server: int, viewers: Viewers, beside: Viewers | None = None) -> Window:
    """Measure the server with process id `server`; raises MeasureError when its stream cannot be read."""
    fast = beside.start() if beside else None
    load = viewers.start()
    try:
        expect(load, "begin")
        members = processes.tree(server)
        before = processes.cpu_seconds(members)
        expect(load, "end")
        used = processes.cpu_seconds(members) - before
        memory = processes.memory(members)
        viewing = figures(load)
        fast_viewing = figures(fast) if fast else None
    except ProcessLookupError as error:
        message = "a process of the server ended during the window"
        raise MeasureError(message) from error
    finally:
        for process in (load, fast):
            if process:
                process.kill()
                process.wait()
    delivered = viewing.frames + (fast_viewing.frames if fast_viewing else 0)
    if not delivered:
        message = "no frame was delivered"
        raise MeasureError(message)
    return Window(
        viewing=viewing,
        beside=fast_viewing,
        cpu_us_per_frame=used / delivered * 1e6,
        pss_mb=memory.pss,
        alone_mb=memory.alone,
        load_average=os.getloadavg()[0],
    )


def expect(load: subprocess.Popen[str], word: str) -> None:
    """Wait for that line of the viewers' output."""
    assert load.stdout is not None
    line = load.stdout.readline().strip()
    if line != word:
        raise MeasureError(complaint(load) or f"the viewers said {line!r} instead of {word!r}")


def figures(load: subprocess.Popen[str]) -> Viewing:
    """The figures the viewers print at the end."""
    assert load.stdout is not None
    # Not communicate(): it would miss what is already in the buffer that readline() reads from.
    line = load.stdout.read().rpartition("}")[0].rpartition("{")[2]
    try:
        return Viewing(**json.loads(f"{{{line}}}"))
    except (ValueError, TypeError) as error:
        raise MeasureError(complaint(load) or "the viewers printed no figures") from error


def complaint(load: subprocess.Popen[str]) -> str:
    """What the viewers, who have ended, printed on stderr."""
    assert load.stderr is not None
    return load.stderr.read().strip()
