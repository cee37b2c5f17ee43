"""`Pace`: when the next picture of a source that makes its own rate is due. Used on the capture thread."""

from __future__ import annotations

import time


class Pace:
    """An absolute schedule of `fps` pictures a second.

    Due times are counted from the first and never from the last, so the rate does not drift. Who comes late is
    given the moment that is due now: what was missed is left out and never made up for in a burst.
    """

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._start = time.monotonic()
        self._tick = 0

    def wait(self, limit: float = 1.0) -> bool:
        """Sleep until the next picture is due and say True; False when that is more than `limit` seconds away.

        The schedule does not move on with a False: the next call waits for the same picture.
        """
        now = time.monotonic()
        due = self._start + self._tick / self._fps
        if now - due > 1 / self._fps:
            self._tick = int((now - self._start) * self._fps)
            due = now
        if due - now > limit:
            time.sleep(limit)
            return False
        if due > now:
            time.sleep(due - now)
        self._tick += 1
        return True
