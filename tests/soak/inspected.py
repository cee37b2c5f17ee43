"""`vedette`, with a thread in its worker that tells on a Unix socket which objects are alive.

    python -m tests.soak.inspected SOCKET VEDETTE-ARGUMENT...

Greenlets and viewers cannot be counted from outside a process, and the product needs no such door. Everything else
is exactly what `python -m web` runs: the thread sleeps unless it is asked.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
import threading
from pathlib import Path


def _census() -> dict[str, int]:
    import greenlet  # type: ignore[import-untyped]

    from web.viewers import Viewer

    own = greenlet.getcurrent()  # the thread that asks is one, too
    gc.collect()
    objects = gc.get_objects()
    return {
        "greenlets": sum(
            isinstance(thing, greenlet.greenlet) and not thing.dead and thing is not own for thing in objects
        ),
        "viewers": sum(isinstance(thing, Viewer) for thing in objects),
        "objects": len(objects),
    }


def _answer(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(json.dumps(_census()).encode())


def _begin(path: Path) -> None:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    threading.Thread(target=_answer, args=(listener,), daemon=True).start()


if __name__ == "__main__":
    door = Path(sys.argv.pop(1))
    os.register_at_fork(after_in_child=lambda: _begin(door))
    sys.argv[0] = "vedette"
    from web.cli import main

    main()
