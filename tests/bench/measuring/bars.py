"""What must hold, and whether it did.

Ratios are made within a round, where both servers met the same noise, and the median of the
rounds is what counts; so does the median of everything else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from .load import Window
from .parts import ALL, Part, Record

FULL_RATE_FPS = 29.0
"""What counts as 30 frames/s: a frame more or less at the edges of the window is no loss."""

Figure = Callable[[Window], float]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One bar and what was measured."""

    part: str
    what: str
    bar: str
    measured: str
    passed: bool | None
    """None when it was not measured."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The windows of one part, by round, of both servers."""

    part: Part
    vedette: dict[int, Window]
    ustreamer: dict[int, Window]

    def median(self, figure: Figure, *, of_ustreamer: bool = False) -> float | None:
        """The median of a figure; None when there is none."""
        windows = (self.ustreamer if of_ustreamer else self.vedette).values()
        return median(map(figure, windows)) if windows else None

    def ratio(self, figure: Figure) -> float | None:
        """The median of Vedette's figure over ustreamer's in the same round; None when there is none."""
        rounds = self.vedette.keys() & self.ustreamer.keys()
        return median(figure(self.vedette[n]) / figure(self.ustreamer[n]) for n in rounds) if rounds else None

    def at_most(self, what: str, value: float | None, limit: float, unit: str = "") -> Verdict:
        """The verdict on a value that must not pass a limit."""
        passed = None if value is None else value <= limit
        return Verdict(self.part.title, what, f"<= {limit:.3g}{unit}", shown(value, unit), passed)

    def at_least(self, what: str, value: float | None, limit: float, unit: str = "") -> Verdict:
        """The verdict on a value that must reach a limit."""
        passed = None if value is None else value >= limit
        return Verdict(self.part.title, what, f">= {limit:.3g}{unit}", shown(value, unit), passed)


def shown(value: float | None, unit: str) -> str:
    """A measured value in a table."""
    return "not measured" if value is None else f"{value:.3g}{unit}"


def cpu(window: Window) -> float:
    """CPU per delivered frame, microseconds."""
    return window.cpu_us_per_frame


def fps_least(window: Window) -> float:
    """Frames per second of the viewer that got the fewest."""
    return window.viewing.fps_least


def fps_beside(window: Window) -> float:
    """Frames per second of the viewer on the fast link."""
    return window.beside.fps_least if window.beside else 0.0


def age_p50(window: Window) -> float:
    """Median age of a frame on arrival, milliseconds."""
    return window.viewing.age_ms_p50


def age_p99(window: Window) -> float:
    """99th percentile of the age of a frame on arrival, milliseconds."""
    return window.viewing.age_ms_p99


def pss(window: Window) -> float:
    """Memory of all processes together, megabytes."""
    return window.pss_mb


def judge(records: list[Record], parts: tuple[Part, ...], fps: int) -> list[Verdict]:
    """The verdict on every bar of `parts`; `fps` is the camera's rate."""
    verdicts: list[Verdict] = []
    for part in parts:
        windows: dict[str, dict[int, Window]] = {"vedette": {}, "ustreamer": {}}
        for record in records:
            if record.part == part.key and record.window:
                windows[record.server][record.round] = record.window
        measured = Measured(part, windows["vedette"], windows["ustreamer"])
        if part.key in BARS:
            verdicts += BARS[part.key](measured, fps)
    return verdicts


def one_viewer(measured: Measured, _fps: int) -> list[Verdict]:
    """The bars with one viewer."""
    return [measured.at_most("CPU per frame, of ustreamer's", measured.ratio(cpu), 0.8)]


def hundred_viewers(measured: Measured, _fps: int) -> list[Verdict]:
    """The bars with a hundred viewers."""
    slowest_of_other = measured.median(fps_least, of_ustreamer=True)
    return [
        measured.at_most("CPU per frame, of ustreamer's", measured.ratio(cpu), 0.30),
        measured.at_least("slowest viewer", measured.median(fps_least), FULL_RATE_FPS, " fps"),
        measured.at_least("slowest viewer of ustreamer", slowest_of_other, FULL_RATE_FPS, " fps"),
        measured.at_most("frame age p50, of ustreamer's", measured.ratio(age_p50), 0.5),
        measured.at_most("PSS of all processes", measured.median(pss), 100, " MB"),
    ]


def thousand_viewers(measured: Measured, _fps: int) -> list[Verdict]:
    """The bars with a thousand viewers."""
    return [
        measured.at_least("slowest viewer", measured.median(fps_least), FULL_RATE_FPS, " fps"),
        measured.at_most("PSS of all processes", measured.median(pss), 130, " MB"),
    ]


def slow_link(measured: Measured, fps: int) -> list[Verdict]:
    """The bars on a rate-limited link: as new as the link allows, as many as the link carries."""
    link = measured.part.link
    assert link is not None

    def age_of_possible(window: Window) -> float:
        return window.viewing.age_ms_p99 / (link.frame_ms(window.viewing.frame_bytes) + 1e3 / fps)

    what = "frame age p99, of one frame on the link + interval"
    return [
        measured.at_most(what, measured.median(age_of_possible), 1.15),
        measured.at_least("frames/s, of ustreamer's", measured.ratio(fps_least), 0.97),
        measured.at_least("viewer on a fast link beside it", measured.median(fps_beside), FULL_RATE_FPS, " fps"),
    ]


def long_narrow_path(measured: Measured, _fps: int) -> list[Verdict]:
    """The bars on a long path that is narrower than the stream."""
    return [
        measured.at_least("frames/s, of ustreamer's", measured.ratio(fps_least), 0.95),
        measured.at_most("frame age p50", measured.median(age_p50), 150, " ms"),
    ]


def long_wide_path(measured: Measured, _fps: int) -> list[Verdict]:
    """The bars on a long path with room for the stream."""
    return [measured.at_least("frames/s", measured.median(fps_least), 28, " fps")]


BARS: dict[str, Callable[[Measured, int], list[Verdict]]] = {
    "1": one_viewer,
    "100": hundred_viewers,
    "1000": thousand_viewers,
    "5mbit": slow_link,
    "10mbit": slow_link,
    "10mbit-100ms": long_narrow_path,
    "50mbit-100ms": long_wide_path,
}

assert BARS.keys() <= {part.key for part in ALL}
