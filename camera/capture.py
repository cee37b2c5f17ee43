"""The capture thread: the one owner of a source, and the camera's state machine.

            ┌──────────── nobody wants pictures (from any state) ───────────┐
            ▼                                                               │
    off ──▶ opening ──▶ live ◀──▶ stalled                                   │
               │          │          │                                      │
               └──────▶ lost ◀───────┘   released, tried again after a back-off

Opens, reads and closes the source; checks, repairs or encodes what it gives; publishes frames. Everything here
runs on the capture thread but what is marked *any thread*. A source may hang inside its driver and take this
thread with it: it therefore says before each call until when it will be back, and `status` is judged by that.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from camera import jpeg
from camera.errors import JpegError, SourceError, SourceLost
from camera.exposure import Settling
from camera.frame import Frame, FrameBuffer
from camera.state import State, Statistics, Status
from camera.turn import Turn

if TYPE_CHECKING:
    from camera.demand import Demand
    from camera.sources import Image, Mode, Source

log = logging.getLogger("vedette.camera")

_NEVER: Final = float("inf")
_OPEN_WITHIN: Final = 20.0
"""Seconds that `Source.open()` and `close()` may take before the thread counts as hung: FFmpeg tries for five."""
_READ_WITHIN: Final = 4.0
"""Seconds that `Source.read()` may take before the thread counts as hung: a source gives up after one or two."""
_REOPEN_AFTER: Final = 10.0
"""Seconds without a good frame after which a stalled source is released and opened again."""
_FIRST_RETRY: Final = 0.1
"""Seconds until the first attempt to reopen; doubled each time, up to the source's own `retry_every`."""
_WARM_EVERY: Final = 1.0
"""Seconds between two frames of a camera that is kept warm."""
_LOOK_EVERY: Final = 0.25
"""Seconds between two looks whether anybody still wants pictures."""
_RATE_OVER: Final = 1.0
"""Seconds over which the rate of frames is measured."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """What is done to a picture between the source and the frame buffer."""

    quality: int = 80
    """JPEG quality, 1 to 100, where Vedette has to encode."""
    turn: Turn = field(default_factory=Turn)
    """Rotation and flip. Turning a JPEG means decoding and encoding it."""
    stall_after: float = 2.0
    """Seconds without a good frame after which the camera counts as stalled."""
    settle: float = 3.0
    """Seconds for which a camera's exposure may keep moving after it was opened, at most."""


