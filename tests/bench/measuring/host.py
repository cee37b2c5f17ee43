"""What the host must have, the C programs built for it, and what it is: versions, cores, load."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

NATIVE = Path(__file__).resolve().parent.parent / "native"

INSTALL = {
    "cc": "a C compiler; Debian: apt install gcc libc6-dev",
    "ustreamer": "the server to compare with; Debian: apt install ustreamer",
    "ip": "network namespaces; Debian: apt install iproute2",
    "tc": "rate-limited links; Debian: apt install iproute2",
}

MATTERING_PACKAGES = ("gevent", "gunicorn", "flask", "opencv-python-headless", "numpy")


@dataclass(frozen=True, slots=True)
class Programs:
    """The C programs, built."""

    fakecam: Path
    viewers: Path
    longpath: Path


@dataclass(frozen=True, slots=True)
class Host:
    """What a figure depends on, so that it is not compared with one from somewhere else."""

    cores: int
    machine: str
    kernel: str
    congestion_control: str
    versions: dict[str, str]


def missing(commands: list[str]) -> list[str]:
    """One line for each of `commands` that is not installed, saying how to install it."""
    return [f"{command} is missing: {INSTALL[command]}" for command in commands if find(command) is None]


def find(command: str) -> str | None:
    """The path of a command; /usr/sbin is looked into too, where `ip` and `tc` are for everybody."""
    return shutil.which(command, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def links_impossible() -> list[str]:
    """Why the parts with links cannot run here, one line each; empty when they can."""
    reasons = missing(["ip", "tc"])
    if os.geteuid() != 0:
        reasons.append("not root: network namespaces need it; run with sudo")
    elif not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        reasons.append("/dev/net/tun is missing, which the long path needs: modprobe tun")
    return reasons


def congestion_problems(wanted: str | None) -> list[str]:
    """Why the congestion control `wanted` cannot be chosen in a namespace, one line; empty when it can.

    The kernel lets a namespace choose only from the host's allowed ones. The bench does not change the host.
    """
    allowed = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control").read_text().split()
    if wanted is None or wanted in allowed:
        return []
    return [f"--congestion {wanted}: this host allows a namespace only {', '.join(allowed)}"]


def find_vedette() -> Path | None:
    """The `vedette` beside this Python, else in the tree's own virtual environment, else on the path."""
    tree = Path(__file__).resolve().parents[3]
    found = shutil.which("vedette")
    places = [Path(sys.executable).with_name("vedette"), tree / ".venv" / "bin" / "vedette"]
    places += [Path(found)] if found else []
    return next((place for place in places if os.access(place, os.X_OK)), None)


def build(folder: Path) -> Programs:
    """Compile the C programs into `folder`; raises CalledProcessError when the compiler refuses."""
    programs = Programs(folder / "fakecam.so", folder / "viewers", folder / "longpath")
    flags = ["-O2", "-Wall", "-Wextra", "-std=gnu11"]
    compile_one(["-shared", "-fPIC", *flags], NATIVE / "fakecam.c", programs.fakecam, ["-ldl", "-lpthread"])
    compile_one(flags, NATIVE / "viewers.c", programs.viewers, [])
    compile_one(flags, NATIVE / "longpath.c", programs.longpath, [])
    return programs


def compile_one(flags: list[str], source: Path, target: Path, libraries: list[str]) -> None:
    """Run the C compiler on one file."""
    subprocess.run([find("cc") or "cc", *flags, "-o", str(target), str(source), *libraries], check=True)


def describe(vedette: Path | None, ustreamer: str | None) -> Host:
    """Look up what this host is and which versions are measured."""
    versions: dict[str, str] = {}
    if ustreamer:
        versions["ustreamer"] = first_line([ustreamer, "--version"])
    if vedette:
        versions["vedette"] = first_line([str(vedette), "--version"]).split(" ")[-1]
        versions |= python_versions(vedette.with_name("python"))
    return Host(
        cores=len(os.sched_getaffinity(0)),
        machine=platform.machine(),
        kernel=platform.release(),
        congestion_control=Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip(),
        versions=versions,
    )


def python_versions(python: Path) -> dict[str, str]:
    """The versions of Python and of the packages that matter, asked of the Python that runs Vedette."""
    script = (
        "import importlib.metadata as m, platform\n"
        "print('python', platform.python_version())\n"
        f"for name in {MATTERING_PACKAGES!r}:\n"
        "    try: print(name, m.version(name))\n"
        "    except m.PackageNotFoundError: pass\n"
    )
    interpreter = str(python) if os.access(python, os.X_OK) else sys.executable
    answer = subprocess.run([interpreter, "-c", script], capture_output=True, text=True, check=True)
    return dict(line.split(" ", 1) for line in answer.stdout.splitlines())


def first_line(command: list[str]) -> str:
    """The first line a command prints, "unknown" when it prints nothing."""
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = answer.stdout.splitlines()
    return lines[0].strip() if lines else "unknown"
