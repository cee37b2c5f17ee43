"""The gunicorn worker: gevent's, with nothing monkey-patched. Runs in the worker process.

`camera/` uses native threads, so `threading`, `time`, `queue` and `subprocess` stay what they are; only the
listening sockets become gevent's. (Measured before this was decided: fully patched, a "thread" inside a blocking
OpenCV call froze the hub for 0.6 s; with threads left alone, native threads that call `time.sleep` leaked
descriptors and a lock held across a switch froze the hub.)

A view may take the connection over and return `ALREADY_HANDLED`: that is how a viewer leaves gunicorn's hands.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import suppress
from functools import partial
from typing import Any, Final

import gevent
from gevent import socket
from gevent.event import Event
from gevent.pool import Pool
from gevent.server import StreamServer
from gunicorn.workers.base_async import ALREADY_HANDLED
from gunicorn.workers.ggevent import GeventWorker

__all__ = ["ALREADY_HANDLED", "HubWorker"]


_PR_SET_PDEATHSIG: Final = 1
"""`linux/prctl.h`: the signal that a process gets when its parent has died."""
_UNREAD_FOR: Final = 5000
"""Milliseconds for which an answer may stay unacknowledged, or its reader's window shut, until it is cut."""
_FINISH_WITHIN: Final = 0.5
"""Seconds that requests in hand have to end after SIGTERM."""
_NOTIFY_EVERY: Final = 5.0
"""Seconds between two signs of life to the arbiter, and two looks whether it is still there."""


class HubWorker(GeventWorker):  # type: ignore[misc]
    """A `GeventWorker` that patches nothing, and ends at once when it is told to."""

    sockets: list[Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._requests = 0
        """Requests in hand. Idle connections, which wait for a next one, are none."""

    def init_process(self) -> None:
        """Become a worker that does not outlive its parent: an orphan would hold the port and the cameras."""
        with suppress(OSError, AttributeError):  # a libc without prctl; `notify()` notices the orphan, too
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        super().init_process()

    def patch(self) -> None:
        """Convert the listening sockets, and nothing else."""
        self.sockets = [
            socket.socket(listener.FAMILY, socket.SOCK_STREAM, fileno=listener.sock.detach())
            for listener in self.sockets
        ]

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve one connection; one whose peer does not read what it asked for is cut by the kernel."""
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_FOR)
        super().handle(listener, client, addr)

    def handle_request(self, *args: Any) -> Any:
        """Serve one request, counted, and let others have a turn: a client may have sent hundreds at once."""
        self._requests += 1
        try:
            return super().handle_request(*args)
        finally:
            self._requests -= 1
            gevent.sleep(0)

    def is_already_handled(self, respiter: Any) -> bool:
        """End gunicorn's keep-alive loop for a connection that a view has taken over."""
        if respiter is ALREADY_HANDLED:
            raise StopIteration
        return False

    def run(self) -> None:
        """Serve until SIGTERM (or Ctrl-C), give the requests in hand a moment, and end.

        GeventWorker's own loop looks once a second whether it should end, and takes an idle connection for a reason
        to stay: that alone would use up the time a user waits for a restart. Streams need no waiting for: their
        viewers have left gunicorn's hands.
        """
        ending = Event()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
            gevent.signal_handler(number, ending.set)
        servers = []
        for listener in self.sockets:
            listener.setblocking(True)
            pool = Pool(self.worker_connections)
            server = StreamServer(listener, handle=partial(self.handle, listener), spawn=pool)
            server.start()
            servers.append(server)
        while self.alive and not ending.wait(_NOTIFY_EVERY):
            self.notify()
        for server in servers:
            server.close()
        give_up_at = time.monotonic() + _FINISH_WITHIN
        while self._requests and time.monotonic() < give_up_at:
            gevent.sleep(0.02)

    def notify(self) -> None:
        """Tell the arbiter that this process is alive; end when the arbiter is not."""
        self.tmp.notify()
        if self.ppid != os.getppid():
            self.log.warning("the arbiter has gone; the worker ends")
            self.alive = False
