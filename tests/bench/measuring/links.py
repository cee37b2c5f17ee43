"""Two network namespaces, one for the server and one for the viewers, and the links between them.

The host's own network is not touched. Needs root.

- *fast*: a veth pair, as it is;
- *slow*: a veth pair with a token bucket filter on the server's end, so that the queue in front of
  the slow link is the kernel's, as on a Wi-Fi adapter;
- *long*: a pair of TUN devices with `longpath` between them: a rate, a bounded queue and a delay.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUEUE_MS = 400
"""How much a slow link may queue before it drops packets: tbf's `latency`, longpath's QUEUE_MS."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link between server and viewer."""

    mbit: float
    """Megabits per second."""
    one_way_ms: float = 0.0
    """Propagation delay of one direction, milliseconds."""

    @property
    def name(self) -> str:
        """How it is called in tables and on the command line."""
        delay = f", {2 * self.one_way_ms:g} ms round trip" if self.one_way_ms else ""
        return f"{self.mbit:g} Mbit/s{delay}"

    def frame_ms(self, frame_bytes: float) -> float:
        """What the link needs to carry one frame, milliseconds, headers of Ethernet, IP and TCP included.

        A full packet carries 1448 bytes in a frame of 1514 (IPv4, TCP with timestamps), which is what tbf counts.
        """
        return frame_bytes * 1514 / 1448 * 8 / self.mbit / 1e3


@dataclass(frozen=True, slots=True)
class Network:
    """The namespaces, as commands to put in front of another, and the server's two addresses."""

    server: tuple[str, ...]
    viewers: tuple[str, ...]
    fast_address: str
    link_address: str


@contextlib.contextmanager
def network(link: Link, longpath: Path, congestion: str | None = None) -> Iterator[Network]:
    """Both namespaces, joined by a fast link and by `link`, while the block runs.

    `congestion` is the congestion control of the server's TCP; None leaves the kernel's default.
    """
    server, viewers = f"fanout-server-{os.getpid()}", f"fanout-viewers-{os.getpid()}"
    with contextlib.ExitStack() as cleanup:
        for name in (server, viewers):
            ip("netns", "add", name)
            cleanup.callback(ip, "netns", "del", name)
            ip("-n", name, "link", "set", "lo", "up")
        veth(server, viewers, "fast", "10.201.0")
        if link.one_way_ms:
            cleanup.enter_context(long_path(link, longpath, server, viewers, "10.201.1"))
        else:
            veth(server, viewers, "slow", "10.201.1")
            limit = ["rate", f"{link.mbit:g}mbit", "burst", "32kbit", "latency", f"{QUEUE_MS}ms"]
            run(host.find("tc"), "-n", server, "qdisc", "add", "dev", "slow", "root", "tbf", *limit)
        if congestion:
            run(*inside(server), "sysctl", "-qw", f"net.ipv4.tcp_congestion_control={congestion}")
        yield Network(inside(server), inside(viewers), "10.201.0.1", "10.201.1.1")


def veth(server: str, viewers: str, device: str, prefix: str) -> None:
    """A veth pair: prefix.1 at the server's end, prefix.2 at the viewers'; both ends have the same name."""
    ip("-n", server, "link", "add", device, "type", "veth", "peer", "name", device, "netns", viewers)
    for name, address in ((server, f"{prefix}.1/24"), (viewers, f"{prefix}.2/24")):
        ip("-n", name, "address", "add", address, "dev", device)
        ip("-n", name, "link", "set", device, "up")


@contextlib.contextmanager
def long_path(link: Link, longpath: Path, server: str, viewers: str, prefix: str) -> Iterator[None]:
    """Both ends of the long path, with addresses as for `veth`; `longpath` runs while the block does."""
    shape = (f"{link.mbit:g}", f"{link.one_way_ms:g}", str(QUEUE_MS))
    command = [str(longpath), server, "long", viewers, "long", *shape]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as relay:
        try:
            assert relay.stdout is not None
            if relay.stdout.readline() != b"ready\n":
                raise subprocess.CalledProcessError(relay.wait(), command)
            for name, address in ((server, f"{prefix}.1/24"), (viewers, f"{prefix}.2/24")):
                ip("-n", name, "address", "add", address, "dev", "long")
                ip("-n", name, "link", "set", "long", "up")
            yield
        finally:
            relay.terminate()


def inside(namespace: str) -> tuple[str, ...]:
    """The command that runs another one in a namespace."""
    return (host.find("ip") or "ip", "netns", "exec", namespace)


def ip(*arguments: str) -> None:
    """Run `ip`."""
    run(host.find("ip"), *arguments)


def run(program: str | None, *arguments: str) -> None:
    """Run a program of iproute2; raises CalledProcessError, with what it said on stderr."""
    assert program is not None
    subprocess.run([program, *arguments], check=True)
