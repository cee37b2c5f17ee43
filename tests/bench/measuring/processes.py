"""CPU time and memory of a server: the process that was started and all its descendants.

CPU is read from the kernel's CPU clock of each process, which has nanoseconds and includes
threads that have ended: the sum of fields 14 and 15 of `/proc/PID/stat` (utime and stime), but those
count in steps of 10 ms, which is a third of all a server uses for one viewer in eight seconds.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
CPUCLOCK_SCHED = 2
"""The kernel's clock that runs while any thread of a process runs: include/linux/posix-timers_types.h."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of a group of processes, in megabytes of 10^6 bytes."""

    pss: float
    """Proportional set size, all processes together: shared pages are divided among all who map them."""
    alone: float
    """What PSS would be if no other process on the host mapped any of the same files."""


def tree(root: int) -> list[int]:
    """`root` and all its living descendants."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            parent = parent_of(int(entry.name))
            if parent is not None:
                children[parent].append(int(entry.name))
    found = [root]
    for process in found:  # grows while it is read
        found.extend(children[process])
    return found


def parent_of(process: int) -> int | None:
    """The parent's process id; None when the process has ended."""
    try:
        status = (PROC / str(process) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(status.rpartition(")")[2].split()[1])  # the name before ")" may hold spaces


def cpu_seconds(processes: list[int]) -> float:
    """CPU time used so far by `processes`, all their threads, user and system, in seconds."""
    return sum(time.clock_gettime_ns((~process << 3) | CPUCLOCK_SCHED) for process in processes) / 1e9


def memory(processes: list[int]) -> Memory:
    """Resident memory of `processes` together."""
    pss = own = 0
    files: defaultdict[str, int] = defaultdict(int)
    for process in processes:
        mapped: defaultdict[str, int] = defaultdict(int)
        name = ""
        for line in (PROC / str(process) / "smaps").read_text().splitlines():
            first, _, rest = line.partition(" ")
            if not first.endswith(":"):
                name = rest.split(maxsplit=4)[4] if rest.count(" ") > 4 and "/" in rest else ""
            elif first == "Pss:":
                pss += kilobytes(rest)
                own += 0 if name else kilobytes(rest)
            elif first == "Rss:" and name:
                mapped[name] += kilobytes(rest)
            elif first == "Anonymous:" and name:  # a private copy of a file's page is nobody else's
                mapped[name] -= kilobytes(rest)
                own += kilobytes(rest)
        for name, resident in mapped.items():
            files[name] = max(files[name], resident)
    return Memory(pss=pss * 1.024e-3, alone=(own + sum(files.values())) * 1.024e-3)


def kilobytes(text: str) -> int:
    """The number in a line of `smaps`, such as "     120 kB"."""
    return int(text.split(maxsplit=1)[0])
