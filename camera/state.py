"""What a camera can be doing, as values: `State`, `Status` and `Statistics`.

Plain immutable values; made on the capture thread, read on any thread.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    """The states of a camera, in the order they are usually passed through."""

    OFF = "off"
    """The source is closed because nobody is watching."""
    OPENING = "opening"
    """The source is being opened, or was opened and has not given its first frame."""
    LIVE = "live"
    """Frames are arriving."""
    STALLED = "stalled"
    """The source is open, but no good frame has come for a while."""
    LOST = "lost"
    """The source cannot be opened or has gone; it is tried again by itself."""


class Standby(StrEnum):
    """What a camera does while nobody watches."""

    OFF = "off"
    """The source is closed a few seconds after the last viewer has left."""
    WARM = "warm"
    """The source stays open and publishes one frame a second."""
    ON = "on"
    """The source is always captured at its full rate."""


@dataclass(frozen=True, slots=True)
class Status:
    """A camera's state, why, and since when."""

    state: State
    reason: str = ""
    """One plain sentence; empty when the camera is live or off."""
    since: float = field(default_factory=time.time)
    """When the state was entered, in seconds since the epoch."""
    monotonic: float = field(default_factory=time.monotonic)
    """The same moment on `time.monotonic()`: a Pi's wall clock jumps by years when it finds its time."""

    @property
    def seconds(self) -> float:
        """For how long the state has lasted."""
        return time.monotonic() - self.monotonic


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a capture thread has counted since it was started."""

    fps: float = 0.0
    """Good frames per second, measured over the last few seconds; 0 when not live."""
    frames: int = 0
    """Good frames captured."""
    damaged: int = 0
    """Frames dropped because they failed the structural check."""
    damage: str = ""
    """What was wrong with the last damaged frame."""
    opened: int = 0
    """How many times the source has been opened successfully."""
