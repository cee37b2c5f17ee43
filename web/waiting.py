"""The waiting room: requests that wait for a frame of a camera. Runs on the hub.

Each holds one of gunicorn's connections and keeps its camera open. So there may be few of them, and one whose client
has gone is noticed at once, by a watcher on its socket, and not after the minute for which it was willing to wait.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import gevent
from gevent.event import AsyncResult

if TYPE_CHECKING:
    from camera import Frame

_READ: Final = 1


class Answer:
    """What one request waits for."""

    def __init__(self, wanted: Callable[[Frame], bool]) -> None:
        self.wanted = wanted
        self._result: AsyncResult[Frame | None] = AsyncResult()

    def give(self, frame: Frame | None) -> None:
        """End the wait; None gives up."""
        self._result.set(frame)

    def get(self, timeout: float) -> Frame | None:
        """Wait, at most `timeout` seconds; blocks the greenlet only."""
        try:
            frame: Frame | None = self._result.get(timeout=timeout)
        except gevent.Timeout:
            return None
        return frame


class WaitingRoom:
    """The requests that wait for a frame of one camera."""

    def __init__(self) -> None:
        self._answers: dict[Answer, None] = {}

    def __len__(self) -> int:
        return len(self._answers)

    def answer(self, frame: Frame) -> None:
        """Give `frame` to everybody who wants it."""
        for answer in tuple(self._answers):
            if answer.wanted(frame):
                answer.give(frame)

    @contextmanager
    def enter(self, wanted: Callable[[Frame], bool], connection: Any = None) -> Iterator[Answer]:
        """Be in the room for the length of a `with` block; given up when the client of `connection` has gone."""
        answer = Answer(wanted)
        self._answers[answer] = None
        watcher: Any = None
        if connection is not None:
            watcher = gevent.get_hub().loop.io(connection.fileno(), _READ)
            watcher.start(_heard, watcher, connection.fileno(), answer)
        try:
            yield answer
        finally:
            del self._answers[answer]
            if watcher is not None:
                watcher.close()


def _heard(watcher: Any, descriptor: int, answer: Answer) -> None:
    """The client has gone, or has sent its next request already, which is none of our business yet."""
    with socket.socket(fileno=socket.dup(descriptor)) as connection:
        try:
            gone = not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            gone = True
    if gone:
        answer.give(None)
    else:
        watcher.stop()
