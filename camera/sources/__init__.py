"""Sources: the places pictures come from, one file per kind.

A source is opened, read and closed on the capture thread and on no other, never two calls at
once. It knows how to get the next picture and nothing else: checking, encoding, states and
reopening belong to `camera.capture`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
"""A decoded picture: uint8, shape (height, width, 3), channels in OpenCV's order BGR."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a source; it gives what it can, and says what in its `Mode`."""

    width: int | None = None
    """Pixels; None for the source's own choice."""
    height: int | None = None
    """Pixels; None for the source's own choice."""
    fps: float | None = None
    """Frames per second; None for the source's own choice."""


@dataclass(frozen=True, slots=True)
class Mode:
    """What a source turned out to give once it was open."""

    name: str
    """The source's stable name: what finds the same camera again, and what a user would put into the settings."""
    width: int
    """Pixels; 0 while unknown."""
    height: int
    """Pixels; 0 while unknown."""
    fps: float
    """Frames per second as promised by the source; 0.0 when it does not say."""
    encoding: str
    """The source's own: `MJPG` (passed through untouched), `YUYV`, `H264`, `pattern`, …"""
    settles: bool = False
    """True for a camera whose exposure must settle after it was opened."""
    notice: str = ""
    """One line for the user that belongs to the picture: what was not obtained, or why there is a test pattern."""


class Source(Protocol):
    """What the capture thread needs of a source."""

    retry_every: float
    """Seconds between two attempts to open a lost source, at most: little where looking is cheap."""

    def open(self) -> Mode:
        """Open the source, or raise a `SourceError` whose message says what to do.

        May block for some seconds; the capture thread announces it. May be called again after `close()`.
        """

    def read(self) -> bytes | Image | None:
        """The next picture: `bytes` is one JPEG as it came, an array is a decoded `Image`.

        Blocks until the next picture is there, at the source's own rate, at most about a second:
        None says that nothing has come in that time and the source is still open. Raises `SourceLost`
        when it has gone and must be closed and opened again. Never returns at once without a picture.
        """

    def close(self) -> None:
        """Release everything; harmless when it is not open."""
