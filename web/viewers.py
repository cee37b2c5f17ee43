"""Viewers and the fan-out: how one frame reaches everybody who watches a camera. Runs on the hub.

The fan-out is a loop over non-blocking sends, not a greenlet for each viewer: a part is built once for each
framing in use, and that one object is offered to all viewers. A viewer whose link has no room is passed over, and
gets the newest frame as soon as there is room; `web.gate` decides that. Nothing is queued, so nobody is shown the
past, and a slow viewer costs the others nothing.

Since a gated viewer is not written to, its death is noticed by reading: there is a read watcher for the life of
each viewer. A peer that has stopped reading is cut by the kernel (`TCP_USER_TIMEOUT`).
"""

from __future__ import annotations

import logging
import secrets
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import gevent

from camera import State
from web.gate import POLL, has_room
from web.waiting import WaitingRoom

if TYPE_CHECKING:
    from camera import Camera, Frame
    from web.framing import Framing

log = logging.getLogger("vedette.web")

_READ, _WRITE = 1, 2
_REPEAT_AFTER: Final = 0.9
"""Seconds of silence after which the last frame is sent again: clients take a silent stream for a dead one."""
_TICK_AT_LEAST: Final = 0.1
"""Seconds between two looks for such viewers, at least."""
_RATE_OVER: Final = 2.0
"""Seconds over which a viewer's rate is measured."""
_PEER_TIMEOUT: Final = 3000
"""Milliseconds for which sent data may stay unacknowledged, or the peer's window shut, until the viewer is cut."""
_CHATTER: Final = 65536
"""Bytes that a viewer may send after its request. Nobody needs any; what sends more is not a viewer."""


class Viewer:
    """One connection that is being sent a camera's frames, and what `/state` tells about it."""

    __slots__ = (
        "_rate_at",
        "_rate_sent",
        "address",
        "chatter",
        "due",
        "fps",
        "framing",
        "id",
        "interval",
        "last",
        "pending",
        "reading",
        "sent",
        "sent_at",
        "since",
        "skipped",
        "sock",
        "writing",
    )

    def __init__(self, sock: socket.socket, framing: Framing, limit: float | None, address: str) -> None:
        """`sock`: a plain TCP socket of the viewer's own; `limit`: frames per second at most."""
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _PEER_TIMEOUT)
        loop = gevent.get_hub().loop
        self.id = secrets.token_hex(4)
        self.sock = sock
        self.framing = framing
        self.interval = 1 / limit if limit else 0.0
        """Seconds between two frames at least; 0.0 for all of them."""
        self.address = address
        self.since = time.time()
        self.reading: Any = loop.io(sock.fileno(), _READ)
        self.writing: Any = loop.io(sock.fileno(), _WRITE)
        self.pending: memoryview | None = None
        """What the kernel had no room for, of the part that is being sent."""
        self.last: Frame | None = None
        """The frame that was sent last."""
        self.sent_at = time.monotonic()
        self.due = 0.0
        """`time.monotonic()` before which a viewer with a limit gets no frame."""
        self.sent = 0
        self.skipped = 0
        """Frames that this viewer was not shown because its link had no room for them."""
        self.fps = 0.0
        """Frames sent per second, over the last seconds."""
        self.chatter = 0
        self._rate_at = self.sent_at
        self._rate_sent = 0

    @property
    def age(self) -> float:
        """Seconds from the capture of the last frame to its sending; 0.0 before the first."""
        return self.sent_at - self.last.monotonic if self.last else 0.0

    def measure(self, now: float) -> None:
        """Bring `fps` up to date."""
        elapsed = now - self._rate_at
        if elapsed >= _RATE_OVER:
            self.fps = (self.sent - self._rate_sent) / elapsed
            self._rate_at, self._rate_sent = now, self.sent

    def close(self) -> None:
        """Release watchers and socket; the kernel still delivers what it has taken."""
        for watcher in (self.reading, self.writing):
            watcher.stop()
            watcher.close()
        self.pending = None
        self.sock.close()


