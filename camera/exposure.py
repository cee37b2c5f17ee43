"""`Settling`: when the exposure of a camera that was just opened has stopped moving.

A webcam opens too dark or too bright and takes up to some seconds to find its exposure. A viewer should see
that happen; a still that is kept should not. Runs on the capture thread, only until the exposure has settled.
"""

from __future__ import annotations

from typing import Final

from camera import jpeg

_STEADY: Final = 4
"""So many measurements in a row must agree."""
_TOLERANCE: Final = 0.03
"""Agree: within this share of the brightness (and within one level, for dark pictures)."""
_EVERY: Final = 0.1
"""Seconds between two measurements."""


class Settling:
    """Watches the brightness of successive frames."""

    def __init__(self, opened_at: float, limit: float) -> None:
        """`opened_at`: `time.monotonic()`; `limit`: seconds after which the exposure counts as settled anyway."""
        self._give_up_at = opened_at + limit
        self._measured_at = 0.0
        self._levels: list[float] = []
        self.settled = limit <= 0

    def look(self, picture: bytes, now: float) -> bool:
        """Take the JPEG of a frame into account; whether the exposure has settled."""
        if not self.settled and now >= self._measured_at + _EVERY:
            self._measured_at = now
            self._levels = [*self._levels[1 - _STEADY :], jpeg.brightness(picture)]
            spread = max(self._levels) - min(self._levels)
            steady = len(self._levels) == _STEADY and spread <= max(1.0, _TOLERANCE * max(self._levels))
            self.settled = steady or now >= self._give_up_at
        return self.settled
