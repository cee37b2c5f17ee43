"""`Camera`: one camera, for whoever uses `camera` as a library, the web part included.

    with Camera("/dev/video0") as camera:
        frame = camera.wait_frame()

It puts together what the other files own: a source, the frame buffer, the demand, the capture thread and the
sentry. Every method may be called on any thread; only `wait_frame()`, `frames()` and `stop()` block.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from camera.capture import Capture, Treatment
from camera.demand import Demand
from camera.errors import FrameTimeout
from camera.frame import Frame, FrameBuffer
from camera.sentry import Sentry
from camera.sources import Wanted
from camera.state import Standby, State, Statistics, Status

if TYPE_CHECKING:
    from camera.sources import Mode, Source

log = logging.getLogger("vedette.camera")


class Camera:
    """A camera that opens when pictures are wanted, comes back by itself when it was lost, and says how it is."""

    def __init__(
        self,
        source: str | Source = "auto",
        *,
        name: str = "camera",
        wanted: Wanted = Wanted(),  # noqa: B008 - immutable
        treatment: Treatment = Treatment(),  # noqa: B008 - immutable
        standby: Standby = Standby.OFF,
        linger: float = 5.0,
    ) -> None:
        """Describe the camera; nothing is opened before `start()` and the first demand.

        `source`: what a user writes into the settings (`auto`, `0`, `/dev/video0`, a URL, a file, `pattern`), or a
        source of your own. `linger`: seconds for which a camera in standby stays open after the last viewer.
        Raises `SettingError` for a source that cannot be meant.
        """
        if isinstance(source, str):
            from camera.sources.select import source_for

            source = source_for(source, wanted)
        self.name = name
        self.wanted = wanted
        self.buffer = FrameBuffer()
        self._demand = Demand(standby, linger)
        self._capture = Capture(
            source,
            self.buffer,
            self._demand,
            name=name,
            treatment=treatment,
            expected_fps=wanted.fps,
            on_change=self._changed,
        )
        self._sentry = Sentry(name, self._capture, self._demand, wanted)

    def start(self) -> None:
        """Start the camera's two threads. A camera is started once."""
        self._capture.start()
        self._sentry.start()

    def stop(self, timeout: float = 5.0) -> bool:
        """End capture and release the source; whether that was done within `timeout` seconds.

        False means that the capture thread hangs inside a driver: end such a process with `os._exit()`,
        since Python and OpenCV must not be torn down beneath a running thread.
        """
        self._demand.end()
        self._sentry.alert()
        for thread in (self._capture, self._sentry):
            if thread.ident is not None:
                thread.join(timeout)
        return not self._capture.is_alive()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.stop():
            log.warning("%s: hangs inside its driver and could not be released", self.name)

    @property
    def status(self) -> Status:
        """The camera's state, why, and since when."""
        return self._capture.status

    @property
    def mode(self) -> Mode | None:
        """What the source turned out to give; None before it was opened for the first time."""
        return self._capture.mode

    @property
    def statistics(self) -> Statistics:
        """What has been counted so far."""
        return self._capture.statistics

    @property
    def standby(self) -> Standby:
        """What the camera does while nobody watches."""
        return self._demand.standby

    @property
    def should_be_live(self) -> bool:
        """Whether somebody wants pictures just now, or the settings say always."""
        return self._demand.wanted

    def enter(self) -> None:
        """Want pictures until `leave()`: what `watch()` does, for those whose wanting is not a block."""
        self._demand.enter()
        self._sentry.alert()

    def leave(self) -> None:
        """Take back one `enter()`."""
        self._demand.leave()

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Want pictures for the length of a `with` block; a camera in standby is opened and kept open."""
        self.enter()
        try:
            yield
        finally:
            self.leave()

    def wait_frame(self, *, max_age: float = 1.0, timeout: float = 10.0, settled: bool = False) -> Frame:
        """A live frame no older than `max_age` seconds, waiting up to `timeout` seconds for one.

        `settled`: wait until the exposure of a camera that was just opened has settled.
        Raises `FrameTimeout` with the camera's state. Blocks: never call it on the hub.
        """
        wanted = fresh(max_age, settled=settled)
        with self.watch():
            frame = self.buffer.wait(wanted, timeout)
        if frame is None:
            raise FrameTimeout(f"{self.name}: {no_picture(self.status)}")
        return frame

    def frames(self, timeout: float = 10.0) -> Iterator[Frame]:
        """Every new live frame, or the newest one when the caller was busy; raises as `wait_frame()` does."""
        last = 0

        def newer(frame: Frame) -> bool:
            return frame.live and frame.sequence > last

        with self.watch():
            while True:
                frame = self.buffer.wait(newer, timeout)
                if frame is None:
                    raise FrameTimeout(f"{self.name}: {no_picture(self.status)}")
                last = frame.sequence
                yield frame

    def _changed(self) -> None:
        self._sentry.alert()


def fresh(max_age: float, *, settled: bool = False) -> Callable[[Frame], bool]:
    """The test for a live frame captured no longer than `max_age` seconds before now, the moment of this call."""
    not_before = time.monotonic() - max_age

    def wanted(frame: Frame) -> bool:
        return frame.live and frame.monotonic >= not_before and (frame.settled or not settled)

    return wanted


def no_picture(status: Status) -> str:
    """Why there is no picture, as one sentence for a person."""
    if status.state is State.LIVE:
        return "the camera is live, but no frame came in time"
    return f"no picture, the camera is {status.state}" + (f": {status.reason}" if status.reason else "")
