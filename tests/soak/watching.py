"""One viewer of each framing for minutes: every frame is whole, and memory stays where it is."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

from tests.serving import wait_until
from tests.soak.churn import told_of
from tests.soak.figures import Figures, curve
from tests.soak.server import FPS, Honest, Soaked, leaked, pictures


def watching(folder: Path, minutes: float) -> Figures:
    """Run it for `minutes`."""
    figures = Figures(f"A viewer of each framing, {minutes:g} minutes")
    with Soaked(folder, "--source", str(pictures(folder / "pictures")), "--fps", str(FPS)) as server:
        began = time.monotonic()
        with (
            Honest(server) as program,
            Honest(server, "Accept: application/octet-stream") as page,
            server.connect("/stream", "Accept: image/avif,image/*") as image,
        ):
            ends: list[int] = []
            reader = threading.Thread(target=_count_ends, args=(image, ends))
            reader.start()
            wait_until(lambda: program.frames > FPS and page.frames > FPS, "no frames")
            before = server.vitals()
            rss, pss = [before.rss], [before.pss]
            while time.monotonic() - began < minutes * 60:
                time.sleep(5)
                vitals = server.vitals()
                rss.append(vitals.rss)
                pss.append(vitals.pss)
            after = server.settled(before)
            framings = sorted(viewer["framing"] for viewer in server.camera()["viewers"])
            image.shutdown(socket.SHUT_RDWR)
            reader.join()
        figures.hold(
            "framings at the end", framings, "img, page, program", holds=framings == ["img", "page", "program"]
        )
        figures.note("frames of the img", len(ends))
        figures.note("frames of the page", page.frames)
        figures.hold("the page", page.trouble or "undisturbed", "undisturbed", holds=not page.trouble)
        figures.hold("left over", leaked(after, before), "nothing", holds=leaked(after, before) == "nothing")
        warm = len(pss) // 5
        figures.at_most("PSS grown since the warm-up, KiB", max(pss[-3:]) - pss[warm], 1024)
        figures.at_most("RSS grown since the warm-up, KiB", max(rss[-3:]) - rss[warm], 1024)
        figures.note("PSS over the run, MiB", curve(pss))
        figures.note("RSS over the run, MiB", curve(rss))
        told_of(figures, program, server)
    return figures


def _count_ends(connection: socket.socket, ends: list[int]) -> None:
    """Note the length of each frame of an `<img>`'s stream, which has no Content-Length."""
    data = b""
    while received := connection.recv(1 << 18):
        data += received
        *frames, data = data.split(b"\r\n--boundarydonotcross\r\n")
        ends += [len(frame) for frame in frames if frame.endswith(b"\xff\xd9")]
