"""`Demand`: whether anybody wants pictures of a camera, and the capture thread's sleep until somebody does.

Leases are taken and given back on any thread, the hub included: nothing here blocks but `wait_until_wanted()`
and `pause()`, which are the capture thread's.
"""

from __future__ import annotations

import threading
import time

from camera.state import Standby


class Demand:
    """Counts who is watching, and says what the standby mode makes of it."""

    def __init__(self, standby: Standby, linger: float) -> None:
        """`linger`: seconds for which a camera in standby stays open after its last viewer has left."""
        self.standby = standby
        self._linger = linger
        self._changed = threading.Condition(threading.Lock())
        self._watchers = 0
        self._left_at = -linger
        self._ended = False
        self.resting = standby is Standby.WARM
        """True while one frame a second is enough: kept warm, and nobody watches."""

    @property
    def watchers(self) -> int:
        """How many leases are out."""
        return self._watchers

    @property
    def ended(self) -> bool:
        """True once `end()` was called: the capture thread should come to its end."""
        return self._ended

    def enter(self) -> None:
        """Take a lease: somebody wants every frame."""
        with self._changed:
            self._watchers += 1
            self.resting = False
            self._changed.notify_all()

    def leave(self) -> None:
        """Give a lease back."""
        with self._changed:
            self._watchers -= 1
            self._left_at = time.monotonic()
            self.resting = self.standby is Standby.WARM and not self._watchers

    def end(self) -> None:
        """Nobody will ever want a picture again; wakes whoever waits."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def wanted(self) -> bool:
        """Whether the source should be open."""
        if self._ended:
            return False
        if self._watchers or self.standby is not Standby.OFF:
            return True
        return time.monotonic() - self._left_at < self._linger

    def wait_until_wanted(self) -> None:
        """Block until the source should be open, or the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self.wanted)

    def pause(self, seconds: float) -> None:
        """Block for `seconds`, or until the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended, seconds)
