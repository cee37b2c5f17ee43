"""The command line of `tests/bench/fanout`."""

from __future__ import annotations

import argparse
import os
import resource
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from . import bars, host, report
from .parts import ALL, GROUPS, Bench, Part
from .servers import Camera, Server

WIDTH, HEIGHT, FPS = 1280, 720, 30
FRAME_BYTES = 60 * 1024
PICTURES = 12
NEEDED_FILES = 3000
"""Descriptors a process needs for 1000 viewers: a server may use more than one for each."""


def parser() -> argparse.ArgumentParser:
    """The options."""
    keys = ", ".join([*GROUPS, *(part.key for part in ALL)])
    options = argparse.ArgumentParser(prog="fanout", description="Measure Vedette and ustreamer side by side.")
    options.add_argument("--only", metavar="PARTS", help=f"measure only these, separated by commas: {keys}")
    options.add_argument("--rounds", type=int, default=3, help="rounds per part (3)")
    options.add_argument("--seconds", type=float, default=8.0, help="measured seconds per round (8; links twice that)")
    options.add_argument("--quick", action="store_true", help="one round of 4 s: for a first look, not for figures")
    options.add_argument("--check", action="store_true", help="exit with 1 when a bar is failed or was not measured")
    options.add_argument("--json", type=Path, metavar="FILE", help="keep all figures in this file")
    options.add_argument("--servers", default="vedette,ustreamer", help="which servers (both)")
    options.add_argument("--vedette", type=Path, metavar="PATH", help="the vedette command (found by itself)")
    options.add_argument("--vedette-options", default="", metavar="OPTIONS", help="more options for vedette")
    options.add_argument("--ustreamer", metavar="PATH", help="the ustreamer command (found by itself)")
    options.add_argument("--congestion", metavar="NAME", help="TCP congestion control on the links (the kernel's)")
    options.add_argument("--logs", type=Path, metavar="FOLDER", help="keep what the servers print in this folder")
    return options


def chosen_parts(only: str | None) -> tuple[Part, ...]:
    """The parts named on the command line, in the order of `ALL`; raises KeyError for an unknown one."""
    if only is None:
        return ALL
    by_key = {part.key: (part,) for part in ALL} | GROUPS
    wanted = {part.key for word in only.split(",") for part in by_key[word.strip()]}
    return tuple(part for part in ALL if part.key in wanted)


def chosen_servers(options: argparse.Namespace) -> tuple[tuple[Server, ...], list[str]]:
    """The servers to measure, and one line for each that was not found."""
    found: list[Server] = []
    problems: list[str] = []
    wanted = [name.strip() for name in options.servers.split(",")]
    if "vedette" in wanted:
        vedette = options.vedette or host.find_vedette()
        if vedette and os.access(vedette, os.X_OK):
            found.append(Server("vedette", str(vedette), tuple(shlex.split(options.vedette_options))))
        else:
            problems.append("vedette is missing: pip install -e . in the tree's virtual environment, or --vedette PATH")
    if "ustreamer" in wanted:
        ustreamer = options.ustreamer or host.find("ustreamer")
        if ustreamer:
            found.append(Server("ustreamer", ustreamer))
        else:
            problems += host.missing(["ustreamer"])
    if not found and not problems:
        problems.append(f"--servers {options.servers}: choose from vedette, ustreamer")
    return tuple(found), problems


def allow_many_files() -> list[str]:
    """Raise the limit of open files, which the servers and viewers inherit; the problem, if that fails."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    enough = most == resource.RLIM_INFINITY or most >= NEEDED_FILES
    return [] if enough else [f"only {most} open files allowed, 1000 viewers need {NEEDED_FILES}: ulimit -Hn"]


def make_camera(programs: host.Programs, folder: Path) -> Camera:
    """Make the pictures, in a process of its own (see frames.py), and the camera that shows them."""
    frames = folder / "frames"
    frames.mkdir()
    script = Path(__file__).with_name("frames.py")
    sizes = map(str, (WIDTH, HEIGHT, FRAME_BYTES, PICTURES))
    subprocess.run([sys.executable, str(script), str(frames), *sizes], check=True)
    return Camera(programs.fakecam, frames, WIDTH, HEIGHT, FPS)


def main() -> int:
    """Run the bench; the exit code is 1 for a failed --check and 2 when it cannot run."""
    options = parser().parse_args()
    try:
        parts = chosen_parts(options.only)
    except KeyError as error:
        print(f"fanout: there is no part {error}", file=sys.stderr)
        return 2
    servers, problems = chosen_servers(options)
    problems += host.missing(["cc"]) + allow_many_files() + host.congestion_problems(options.congestion)
    if problems:
        for problem in problems:
            print(f"fanout: {problem}", file=sys.stderr)
        return 2
    impossible = host.links_impossible() if any(part.link for part in parts) else []
    for reason in impossible:
        print(f"fanout: THE LINKS ARE NOT MEASURED: {reason}", file=sys.stderr)

    with tempfile.TemporaryDirectory(prefix="fanout-") as name:
        folder = Path(name)
        logs: Path = options.logs or folder
        logs.mkdir(parents=True, exist_ok=True)
        programs = host.build(folder)
        bench = Bench(
            programs=programs,
            camera=make_camera(programs, folder),
            servers=servers,
            folder=logs,
            rounds=1 if options.quick else options.rounds,
            seconds=4.0 if options.quick else options.seconds,
            congestion=options.congestion,
        )
        return run(bench, parts, links=not impossible, options=options)


def run(bench: Bench, parts: tuple[Part, ...], *, links: bool, options: argparse.Namespace) -> int:
    """Measure and report; the exit code of the program."""
    commands = {server.name: server.command for server in bench.servers}
    vedette = Path(commands["vedette"]) if "vedette" in commands else None
    this_host = host.describe(vedette, commands.get("ustreamer"))
    load_before = os.getloadavg()[0]
    possible = tuple(part for part in parts if links or not part.link)
    records = list(bench.records(possible))
    found = bars.judge(records, parts, FPS)
    print(report.host_lines(this_host, bench, load_before), end="\n\n")
    print(report.figures(records, possible), end="\n\n")
    print(report.verdicts(found))
    if options.json:
        report.write_json(options.json, this_host, bench, records, found)
    return 1 if options.check and not all(verdict.passed for verdict in found) else 0
