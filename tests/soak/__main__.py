"""`tests/soak/run`: what takes too long for the ordinary tests. See docs/soak.md."""

from __future__ import annotations

import argparse
import datetime as dt
import platform
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.soak.churn import churn
from tests.soak.figures import Figures
from tests.soak.hostile import hostile
from tests.soak.mutants import mutants
from tests.soak.watching import watching


def main() -> int:
    """Run the parts asked for and print their figures; 1 when one is out of its bound."""
    parser = argparse.ArgumentParser(prog="tests/soak/run", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="for each part that has a duration (default: 5)")
    parser.add_argument("--connections", type=int, default=10_000, help="connects and disconnects (default: 10000)")
    parser.add_argument("--seed", type=int, default=1, help="of the random choices (default: 1)")
    parser.add_argument(
        "--only", default="churn,mutants,hostile,watching", metavar="PART,...", help="(default: %(default)s)"
    )
    parser.add_argument("--keep", type=Path, help="folder for logs and the files that failed (default: temporary)")
    options = parser.parse_args()

    seconds = options.minutes * 60
    parts: dict[str, Callable[[Path], Figures]] = {
        "churn": lambda folder: churn(folder, options.connections, options.seed),
        "mutants": lambda folder: mutants(folder, seconds, options.seed),
        "hostile": lambda folder: hostile(folder, seconds, options.seed),
        "watching": lambda folder: watching(folder, options.minutes),
    }
    chosen = options.only.split(",")
    if unknown := [name for name in chosen if name not in parts]:
        parser.error(f"no such part: {', '.join(unknown)}; there is {', '.join(parts)}")
    # Thousands of sockets at a time.
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    today = dt.datetime.now(dt.UTC).date()
    print(f"{today}, {platform.machine()}, Linux {platform.release()}, Python {platform.python_version()}", flush=True)
    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        for name in chosen:
            folder = (options.keep or Path(temporary)) / name
            folder.mkdir(parents=True)
            figures = parts[name](folder)
            print(f"\n{figures}", flush=True)
            failed |= figures.failed
    return failed


if __name__ == "__main__":
    sys.exit(main())