class Fanout:
    """All viewers of one camera, and the greenlets that wait for a frame of it."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self._viewers: dict[Viewer, None] = {}
        self.waiting = WaitingRoom()
        self._without_room: dict[Viewer, None] = {}
        self._frame: Frame | None = None
        self._parts: dict[Framing, bytes] = {}
        self._unsubscribe: Callable[[], None] | None = None
        loop = gevent.get_hub().loop
        self._wake: Any = loop.async_()
        self._wake.start(self._on_frame)
        self._ticker: Any = loop.timer(_REPEAT_AFTER)
        self._poller: Any = loop.timer(POLL, POLL)

    @property
    def viewers(self) -> tuple[Viewer, ...]:
        """Everybody who is watching."""
        return tuple(self._viewers)

    def __len__(self) -> int:
        return len(self._viewers)

    def add(self, viewer: Viewer, head: bytes) -> None:
        """Begin to send frames to `viewer`, after `head`: the response's headers and the framing's opening."""
        self._viewers[viewer] = None
        self.camera.enter()
        self._listen()
        viewer.reading.start(self._on_readable, viewer)
        if len(self._viewers) == 1:
            self._tick_in(_REPEAT_AFTER)
        if self._send(viewer, head) and self.camera.status.state is State.LIVE:
            # While it is not, a first frame would be an old one; the sentry's placeholder is on its way.
            self._on_frame()
            self._offer_latest(viewer)

    def remove(self, viewer: Viewer) -> None:
        """Forget a viewer who has gone, or must go."""
        if self._viewers.pop(viewer, viewer) is viewer:
            return
        self._without_room.pop(viewer, None)
        viewer.close()
        self.camera.leave()
        if not self._viewers:
            self._ticker.close()
        self._unlisten()

    def wait_frame(self, wanted: Callable[[Frame], bool], timeout: float, connection: Any = None) -> Frame | None:
        """The first frame for which `wanted` is true, or None after `timeout` seconds. Blocks the greenlet only.

        `connection`: the caller's socket, if it is to be given up when the caller has gone.
        """
        try:
            with self.camera.watch(), self.waiting.enter(wanted, connection) as answer:
                self._listen()  # first, so that no frame is missed between the look and the wait
                frame = self.camera.buffer.latest
                return frame if frame is not None and wanted(frame) else answer.get(timeout)
        finally:
            self._unlisten()

    def close(self) -> None:
        """End all streams."""
        for viewer in self.viewers:
            self.remove(viewer)
        for watcher in (self._wake, self._ticker, self._poller):
            watcher.stop()

    # --- a new frame ----------------------------------------------------------------------------------

    def _listen(self) -> None:
        if self._unsubscribe is None:
            self._unsubscribe = self.camera.buffer.subscribe(self._wake.send)

    def _unlisten(self) -> None:
        if self._unsubscribe is not None and not self._viewers and not self.waiting:
            self._unsubscribe()
            self._unsubscribe = None

    def _on_frame(self) -> None:
        """The capture thread has published: wake-ups coalesce on their way, so it is the latest frame that counts."""
        frame = self.camera.buffer.latest
        if frame is self._frame:
            return
        self._frame = frame
        self._parts.clear()
        if frame is None:
            return
        if self.waiting:
            self.waiting.answer(frame)
        now = time.monotonic()
        for viewer in tuple(self._viewers):
            self._offer(viewer, frame, now)

    def _offer(self, viewer: Viewer, frame: Frame, now: float) -> None:
        """Send `frame` to `viewer`, unless it has it, is not due, or its link has no room."""
        if viewer.last is frame or viewer.pending is not None or now < viewer.due:
            return
        if has_room(viewer.sock):
            self._send_frame(viewer, frame, now)
        else:
            if not self._without_room:
                self._poller.start(self._on_poll)
            self._without_room[viewer] = None

    def _send_frame(self, viewer: Viewer, frame: Frame, now: float) -> None:
        if viewer.interval:
            # On the schedule as long as it can be kept, so that 20 of 30 frames a second are 20; else from now on.
            scheduled = viewer.due + viewer.interval
            viewer.due = scheduled if scheduled > now else now + viewer.interval
        elif viewer.last is not None and frame.sequence > viewer.last.sequence:
            viewer.skipped += frame.sequence - viewer.last.sequence - 1
        viewer.last = frame
        viewer.sent += 1
        viewer.sent_at = now
        part = self._parts.get(viewer.framing)
        if part is None:
            state = State.LIVE if frame.live else self.camera.status.state
            part = self._parts[viewer.framing] = viewer.framing.part(frame, state)
        self._send(viewer, part)

    def _send(self, viewer: Viewer, data: bytes | memoryview) -> bool:
        """Write `data`, now as far as the kernel takes it and the rest when it can; False when that is so."""
        try:
            count = viewer.sock.send(data)
        except BlockingIOError:
            count = 0
        except OSError as error:
            self._lost(viewer, error)
            return False
        if count == len(data):
            viewer.pending = None
            return True
        viewer.pending = memoryview(data)[count:]
        if not viewer.writing.active:
            viewer.writing.start(self._on_writable, viewer)
        return False

    def _offer_latest(self, viewer: Viewer) -> None:
        if self._frame is not None:
            self._offer(viewer, self._frame, time.monotonic())

    # --- watchers and timers --------------------------------------------------------------------------

    def _on_writable(self, viewer: Viewer) -> None:
        """The kernel has room again for the part that was begun."""
        if viewer.pending is not None and self._send(viewer, viewer.pending):
            viewer.writing.stop()
            self._offer_latest(viewer)

    def _on_readable(self, viewer: Viewer) -> None:
        """The viewer has closed, was reset, or says something that nobody asked it."""
        try:
            data = viewer.sock.recv(_CHATTER)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(viewer, error)
            return
        viewer.chatter += len(data)
        if not data or viewer.chatter > _CHATTER:
            self._lost(viewer, "closed" if not data else "sends instead of watching")

    def _on_poll(self) -> None:
        """Ask again the few viewers whose links had no room."""
        waiting, self._without_room = self._without_room, {}
        for viewer in waiting:
            if viewer in self._viewers:
                self._offer_latest(viewer)
        if not self._without_room:
            self._poller.stop()

    def _on_tick(self) -> None:
        """Send the last frame again to those who have heard nothing for a while, and look again when that may be so."""
        self._on_frame()  # a frame that the camera has forgotten is not sent again
        now = time.monotonic()
        frame = self._frame
        next_at = now + _REPEAT_AFTER
        for viewer in tuple(self._viewers):
            viewer.measure(now)
            due = viewer.sent_at + max(_REPEAT_AFTER, viewer.interval)
            if now < due:
                next_at = min(next_at, due)
            elif frame is not None and viewer.pending is None and has_room(viewer.sock):
                self._send_frame(viewer, frame, now)
        self._tick_in(max(next_at - now, _TICK_AT_LEAST))

    def _tick_in(self, seconds: float) -> None:
        self._ticker.close()
        if self._viewers:
            self._ticker = gevent.get_hub().loop.timer(seconds)
            self._ticker.start(self._on_tick)

    def _lost(self, viewer: Viewer, why: object) -> None:
        log.debug("%s: viewer %s has gone: %s", self.camera.name, viewer.id, why)
        self.remove(viewer)
