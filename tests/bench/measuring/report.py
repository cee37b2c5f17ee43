"""The tables and the JSON file."""

from __future__ import annotations

import json
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING

from .parts import LINK_WINDOWS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .bars import Verdict
    from .host import Host
    from .load import Window
    from .parts import Bench, Part, Record


def table(rows: list[list[str]]) -> str:
    """Rows, the first of which is the heading, as a Markdown table with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * width for width in widths]
    padded = [
        [cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in [rows[0], rule, *rows[1:]]
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in padded)


def host_lines(host: Host, bench: Bench, load_before: float) -> str:
    """What was measured, on what."""
    versions = ", ".join(f"{name} {version}" for name, version in host.versions.items())
    busy = ""
    if load_before > host.cores / 2:
        busy = "\nTHE HOST WAS BUSY BEFORE THE RUN: rates, ages and CPU include its noise; repeat on a quiet one"
    return (
        f"{host.cores} cores {host.machine}, kernel {host.kernel}, TCP {bench.congestion or host.congestion_control}, "
        f"load average before the run {load_before:.2f}\n"
        f"{versions}\n"
        f"{bench.camera.width}x{bench.camera.height} at {bench.camera.fps}/s, "
        f"{bench.rounds} rounds of {bench.seconds:g} s (links {LINK_WINDOWS * bench.seconds:g} s), medians{busy}"
    )


def figures(records: list[Record], parts: tuple[Part, ...]) -> str:
    """The medians of each part and server."""
    rows = [
        ["situation", "server", "CPU/frame", "slowest", "mean fps", "age p50", "age p99", "fast link", "PSS (alone)",
         "faults", "load"]
    ]  # fmt: skip
    for part in parts:
        for server in ("vedette", "ustreamer"):
            own = [record for record in records if record.part == part.key and record.server == server]
            windows = [record.window for record in own if record.window]
            if windows:
                rows.append([part.title, server, *row(windows)])
            elif own:
                rows.append([part.title, server, "not measured", *[""] * 8])
    return table(rows)


def row(windows: list[Window]) -> list[str]:
    """The medians of one part and server."""

    def middle(figure: Callable[[Window], float]) -> float:
        return median(map(figure, windows))

    beside = [window.beside.fps_least for window in windows if window.beside]
    return [
        f"{middle(lambda w: w.cpu_us_per_frame):.1f} us",
        f"{middle(lambda w: w.viewing.fps_least):.1f}",
        f"{middle(lambda w: w.viewing.fps_mean):.1f}",
        f"{middle(lambda w: w.viewing.age_ms_p50):.1f} ms",
        f"{middle(lambda w: w.viewing.age_ms_p99):.1f} ms",
        f"{median(beside):.1f} fps" if beside else "",
        f"{middle(lambda w: w.pss_mb):.0f} ({middle(lambda w: w.alone_mb):.0f}) MB",
        faults(windows),
        f"{middle(lambda w: w.load_average):.1f}",
    ]


def faults(windows: list[Window]) -> str:
    """What a viewer should never see, summed over the rounds."""
    kinds = ("repeated", "disordered", "torn", "unstamped", "cut")
    counts = {kind: sum(int(getattr(window.viewing, kind)) for window in windows) for kind in kinds}
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "none"


def verdicts(found: list[Verdict]) -> str:
    """Every bar with what was measured."""
    words = {True: "pass", False: "FAIL", None: "not measured"}
    rows = [["situation", "what", "bar", "measured", "verdict"]]
    rows += [[verdict.part, verdict.what, verdict.bar, verdict.measured, words[verdict.passed]] for verdict in found]
    return table(rows)


def write_json(path: Path, host: Host, bench: Bench, records: list[Record], found: list[Verdict]) -> None:
    """Keep all figures of the run."""
    kept = {
        "host": asdict(host),
        "rounds": bench.rounds,
        "seconds": bench.seconds,
        "congestion": bench.congestion or host.congestion_control,
        "records": [asdict(record) for record in records],
        "verdicts": [asdict(verdict) for verdict in found],
    }
    path.write_text(json.dumps(kept, indent=1) + "\n")
