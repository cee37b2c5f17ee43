"""A `Camera` on real V4L2 drivers: it survives what happens to cameras, and says so."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from camera import jpeg
from camera.camera import Camera
from camera.errors import JpegError
from camera.sources import Wanted
from camera.state import Standby, State

if TYPE_CHECKING:
    from camera.frame import Frame
    from tests.lab.conftest import LabCamera

Figures = Callable[[str, float], None]
Until = Callable[..., object]


class Watched:
    """A running camera that somebody watches, and every frame it has published."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self.live = 0
        self.placeholders = 0
        self.bad: list[str] = []
        camera.buffer.subscribe(self._look)

    def _look(self) -> None:
        frame = self.camera.buffer.latest
        if frame is None:
            return
        if frame.live:
            self.live += 1
        else:
            self.placeholders += 1
        try:
            jpeg.checked(frame.jpeg)
        except JpegError as error:
            self.bad.append(str(error))

    def until(self, *states: State, seconds: float = 15.0) -> float:
        """When the camera entered one of `states`, on `time.monotonic()`."""
        deadline = time.monotonic() + seconds
        while (status := self.camera.status).state not in states:
            assert time.monotonic() < deadline, f"never {states}: {status}"
            time.sleep(0.002)
        return status.monotonic

    def last_live(self) -> float:
        """When the last picture was captured, for a camera that gives no more."""
        latest = time.monotonic()
        while True:
            later = latest
            frame = self.camera.buffer.wait(lambda frame: frame.live and frame.monotonic > later, 0.5)  # noqa: B023
            if frame is None:
                return latest
            latest = frame.monotonic

    def next_live(self, seconds: float = 15.0) -> Frame:
        """The first live frame captured after now."""
        now = time.monotonic()
        frame = self.camera.buffer.wait(lambda frame: frame.live and frame.monotonic > now, seconds)
        assert frame is not None, f"no picture: {self.camera.status}"
        return frame


@contextmanager
def watched(spec: str, standby: Standby = Standby.OFF) -> Iterator[Watched]:
    """A camera that is live and watched."""
    with Camera(spec, wanted=Wanted(640, 480), standby=standby) as camera, camera.watch():
        seen = Watched(camera)
        seen.next_live()
        yield seen
        assert seen.bad == [], "a frame that fails the structural check reached the viewers"


def at(camera: LabCamera) -> str:
    """The camera's node, as a user would write it down today."""
    node = camera.node()
    assert node is not None
    return node


@pytest.mark.parametrize("number", ["same number", "another number"])
def test_ten_unplugs(any_camera: LabCamera, number: str, figures: Figures) -> None:
    """Noticed at once, said with the reason, live again by itself: ten times, also under another number."""
    if number == "another number" and not any_camera.removable:
        pytest.skip("a loopback device keeps its number")
    with watched(at(any_camera)) as seen:
        handles = len(list(Path("/proc/self/fd").iterdir()))
        for round_ in range(10):
            node, placeholders = at(any_camera), seen.placeholders
            holder = os.open(node, os.O_RDWR | os.O_NONBLOCK) if number == "another number" else None
            pulled = any_camera.pull()
            gone = seen.until(State.LOST, State.STALLED) if not any_camera.removable else seen.until(State.LOST)
            figures(f"camera, {any_camera.name}, {number}: loss noticed [s]", gone - pulled)
            assert gone - pulled < (3 if any_camera.removable else 6)
            assert seen.camera.status.reason
            if round_ == 0:
                deadline = time.monotonic() + 5
                while seen.placeholders == placeholders:
                    assert time.monotonic() < deadline, "the viewers were not told"
                    time.sleep(0.01)
            pushed = any_camera.push()
            back = seen.until(State.LIVE)
            figures(f"camera, {any_camera.name}, {number}: live after the replug [s]", back - pushed)
            assert back - pushed < 5
            seen.next_live()
            if holder is not None:
                assert at(any_camera) != node
                os.close(holder)
        assert abs(len(list(Path("/proc/self/fd").iterdir())) - handles) <= 2
        if any_camera.removable:
            assert seen.camera.statistics.opened == 11


