"""Thousands who connect and leave at every point of a request, half of them by reset, beside one honest viewer."""

from __future__ import annotations

import random
import socket
import struct
import time
from pathlib import Path

from tests.serving import wait_until
from tests.soak.figures import Figures, curve
from tests.soak.server import FPS, Honest, Soaked, leaked, pictures

RESET = struct.pack("ii", 1, 0)
AT_ONCE = 40
WARM_UP = 0.2
"""The part of the run in which memory may still grow: caches, allocator arenas, first uses."""
REQUEST = b"GET /stream HTTP/1.1\r\nHost: localhost\r\nAccept: %s\r\n\r\n"
ACCEPTS = (b"*/*", b"image/avif,image/*", b"application/octet-stream")
PHASES = ("before the request", "inside the request's headers", "after the request", "inside a frame", "after frames")
STILL_REQUEST = b"GET /snapshot HTTP/1.1\r\nHost: localhost\r\n\r\n"


def churn(folder: Path, connections: int, seed: int) -> Figures:
    """Run it; `connections` in all."""
    figures = Figures(f"{connections:,} connects and disconnects")
    chance = random.Random(seed)
    with Soaked(folder, "--source", str(pictures(folder / "pictures")), "--fps", str(FPS)) as server:
        with Honest(server) as honest:
            wait_until(lambda: honest.frames > FPS, "the honest viewer sees nothing")
            cold = server.vitals()
            for _ in range(2):  # what is made once, at first use, is no leak
                _batch(server, chance, dict.fromkeys(PHASES, 0))
            before = server.settled(cold, 10)
            rss, pss = [before.rss], [before.pss]
            began = time.monotonic()
            counts = dict.fromkeys(PHASES, 0)
            rude = 0
            for batch in range(connections // AT_ONCE):
                rude += _batch(server, chance, counts)
                if (batch + 1) % max(1, connections // AT_ONCE // 40) == 0:
                    vitals = server.settled(before)
                    rss.append(vitals.rss)
                    pss.append(vitals.pss)
            elapsed = time.monotonic() - began
            after = server.settled(before)
            told = server.viewers()
        figures.note("how they left", ", ".join(f"{count} {phase}" for phase, count in counts.items()))
        figures.note("of these by reset", rude)
        figures.note("connections per second", sum(counts.values()) / elapsed)
        figures.hold("left over", leaked(after, before), "nothing", holds=leaked(after, before) == "nothing")
        figures.note(
            "descriptors, threads, greenlets, viewer objects",
            f"{after.descriptors}, {after.threads}, {after.greenlets}, {after.viewers}",
        )
        figures.hold("viewers in /state", told, "1", holds=told == 1)
        warm = int(len(pss) * WARM_UP)
        figures.at_most("PSS grown since the warm-up, KiB", max(pss[-3:]) - pss[warm], 2048)
        figures.at_most("RSS grown since the warm-up, KiB", max(rss[-3:]) - rss[warm], 2048)
        figures.note("PSS over the run, MiB", curve(pss))
        figures.note("RSS over the run, MiB", curve(rss))
        told_of(figures, honest, server)
    return figures


def told_of(figures: Figures, honest: Honest, server: Soaked) -> None:
    """What the honest viewer saw, and what the log says."""
    figures.hold("the honest viewer", honest.trouble or "undisturbed", "undisturbed", holds=not honest.trouble)
    figures.note("its frames per second", honest.rate)
    figures.at_most("its longest wait for a frame, s", honest.longest_gap, 2.0)
    complaints = server.complaints()
    figures.hold("lines in the log that look like a defect", complaints[:3] or 0, "0", holds=not complaints)


def _batch(server: Soaked, chance: random.Random, counts: dict[str, int]) -> int:
    """Some connections at a time, each brought to a phase, then all ended; how many by reset."""
    phases = chance.choices(PHASES, k=AT_ONCE)
    held = [_connected(server.port, phase, chance) for phase in phases]
    for connection, phase in zip(held, phases, strict=True):
        counts[phase] += 1
        if phase == "inside a frame":
            connection.recv(chance.randrange(1, 4000))
        elif phase == "after frames":
            wanted = chance.randrange(50_000, 250_000)
            while wanted > 0:
                wanted -= len(connection.recv(65536))
    rude = 0
    for connection in chance.sample(held, len(held)):
        if chance.random() < 0.5:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            rude += 1
        connection.close()
    return rude


def _connected(port: int, phase: str, chance: random.Random) -> socket.socket:
    """A connection that has said as much as it does in `phase`."""
    connection = socket.socket()
    if phase == "inside a frame":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", port))
    connection.settimeout(30)
    still = phase != "after frames" and chance.random() < 0.1
    request = STILL_REQUEST if still else REQUEST % chance.choice(ACCEPTS)
    if phase == "inside the request's headers":
        request = request[: chance.randrange(1, len(request) - 1)]
    if phase != "before the request":
        connection.sendall(request)
    return connection
