"""The test pattern: a picture of any size that says what it is, at its own steady rate."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from camera.sources import Image, Wanted
from camera.sources import pace as schedule
from camera.sources.pace import Pace
from camera.sources.pattern import Pattern

SIZES = [(1280, 720), (160, 120), (640, 480), (480, 800), (1920, 160), (160, 2160), (3840, 2160)]


def picture_of(width: int, height: int, notice: str = "") -> Image:
    """The first picture of a pattern."""
    pattern = Pattern(Wanted(width, height, 30), notice)
    pattern.open()
    picture = pattern.read()
    pattern.close()
    assert picture is not None
    return picture


def test_nothing_asked_is_720p_at_30() -> None:
    """Without wishes the pattern is 1280x720 at 30 frames per second and says so."""
    mode = Pattern(Wanted()).open()
    assert (mode.width, mode.height, mode.fps, mode.encoding, mode.name) == (1280, 720, 30.0, "pattern", "pattern")


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_any_size(width: int, height: int) -> None:
    """The picture has exactly the size asked for, from the smallest to the largest, upright and across."""
    assert picture_of(width, height).shape == (height, width, 3)


def test_beyond_its_means_it_gives_the_nearest() -> None:
    """A size or rate that cannot be drawn is brought to the nearest that can, and the mode tells it."""
    mode = Pattern(Wanted(16, 10_000, 1000)).open()
    assert (mode.width, mode.height, mode.fps) == (160, 2160, 120)


def test_one_side_asked_gives_16_to_9() -> None:
    """Who asks for a width only gets the height that goes with it."""
    mode = Pattern(Wanted(width=640)).open()
    assert (mode.width, mode.height) == (640, 360)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_text_keeps_clear_of_the_edge(width: int, height: int) -> None:
    """The words fit at every size: the right edge above the bars is plain ground, whatever is said."""
    picture = picture_of(width, height, "No camera could be opened: /dev/video0 may not be opened by this user " * 3)
    edge = picture[: height * 3 // 4, -max(2, width // 100) :]
    assert (edge == edge[0, 0]).all()


def test_notice_is_in_the_picture_and_in_the_mode() -> None:
    """Why there is a test pattern is drawn into it and handed on."""
    assert Pattern(Wanted(), "no camera found").open().notice == "no camera found"
    plain, told = picture_of(640, 480), picture_of(640, 480, "no camera found")
    amber = (np.abs(told.astype(int) - (70, 176, 250)).sum(axis=2) < 60)[:, 320:]
    assert amber.any()
    assert not (np.abs(plain.astype(int) - (70, 176, 250)).sum(axis=2) < 60)[:, 320:].any()


def test_every_frame_is_another_one() -> None:
    """Two pictures in a row differ, and the first is not touched by the second: nobody's picture changes under him."""
    pattern = Pattern(Wanted(320, 240, 120))
    pattern.open()
    first = pattern.read()
    assert first is not None
    before = first.copy()
    second = pattern.read()
    assert second is not None
    assert not np.array_equal(first, second)
    assert np.array_equal(first, before)


def test_jpeg_is_about_the_size_of_a_cameras() -> None:
    """At 720p and quality 80 a picture is between 40 and 100 KB, as from a webcam."""
    done, jpeg = cv2.imencode(".jpg", picture_of(1280, 720, "No camera found"), [cv2.IMWRITE_JPEG_QUALITY, 80])
    assert done
    assert 40_000 < len(jpeg) < 100_000


class Clock:
    """Time that passes only when somebody sleeps, which takes as long as was said and `late` seconds more."""

    def __init__(self, late: float = 0.0) -> None:
        self.now = 1000.0
        self._late = late

    def monotonic(self) -> float:
        """Seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds + self._late


def test_pace_does_not_make_up_for_what_was_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a pause one picture is due at once and the next at its time: no burst."""
    clock = Clock()
    monkeypatch.setattr(schedule, "time", clock)
    pace = Pace(16)
    assert pace.wait()
    clock.sleep(10.25 / 16)  # a consumer that was away for ten pictures
    due = []
    for _ in range(3):
        assert pace.wait()
        due.append((clock.now - 1000) * 16)
    assert due == [10.25, 11, 12]


def test_pace_keeps_its_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Due times are multiples of the period since the start: what each wait takes more does not add up."""
    clock = Clock(late=1 / 1024)
    monkeypatch.setattr(schedule, "time", clock)
    pace = Pace(64)
    for _ in range(51):
        assert pace.wait()
    assert clock.now - 1000 == 50 / 64 + 1 / 1024


def test_a_slow_pattern_says_in_between_that_nothing_has_come() -> None:
    """Slower than one a second, read() comes back after about a second with nothing."""
    pattern = Pattern(Wanted(160, 120, 0.1))
    pattern.open()
    assert pattern.read() is not None
    assert pattern.read() is None