class Capture(threading.Thread):
    """The thread that owns `source`, and publishes its frames into `buffer` while there is `demand`."""

    def __init__(
        self,
        source: Source,
        buffer: FrameBuffer,
        demand: Demand,
        *,
        name: str,
        treatment: Treatment,
        expected_fps: float | None,
        on_change: Callable[[], None],
    ) -> None:
        """`expected_fps`: frames per second that were asked for, None when the source chooses.

        `on_change` is called on the capture thread after each change of state; it must return at once.
        """
        super().__init__(name=f"capture-{name}", daemon=True)
        self._source = source
        self._buffer = buffer
        self._demand = demand
        self._treatment = treatment
        self._on_change = on_change
        self._expected_fps = expected_fps
        self._changing = threading.Lock()
        self._sequence = itertools.count(1)
        self._status = Status(State.OFF)
        self._mode: Mode | None = None
        self._checker = jpeg.Checker()
        self._frames = self._damaged = self._opened = 0
        self._damage = ""
        self._fps = 0.0
        self._size: tuple[int, int] | None = None
        self._back_by = _NEVER
        self._doing = ""

    # --- any thread -----------------------------------------------------------------------------------

    @property
    def status(self) -> Status:
        """The camera's state as it looks from outside: a thread that is overdue has lost its camera."""
        back_by = self._back_by
        overdue = time.monotonic() - back_by
        if overdue > 0:
            reason = f"the driver does not answer (hung while {self._doing})"
            return Status(State.LOST, reason, time.time() - overdue, back_by)
        return self._status

    @property
    def mode(self) -> Mode | None:
        """What the source gave when it was last opened; None before the first time."""
        return self._mode

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the last frame, in pixels; None before the first."""
        return self._size

    @property
    def statistics(self) -> Statistics:
        """What has been counted so far."""
        fps = self._fps if self.status.state is State.LIVE else 0.0
        return Statistics(fps, self._frames, self._damaged, self._damage, self._opened)

    def publish_placeholder(self, told: Status, picture: bytes, width: int, height: int) -> None:
        """Publish a placeholder that tells of the status `told`, unless the state is another one by now."""
        with self._changing:
            # It took a while to draw: a camera that has come back meanwhile has priority.
            if self.status.state is told.state:
                number, now = next(self._sequence), time.monotonic()
                self._buffer.publish(Frame(picture, number, time.time(), now, width, height, live=False, settled=False))

    # --- the capture thread ---------------------------------------------------------------------------

    def run(self) -> None:
        """Capture while there is demand, until it has ended."""
        retry = _FIRST_RETRY
        while not self._demand.ended:
            if not self._demand.wanted:
                self._idle()
                retry = _FIRST_RETRY
                continue
            frames = self._frames
            self._session()
            if self._frames > frames:
                retry = _FIRST_RETRY
            if self._demand.wanted:
                self._demand.pause(min(retry, self._source.retry_every))
                retry *= 2
        self._enter(State.OFF)

    def _idle(self) -> None:
        """Nobody wants pictures: sleep until somebody does."""
        self._enter(State.OFF)
        self._demand.wait_until_wanted()

    def _session(self) -> None:
        """Open the source and capture until it has gone or nobody wants it; it is closed afterwards."""
        if self._status.state is State.OFF:
            self._enter(State.OPENING)
        try:
            self._expect(_OPEN_WITHIN, "opening")
            self._mode = mode = self._source.open()
            log.debug("%s: opened: %s", self.name, mode)
            self._opened += 1
            self._capture(mode)
            self._enter(State.OFF)  # before it is closed, which may take a while: nobody is to see it live meanwhile
        except SourceError as error:
            self._enter(State.LOST, str(error))
        except Exception as error:  # noqa: BLE001 - logged, and the camera is tried again
            self._defect(error)
        self._expect(_OPEN_WITHIN, "closing")
        try:
            self._source.close()
        except Exception as error:  # noqa: BLE001 - logged, and the camera is tried again
            self._defect(error)
        self._back_by = _NEVER

    def _defect(self, error: Exception) -> None:
        """A defect of ours or of a library must not end capture for good, and must not be quiet; nor loud for ever."""
        reason = f"unexpected {type(error).__name__}; see the log"
        if self._status.reason != reason:
            log.error("%s: unexpected error; the source is opened again", self.name, exc_info=error)
        self._enter(State.LOST, reason)

    def _capture(self, mode: Mode) -> None:
        """Read until nobody wants pictures; raises `SourceError` when there are none to be had any more.

        Per frame it does as little as it can: at 30 frames a second each step runs with cold caches.
        """
        now = good_at = published_at = window_at = time.monotonic()
        look_at = 0.0
        window_frames = self._frames
        settling = Settling(now, self._treatment.settle if mode.settles else 0.0)
        rates = [rate for rate in (mode.fps, self._expected_fps) if rate]
        stall_after = max(self._treatment.stall_after, 3 / min(rates, default=float("inf")))
        demand, read = self._demand, self._source.read
        self._expect(_READ_WITHIN, "reading")
        while True:
            if now >= look_at:
                if not demand.wanted:
                    return
                look_at = now + _LOOK_EVERY
            picture = read()
            now = time.monotonic()
            self._back_by = now + _READ_WITHIN
            if picture is not None:
                if demand.resting and now < published_at + _WARM_EVERY and self._status.state is State.LIVE:
                    good_at = now
                    continue
                if self._publish(picture, now, settling):
                    good_at = published_at = now
                    if now >= window_at + _RATE_OVER:
                        self._fps = (self._frames - window_frames) / (now - window_at)
                        window_at, window_frames = now, self._frames
                    continue
            silence = now - good_at
            if silence > stall_after:
                why = "no frame arrives" if picture is None else f"only damaged frames arrive: {self._damage}"
                if silence > stall_after + _REOPEN_AFTER:
                    raise SourceLost(why)
                self._enter(State.STALLED, why)

    def _publish(self, picture: bytes | Image, now: float, settling: Settling) -> bool:
        """Publish `picture` as a frame; False when it is damaged."""
        wall = time.time()
        try:
            data, width, height = self._treat(picture)
        except JpegError as error:
            self._damaged += 1
            self._damage = str(error)
            return False
        settled = settling.settled or settling.look(data, now)
        self._frames += 1
        if self._status.state is not State.LIVE:
            self._enter(State.LIVE)
            self._size = width, height
        # The number is taken once the state says live: no placeholder gets a later one and comes earlier.
        frame = Frame(data, next(self._sequence), wall, now, width, height, True, settled)
        self._buffer.publish(frame)
        return True

    def _treat(self, picture: bytes | Image) -> tuple[bytes, int, int]:
        """The JPEG to publish and its width and height; raises `JpegError` for a damaged one."""
        turn = self._treatment.turn
        if isinstance(picture, bytes):
            checker = self._checker
            picture = checker.check(picture)
            if not turn:
                return picture, checker.width, checker.height
            picture = jpeg.decode(picture)
        image = turn.applied(picture)
        return jpeg.encode(image, self._treatment.quality), image.shape[1], image.shape[0]

    def _expect(self, seconds: float, doing: str) -> None:
        self._doing = doing
        self._back_by = time.monotonic() + seconds

    def _enter(self, state: State, reason: str = "") -> None:
        """Change the state. Staying in it keeps its moment of entry, whatever the reason is now."""
        before = self._status
        if before.state is state and before.reason == reason:
            return
        with self._changing:
            self._status = replace(before, reason=reason) if before.state is state else Status(state, reason)
            if before.state is State.LIVE:
                self._buffer.clear()  # whoever comes now must not take an old picture for what is happening
        if before.state is not state:
            level = logging.WARNING if state in (State.LOST, State.STALLED) else logging.INFO
            log.log(level, "%s: %s%s", self.name.removeprefix("capture-"), state, f": {reason}" if reason else "")
        self._on_change()
