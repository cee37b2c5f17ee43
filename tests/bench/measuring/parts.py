"""The parts of the bench: each is one situation, measured for both servers in turn, round by round."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .links import Link, network
from .load import MeasureError, Viewers, Window, measure
from .servers import Camera, Name, Server, free_port, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .host import Programs

LOOPBACK_WARMUP = 3.0
"""Seconds before the window on loopback: the socket buffers have grown, and a camera's exposure counts as settled."""
LINK_WARMUP = 7.0
"""Seconds before the window on a link: 4 MB, what a kernel queues for a socket, take 6.4 s at 5 Mbit/s."""
LINK_WINDOWS = 2
"""A link's window is this many times longer: its 99th percentile is of one viewer's frames."""
PORT_IN_NAMESPACE = 8080


@dataclass(frozen=True, slots=True)
class Part:
    """One situation."""

    key: str
    """Its name on the command line."""
    viewers: int = 1
    link: Link | None = None
    """None is loopback."""

    @property
    def title(self) -> str:
        """What the tables call it."""
        if self.link:
            return self.link.name
        return f"{self.viewers} viewer{'s' if self.viewers > 1 else ''}"


FANOUT = tuple(Part(str(viewers), viewers) for viewers in (1, 10, 100, 1000))
LINKS = (
    Part("5mbit", link=Link(5)),
    Part("10mbit", link=Link(10)),
    Part("10mbit-100ms", link=Link(10, one_way_ms=50)),
    Part("50mbit-100ms", link=Link(50, one_way_ms=50)),
)
ALL = FANOUT + LINKS
GROUPS = {"fanout": FANOUT, "links": LINKS}


@dataclass(frozen=True, slots=True)
class Record:
    """The outcome of one window: its figures, or why there are none."""

    part: str
    server: Name
    round: int
    window: Window | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Bench:
    """How all parts are measured."""

    programs: Programs
    camera: Camera
    servers: tuple[Server, ...]
    folder: Path
    """For the servers' logs."""
    rounds: int
    seconds: float
    congestion: str | None = None

    def records(self, parts: tuple[Part, ...]) -> Iterator[Record]:
        """Measure `parts`; which server comes first changes with every round."""
        for part in parts:
            for turn in range(self.rounds):
                for server in self.servers if turn % 2 == 0 else self.servers[::-1]:
                    yield self.record(part, server, turn)

    def record(self, part: Part, server: Server, turn: int) -> Record:
        """Measure one part once for one server, which is started anew for it."""
        print(f"{part.title}: {server.name}, round {turn + 1} of {self.rounds} ...", file=sys.stderr, flush=True)
        log = self.folder / f"{server.name}-{part.key}.log"
        try:
            window = self.over_link(part.link, server, log) if part.link else self.on_loopback(part, server, log)
        except MeasureError as error:
            reason = f"{error}; the last line {server.name} printed: {last_line(log)}"
            print(f"  not measured: {reason}", file=sys.stderr, flush=True)
            return Record(part.key, server.name, turn, None, reason)
        return Record(part.key, server.name, turn, window)

    def on_loopback(self, part: Part, server: Server, log: Path) -> Window:
        """All viewers on loopback."""
        port = free_port()
        viewers = Viewers(self.programs.viewers, "127.0.0.1", port, part.viewers, LOOPBACK_WARMUP, self.seconds)
        with running(server, self.camera, ("127.0.0.1", port), log) as process:
            return measure(process, viewers)

    def over_link(self, link: Link, server: Server, log: Path) -> Window:
        """One viewer on the link, and one on a fast link beside it."""
        seconds = self.seconds * LINK_WINDOWS
        with ExitStack() as open_things:
            net = open_things.enter_context(network(link, self.programs.longpath, self.congestion))
            everywhere = ("0.0.0.0", PORT_IN_NAMESPACE)  # noqa: S104 - in a namespace of its own
            process = open_things.enter_context(running(server, self.camera, everywhere, log, net.server))

            def one_viewer(address: str) -> Viewers:
                program = self.programs.viewers
                return Viewers(program, address, PORT_IN_NAMESPACE, 1, LINK_WARMUP, seconds, net.viewers)

            return measure(process, one_viewer(net.link_address), one_viewer(net.fast_address))


def last_line(log: Path) -> str:
    """The last line a server printed."""
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return next((line for line in reversed(lines) if line.strip()), "(nothing)")
