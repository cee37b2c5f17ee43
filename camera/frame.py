"""`Frame`, one picture, and `FrameBuffer`, which holds the latest one.

The frame buffer is where the capture thread and everybody else meet. It has two verbs, *publish* (called by
`camera.capture`) and *subscribe* (by the fan-out of `web.viewers`, for one), and holds one frame: a reader that was
busy gets the newest next time, nobody queues. Called on any thread; publishing takes no lock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple


class Frame(NamedTuple):
    """One encoded picture and when it was captured.

    A tuple, since one is made for each picture: it costs half of what a frozen dataclass costs.
    """

    jpeg: bytes
    """A whole JPEG file, with its Huffman tables."""
    sequence: int
    """The running number of the frame in its camera, from 1; placeholders are counted too."""
    captured_at: float
    """When the source gave the frame: wall clock, seconds since the epoch."""
    monotonic: float
    """The same moment on `time.monotonic()`: ages are computed from this one."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    live: bool = True
    """False for a placeholder, which says that the camera has no picture and why."""
    settled: bool = True
    """False while the exposure of a camera that was just opened is still moving."""

    def __repr__(self) -> str:
        return f"<Frame {self.sequence}: {self.width}x{self.height}, {len(self.jpeg)} bytes, {self.age:.3f} s old>"

    @property
    def age(self) -> float:
        """Seconds since the frame was captured."""
        return time.monotonic() - self.monotonic


class FrameBuffer:
    """The latest frame of one camera, and whom to wake when there is a newer one."""

    def __init__(self) -> None:
        self._latest: Frame | None = None
        self._wakes: tuple[Callable[[], object], ...] = ()
        self._subscribing = threading.Lock()

    @property
    def latest(self) -> Frame | None:
        """The newest frame, or None before the first and after `clear()`."""
        return self._latest

    def publish(self, frame: Frame) -> None:
        """Make `frame` the latest and wake all subscribers. Takes no lock: a store and a few calls."""
        self._latest = frame
        for wake in self._wakes:
            wake()

    def clear(self) -> None:
        """Forget the latest frame, so that nobody takes an old picture for a new one."""
        self._latest = None

    def subscribe(self, wake: Callable[[], object]) -> Callable[[], None]:
        """Have `wake()` called after each publish; returns the function that ends it.

        `wake` runs on the publishing thread and must return at once. It is a hint: calls may be coalesced on
        their way, and one more may come while it is being ended. So read `latest`, and never count them.
        """
        with self._subscribing:
            self._wakes = (*self._wakes, wake)

        def unsubscribe() -> None:
            with self._subscribing:
                self._wakes = tuple(other for other in self._wakes if other is not wake)

        return unsubscribe

    def wait(self, wanted: Callable[[Frame], bool], timeout: float | None = None) -> Frame | None:
        """The first frame, from the latest on, for which `wanted` is true; None after `timeout` seconds.

        Blocks the calling thread; never call it on the hub.
        """
        published = threading.Event()
        wake = published.set
        unsubscribe = self.subscribe(wake)
        deadline = None if timeout is None else time.monotonic() + timeout
        try:
            while True:
                published.clear()
                frame = self._latest
                if frame is not None and wanted(frame):
                    return frame
                if not published.wait(None if deadline is None else deadline - time.monotonic()):
                    return None
        finally:
            unsubscribe()
