"""The capture thread and its state machine, on sources of our own that do what real ones do at their worst."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from camera import Camera, Frame, FrameTimeout, Mode, Standby, State, Treatment, Turn, Wanted
from camera.errors import SourceError, SourceLost, SourceMissing
from camera.jpeg import decode, encode

if TYPE_CHECKING:
    from camera.sources import Image

PATIENCE = 20.0
GREY: Image = np.full((240, 320, 3), 128, np.uint8)
WHOLE = encode(GREY, 80)


class Scripted:
    """A source that gives a picture every few milliseconds, until the test has it do something else."""

    retry_every = 0.2

    def __init__(self) -> None:
        self.picture: bytes | Image | None = WHOLE
        self.problem: SourceError | None = None
        self.hang = threading.Event()
        self.hang.set()
        self.calls: list[str] = []
        self.threads: set[int] = set()
        self.is_open = False
        self.mode = Mode("scripted", 320, 240, 30.0, "MJPG")

    def open(self) -> Mode:
        """Open, unless there is a problem."""
        self._note("open")
        assert not self.is_open, "opened without having been released"
        if self.problem:
            raise self.problem
        self.is_open = True
        return self.mode

    def read(self) -> bytes | Image | None:
        """Give the picture at some hundred frames a second; None after a while when there is none."""
        self._note("read")
        self.hang.wait()
        if self.problem:
            raise self.problem
        time.sleep(0.3 if self.picture is None else 0.005)
        return self.picture

    def close(self) -> None:
        """Release."""
        self._note("close")
        self.is_open = False

    def _note(self, call: str) -> None:
        self.threads.add(threading.get_ident())
        if call != "read":
            self.calls.append(call)


def wait_for(state: State, camera: Camera) -> None:
    """Wait until `camera` is in `state`."""
    deadline = time.monotonic() + PATIENCE
    while camera.status.state is not state:
        assert time.monotonic() < deadline, f"never {state}, but {camera.status}"
        time.sleep(0.01)


def live(frame: Frame) -> bool:
    """A real frame."""
    return frame.live


def placeholder(frame: Frame) -> bool:
    """A placeholder."""
    return not frame.live


def next_frame(camera: Camera, wanted: Callable[[Frame], bool]) -> Frame:
    """The next frame from now on for which `wanted` is true."""
    now = time.monotonic()
    frame = camera.buffer.wait(lambda frame: wanted(frame) and frame.monotonic > now, PATIENCE)
    assert frame is not None
    return frame


def test_frames_are_numbered_whole_and_as_new_as_the_last_read() -> None:
    """What the source gives is what is published, byte for byte, with its size and a growing number."""
    with Camera(Scripted()) as camera:
        frames = camera.frames()
        first, second = next(frames), next(frames)
    assert first.jpeg == second.jpeg == WHOLE
    assert (first.width, first.height) == (320, 240)
    assert second.sequence > first.sequence
    assert second.monotonic > first.monotonic
    assert abs(second.captured_at - time.time()) < PATIENCE


def test_one_thread_owns_the_source() -> None:
    """Opening, reading and closing happen on one thread, which is not the caller's."""
    source = Scripted()
    with Camera(source, standby=Standby.ON) as camera:
        wait_for(State.LIVE, camera)
    assert len(source.threads) == 1
    assert threading.get_ident() not in source.threads
    assert source.calls == ["open", "close"]


def test_nothing_is_opened_before_somebody_wants_a_picture() -> None:
    """In standby the source is left alone until it is asked for, and closed again afterwards."""
    source = Scripted()
    with Camera(source, linger=0.0) as camera:
        assert source.calls == []
        camera.wait_frame()
        wait_for(State.OFF, camera)
        assert source.calls == ["open", "close"]
        assert camera.buffer.latest is None, "an old picture must not be taken for a new one"
        camera.wait_frame()
        assert source.calls[:3] == ["open", "close", "open"]


def test_a_camera_kept_warm_publishes_little_until_somebody_watches() -> None:
    """Warm means open, with a picture at hand, and not the full rate."""
    source = Scripted()
    with Camera(source, standby=Standby.WARM) as camera:
        wait_for(State.LIVE, camera)
        before = camera.statistics.frames
        time.sleep(1.5)
        resting = camera.statistics.frames - before
        with camera.watch():
            before = camera.statistics.frames
            time.sleep(1.5)
            watched = camera.statistics.frames - before
    assert resting <= 3
    assert watched > 10 * max(resting, 1)
    assert source.calls == ["open", "close"]


def test_a_lost_source_is_released_and_opened_again() -> None:
    """Losing it is a state with a reason; the camera comes back by itself, and never holds two handles."""
    source = Scripted()
    with Camera(source) as camera, camera.watch():
        next_frame(camera, live)
        source.problem = SourceLost("pulled out")
        wait_for(State.LOST, camera)
        assert camera.status.reason == "pulled out"
        since = camera.status.since
        source.problem = SourceMissing("not plugged in")
        deadline = time.monotonic() + PATIENCE
        while camera.status.reason != "not plugged in":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert camera.status.since == since, "it has been lost since it was lost, whatever the reason is now"
        source.problem = None
        next_frame(camera, live)
        assert camera.status.state is State.LIVE
        assert camera.statistics.opened == 2


