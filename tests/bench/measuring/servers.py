"""How each server is started with the fake camera, and stopped.

Both are told the same: one MJPG camera, its JPEGs passed through, on the address given.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Name = Literal["vedette", "ustreamer"]
STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Camera:
    """What the fake camera shows."""

    fakecam: Path
    frames: Path
    width: int
    height: int
    fps: int
    device: str = "/dev/video99"

    def environment(self) -> list[str]:
        """The variables that put the camera into a process, as NAME=VALUE for `env`."""
        return [
            f"LD_PRELOAD={self.fakecam}",
            f"FAKECAM_DEV={self.device}",
            f"FAKECAM_DIR={self.frames}",
            f"FAKECAM_WIDTH={self.width}",
            f"FAKECAM_HEIGHT={self.height}",
            f"FAKECAM_FPS={self.fps}",
        ]


@dataclass(frozen=True, slots=True)
class Server:
    """A server that can be started: its name and its command."""

    name: Name
    command: str
    extra: tuple[str, ...] = ()

    def arguments(self, camera: Camera, host: str, port: int) -> list[str]:
        """Its command line for that camera on that address."""
        size = f"{camera.width}x{camera.height}"
        if self.name == "ustreamer":
            capture = ["-d", camera.device, "-m", "MJPEG", "-c", "HW", "-r", size, "-f", str(camera.fps)]
            return [self.command, *capture, "-s", host, "-p", str(port), *self.extra]
        capture = ["--source", camera.device, "--size", size, "--fps", str(camera.fps), "--standby", "on"]
        reach = [] if host == "127.0.0.1" else ["--open"]
        return [self.command, *capture, "--host", host, "--port", str(port), *reach, *self.extra]


@contextlib.contextmanager
def running(
    server: Server, camera: Camera, address: tuple[str, int], log: Path, namespace: tuple[str, ...] = ()
) -> Iterator[int]:
    """The server while the block runs; gives its process id. `namespace` is a command put in front.

    What it prints goes to `log`. It is asked to stop with SIGTERM and killed when it does not.
    """
    command = [*namespace, "env", *camera.environment(), *server.arguments(camera, *address)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        try:
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
