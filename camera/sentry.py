"""The sentry: a thread beside the capture thread that tells the viewers when there is no picture, and why.

It draws and publishes the placeholder, once a second while somebody watches a camera that is not live. It is a
thread of its own because the capture thread may be the very thing that hangs.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from camera.state import State, Status

if TYPE_CHECKING:
    from camera.capture import Capture
    from camera.demand import Demand
    from camera.sources import Wanted

log = logging.getLogger("vedette.camera")

_EVERY: Final = 1.0
"""Seconds between two placeholders, and between two looks at a camera that is watched."""
_OPENING_GRACE: Final = 1.0
"""Seconds that a source may take to open before the viewers are told: most are quicker, and a flash helps nobody."""
_TITLES: Final = {
    State.OFF: "Camera off",
    State.OPENING: "Opening the camera",
    State.STALLED: "No picture",
    State.LOST: "Camera lost",
}


class Sentry(threading.Thread):
    """Has `capture` publish placeholders while it has no frames for its viewers."""

    def __init__(self, name: str, capture: Capture, demand: Demand, wanted: Wanted) -> None:
        super().__init__(name=f"sentry-{name}", daemon=True)
        self._camera = name
        self._capture = capture
        self._demand = demand
        self._wanted = wanted
        self._alert = threading.Event()

    def alert(self) -> None:
        """Look now: the state has changed, or somebody came. Any thread."""
        self._alert.set()

    def run(self) -> None:
        """Look whenever something changes, and every second while somebody is watching."""
        while not self._demand.ended:
            self._look()
            self._alert.wait(_EVERY if self._demand.watchers else None)
            self._alert.clear()

    def _look(self) -> None:
        status = self._capture.status
        if not self._demand.watchers or not self._worth_telling(status):
            return
        try:
            picture, width, height = self._draw(status)
        except Exception:
            # Without a placeholder the viewers see the last picture again: bad, but no reason to stop looking.
            log.exception("%s: the placeholder could not be drawn", self._camera)
            return
        self._capture.publish_placeholder(status, picture, width, height)

    @staticmethod
    def _worth_telling(status: Status) -> bool:
        if status.state in (State.OFF, State.OPENING):
            return status.seconds >= _OPENING_GRACE
        return status.state is not State.LIVE

    def _draw(self, status: Status) -> tuple[bytes, int, int]:
        """The placeholder for `status`, in the size the camera last had, so that players keep theirs."""
        from camera import placeholder

        size = self._capture.size or (self._wanted.width or 640, self._wanted.height or 480)
        width, height = placeholder.fitting(*size)
        lines = [status.reason] if status.reason else []
        lines.append(f"for {spell_duration(status.seconds)}")
        return placeholder.draw(width, height, f"{self._camera}: {_TITLES[status.state]}", lines), width, height


def spell_duration(seconds: float) -> str:
    """`seconds` as a person would say it: `5 s`, `2 min 5 s`, `3 h 20 min`, `4 days 2 h`."""
    whole = max(0, int(seconds))
    minutes, rest = divmod(whole, 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    if not hours:
        return f"{minutes} min {rest} s"
    days, hours = divmod(hours, 24)
    if not days:
        return f"{hours} h {minutes} min"
    return f"{days} day{'s' if days > 1 else ''} {hours} h"