def test_a_source_that_cannot_be_opened_is_not_tried_in_a_loop_without_pause() -> None:
    """There is a back-off: a lost camera costs nothing."""
    source = Scripted()
    source.problem = SourceMissing("not plugged in")
    with Camera(source) as camera, camera.watch():
        time.sleep(1.5)
        assert 2 <= source.calls.count("open") <= 12


def test_viewers_of_a_lost_camera_are_told_once_a_second() -> None:
    """While there is no picture there is a placeholder that can be decoded, of the camera's size, and not live."""
    source = Scripted()
    with Camera(source, name="front") as camera, camera.watch():
        next_frame(camera, live)
        source.problem = SourceLost("pulled out")
        first = next_frame(camera, placeholder)
        second = next_frame(camera, placeholder)
        assert decode(first.jpeg).shape == (240, 320, 3)
        assert (first.width, first.height) == (320, 240)
        assert first.jpeg != second.jpeg, "it says for how long"
        assert not first.settled
        with pytest.raises(FrameTimeout, match="lost: pulled out"):
            camera.wait_frame(max_age=0, timeout=0.5)


def test_whoever_comes_while_a_camera_is_lost_sees_no_old_picture() -> None:
    """Also a camera that is always on forgets its last picture with the loss, and tells the first who comes."""
    source = Scripted()
    with Camera(source, standby=Standby.ON) as camera:
        wait_for(State.LIVE, camera)
        source.problem = SourceLost("pulled out")
        wait_for(State.LOST, camera)
        assert camera.buffer.latest is None
        with camera.watch():
            assert not next_frame(camera, lambda _: True).live


def test_a_silent_source_is_stalled_and_recovers_on_the_same_handle() -> None:
    """No frames for a while is a stall, not a loss."""
    source = Scripted()
    with Camera(source, treatment=Treatment(stall_after=0.5)) as camera, camera.watch():
        next_frame(camera, live)
        source.picture = None
        wait_for(State.STALLED, camera)
        assert camera.statistics.fps == 0.0
        next_frame(camera, placeholder)
        source.picture = WHOLE
        next_frame(camera, live)
        assert source.calls == ["open"]


def test_damaged_frames_are_counted_and_never_published() -> None:
    """A viewer sees no torn picture; a camera that gives nothing else counts as stalled and says why."""
    source = Scripted()
    with Camera(source, treatment=Treatment(stall_after=0.5)) as camera, camera.watch():
        next_frame(camera, live)
        seen: list[Frame] = []
        unsubscribe = camera.buffer.subscribe(lambda: seen.append(camera.buffer.latest or pytest.fail("empty")))
        source.picture = WHOLE[:-2]
        wait_for(State.STALLED, camera)
        assert "no end of image" in camera.status.reason
        assert camera.statistics.damaged > 3
        assert camera.statistics.damage == "no end of image"
        source.picture = WHOLE
        next_frame(camera, live)
        unsubscribe()
    assert {frame.jpeg for frame in seen if frame.live} == {WHOLE}


def test_a_thread_that_hangs_is_seen_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that never returns loses its camera, says so to the viewers, and does not hold up the end."""
    monkeypatch.setattr("camera.capture._READ_WITHIN", 0.5)
    source = Scripted()
    camera = Camera(source)
    camera.start()
    with camera.watch():
        next_frame(camera, live)
        source.hang.clear()
        wait_for(State.LOST, camera)
        assert "hung while reading" in camera.status.reason
        next_frame(camera, placeholder)
        assert camera.stop(timeout=0.2) is False
        source.hang.set()
    assert camera.stop() is True


def test_a_hung_thread_that_comes_back_is_live_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has to be restarted when the driver answers after all."""
    monkeypatch.setattr("camera.capture._READ_WITHIN", 0.5)
    source = Scripted()
    with Camera(source) as camera, camera.watch():
        next_frame(camera, live)
        source.hang.clear()
        wait_for(State.LOST, camera)
        source.hang.set()
        next_frame(camera, live)
        wait_for(State.LIVE, camera)