def test_a_stall_is_noticed_and_gets_over_by_itself(any_camera: LabCamera, figures: Figures) -> None:
    """A camera that stands still is reported within a few seconds, and live when it goes on."""
    with watched(at(any_camera)) as seen:
        for _ in range(2):
            any_camera.stall()
            stalled = seen.last_live()
            noticed = seen.until(State.STALLED)
            figures(f"camera, {any_camera.name}: stall noticed [s]", noticed - stalled)
            assert noticed - stalled < 5
            any_camera.resume()
            resumed = time.monotonic()
            figures(f"camera, {any_camera.name}: live after the stall [s]", seen.until(State.LIVE) - resumed)
            seen.next_live()


def test_no_signal_at_first(loopback: LabCamera) -> None:
    """A camera that has no signal when it is opened is live as soon as it has one."""
    loopback.unplug()
    with Camera(at(loopback), wanted=Wanted(640, 480)) as camera, camera.watch():
        seen = Watched(camera)
        seen.until(State.LOST, State.STALLED)
        loopback.plug()
        seen.until(State.LIVE, seconds=20)


@pytest.mark.parametrize("kind", ["usb", "loopback"])
@pytest.mark.parametrize("fault", ["truncate", "garbage", "empty"])
def test_damage_never_reaches_a_viewer(
    request: pytest.FixtureRequest, cam: Callable[..., str], kind: str, fault: str
) -> None:
    """Damaged frames are dropped and counted, the whole ones between them are shown."""
    there: LabCamera = request.getfixturevalue(kind)
    with watched(at(there)) as seen:
        spoil(cam, kind, fault, 3)
        before = seen.camera.statistics
        for _ in range(30):
            seen.next_live()
        after = seen.camera.statistics
        if (kind, fault) != ("usb", "empty"):  # the USB driver drops these itself
            assert after.damaged > before.damaged
            assert after.damage


@pytest.mark.parametrize("kind", ["usb", "loopback"])
def test_nothing_but_damage_is_a_stall(
    request: pytest.FixtureRequest, cam: Callable[..., str], kind: str, figures: Figures
) -> None:
    """A camera that sends only damaged frames is reported with what is wrong, and live again without a hand."""
    there: LabCamera = request.getfixturevalue(kind)
    with watched(at(there)) as seen:
        spoil(cam, kind, "truncate", 1)
        spoilt = time.monotonic()
        figures(f"camera, {kind}: damage noticed [s]", seen.until(State.STALLED) - spoilt)
        assert "damaged" in seen.camera.status.reason
        spoil(cam, kind, "truncate", 0)
        seen.until(State.LIVE)


@pytest.mark.parametrize("kind", ["usb", "loopback"])
def test_missing_huffman_tables_are_added(request: pytest.FixtureRequest, cam: Callable[..., str], kind: str) -> None:
    """Most webcams leave them out and browsers need them: every frame published has them."""
    there: LabCamera = request.getfixturevalue(kind)
    with watched(at(there)) as seen:
        spoil(cam, kind, "no-dht", 1)
        time.sleep(1.0)  # what was under way
        damaged = seen.camera.statistics.damaged
        for _ in range(20):
            frame = seen.next_live()
            assert b"\xff\xc4" in frame.jpeg[: frame.jpeg.index(b"\xff\xda")]
            assert jpeg.decode(frame.jpeg).shape == (480, 640, 3)
        assert seen.camera.statistics.damaged == damaged


def test_standby_closes_the_device(usb: LabCamera, until: Until) -> None:
    """Nobody watching: the device is closed and anybody may have it; the first viewer opens it again."""

    def held() -> bool:
        handles = Path("/proc/self/fd").iterdir()
        return any(os.path.realpath(handle) == at_node for handle in handles)

    at_node = at(usb)
    with Camera(at_node, wanted=Wanted(640, 480), linger=0.2) as camera:
        assert not held()
        camera.wait_frame()
        assert held()
        until(lambda: not held(), "the end of capture")
        assert camera.status.state is State.OFF
        usb.unplug()
        usb.plug()
        assert camera.wait_frame().live
        assert camera.statistics.opened == 2


def spoil(cam: Callable[..., str], kind: str, fault: str, every: int) -> None:
    """Have every so many frames of a camera spoilt; 0 for none."""
    if kind == "usb":
        cam("usb", "set", fault, str(every))
    else:
        flag = [f"--{fault}"] if fault == "no-dht" else [f"--{fault}", str(every)]
        cam("feed", "640x480", *(flag if every else []))