def test_a_defect_in_a_source_is_logged_and_survived(caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected error is not hidden, and does not end the camera."""
    source = Scripted()
    with Camera(source) as camera, camera.watch():
        next_frame(camera, live)
        source.picture = np.zeros((3, 3, 7), np.uint8)  # what no source may give
        wait_for(State.LOST, camera)
        source.picture = WHOLE
        next_frame(camera, live)
    assert "unexpected error" in caplog.text


def test_a_camera_that_is_being_closed_is_not_live() -> None:
    """Closing and opening again may take seconds: whoever comes meanwhile is not shown the last picture."""
    source = Scripted()
    closing, closed = threading.Event(), threading.Event()
    release = source.close

    def slow_close() -> None:
        closing.set()
        closed.wait(PATIENCE)
        release()

    source.close = slow_close  # type: ignore[method-assign]
    with Camera(source, linger=0.0) as camera:
        camera.wait_frame()
        assert closing.wait(PATIENCE)
        with camera.watch():
            assert camera.status.state is State.OFF
            assert camera.buffer.latest is None
            closed.set()
            next_frame(camera, live)


def test_a_source_that_fails_to_close_is_opened_again(caplog: pytest.LogCaptureFixture) -> None:
    """A defect in one camera's closing does not end its capture for good."""
    source = Scripted()
    release, failing = source.close, True

    def close() -> None:
        release()
        if failing:
            raise OSError("the driver is confused")

    source.close = close  # type: ignore[method-assign]
    with Camera(source) as camera, camera.watch():
        next_frame(camera, live)
        source.problem = SourceLost("pulled out")
        wait_for(State.LOST, camera)
        source.problem = None
        next_frame(camera, live)
        failing = False
    assert "unexpected error" in caplog.text


def test_a_camera_that_was_asked_for_few_frames_is_not_stalled_between_them() -> None:
    """One picture in two seconds is what was asked for, also of a source that does not say its rate."""
    source = Scripted()
    source.mode = Mode("scripted", 320, 240, 0.0, "MJPG")
    with Camera(source, wanted=Wanted(fps=0.5), treatment=Treatment(stall_after=0.5)) as camera, camera.watch():
        next_frame(camera, live)
        source.picture = None
        states = set()
        for _ in range(20):
            states.add(camera.status.state)
            time.sleep(0.1)
    assert states == {State.LIVE}


@pytest.mark.parametrize(
    ("turn", "corner"),
    [
        (Turn(rotate=90), (0, -1)),
        (Turn(rotate=180), (-1, -1)),
        (Turn(rotate=270), (-1, 0)),
        (Turn(flip="h"), (0, -1)),
        (Turn(flip="v"), (-1, 0)),
        (Turn(rotate=90, flip="both"), (-1, 0)),
    ],
)
def test_a_camera_can_hang_upside_down(turn: Turn, corner: tuple[int, int]) -> None:
    """Rotation is clockwise, flips come first, and both hold for JPEG and decoded pictures."""
    image = np.zeros((240, 320, 3), np.uint8)
    image[:64, :64] = 255  # marks the upper left corner
    for picture in (image, encode(image, 90)):
        source = Scripted()
        source.picture = picture
        with Camera(source, treatment=Treatment(turn=turn)) as camera:
            frame = camera.wait_frame()
        turned = decode(frame.jpeg)
        assert (frame.height, frame.width) == turned.shape[:2]
        assert turned[corner].mean() > 200
        assert turned.mean() < 60


def test_a_snapshot_waits_for_the_exposure() -> None:
    """Frames of a camera that was just opened are shown, but not taken for a good still until they are steady."""
    source = Scripted()
    source.mode = Mode("scripted", 320, 240, 30.0, "MJPG", settles=True)
    levels = iter([*range(20, 200, 12), *[200] * 10000])

    def read() -> Image:
        time.sleep(0.11)  # longer than the interval between two measurements
        return np.full((240, 320, 3), next(levels), np.uint8)

    source.read = read  # type: ignore[method-assign]
    with Camera(source, treatment=Treatment(settle=10)) as camera, camera.watch():
        shown = camera.wait_frame(timeout=PATIENCE)
        still = camera.wait_frame(timeout=PATIENCE, settled=True)
    assert not shown.settled
    assert decode(shown.jpeg).mean() < 150
    assert still.settled
    assert abs(decode(still.jpeg).mean() - 200) < 3


def test_frames_go_on_from_a_folder_of_pictures(tmp_path: Path) -> None:
    """The library takes what the settings take; a folder's JPEGs come out as they are on the disk."""
    pictures = [cv2.imencode(".jpg", GREY + step)[1].tobytes() for step in (0, 40, 80)]
    for number, picture in enumerate(pictures):
        (tmp_path / f"{number}.jpg").write_bytes(picture)
    with Camera(str(tmp_path), wanted=Wanted(fps=20)) as camera:
        frames = camera.frames()
        seen = [next(frames).jpeg for _ in range(6)]
    assert set(seen) == set(pictures)


def test_stopping_is_quick_and_releases_the_source() -> None:
    """The end comes in any state, at once."""
    for problem in (None, SourceMissing("not there")):
        source = Scripted()
        source.problem = problem
        camera = Camera(source, standby=Standby.ON)
        camera.start()
        wait_for(State.LOST if problem else State.LIVE, camera)
        assert camera.stop()
        assert not source.is_open
    unstarted = Camera(Scripted())
    assert unstarted.stop()
