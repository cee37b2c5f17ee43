"""The table of settings: `Settings` for the server, `CameraSettings` for each camera.

Every field below is one setting. The table gives the keys of the TOML file, the variables of the environment, the
options of the command line, `--help`, `docs/settings.md` (`python -m web.settings`) and what is said about a bad
value; `web.configuration` reads them. Values only: any thread.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final, TypeVar

from camera.state import Standby
from camera.turn import Flip, Rotation
from web.kinds import Choice, Flag, HostNames, Integer, Kind, Number, OrAuto, Size, Text

T = TypeVar("T")

_KIND: Final = "kind"
_HELP: Final = "help"

CAMERA_NAME: Final = Text(
    "NAME", "of a-z, 0-9, - and _, at most 32 characters, a letter or digit first", r"[a-z0-9][a-z0-9_-]{0,31}"
)


def _setting(default: T, kind: Kind[T], help_: str) -> T:
    """One line of the table: a dataclass field that knows its kind and its description."""
    return dataclasses.field(default=default, metadata={_KIND: kind, _HELP: help_})


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraSettings:
    """The settings of one camera. At the top of the file they hold for every camera."""

    name: str
    """What the camera is called in addresses: `/cameras/<name>/stream`."""
    source: str = _setting(
        "auto",
        Text("SOURCE", "a source", integers=True),
        "what to show: auto (the first camera, else a test pattern), a device (0, /dev/video0, /dev/v4l/by-id/…), "
        "an http, https or rtsp address, a video file, a folder of pictures, or pattern",
    )
    size: tuple[int, int] | None = _setting(
        (1280, 720), Size(), "size to ask the source for, in pixels; auto leaves it to the source"
    )
    fps: float | None = _setting(
        None,
        OrAuto(Number(0.1, 240)),
        "frames per second to ask the source for; auto means 30 of a camera, a video's own rate, 1 of a folder",
    )
    standby: Standby = _setting(
        Standby.OFF,
        Choice(tuple(Standby)),
        "the camera while nobody watches: off (closed), warm (open, one frame a second) or on (full rate)",
    )
    quality: int = _setting(80, Integer(1, 100), "JPEG quality of pictures that do not arrive as JPEG, or are turned")
    rotate: Rotation = _setting(0, Choice[Rotation]((0, 90, 180, 270)), "turn the picture clockwise, in degrees")
    flip: Flip = _setting(
        "none", Choice[Flip](("none", "h", "v", "both")), "mirror the picture: h left and right, v up and down"
    )
    linger: float = _setting(
        5.0, Number(0, 3600, "seconds"), "seconds for which a camera in standby stays open after its last viewer"
    )
    stall_after: float = _setting(
        2.0, Number(0.5, 60, "seconds"), "seconds without a good frame after which a camera counts as stalled"
    )
    settle: float = _setting(
        3.0, Number(0, 30, "seconds"), "seconds that a snapshot waits at most for the exposure of a camera just opened"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings in force."""

    host: str = _setting(
        "127.0.0.1",
        Text("HOST", "an address of this machine, or a name for one", r"[A-Za-z0-9._:%-]+"),
        "address to listen on; 127.0.0.1 is this machine only, 0.0.0.0 every IPv4 and :: every network",
    )
    port: int = _setting(8080, Integer(0, 65535, "PORT"), "port to listen on; 0 takes any free one and prints it")
    open: bool = _setting(False, Flag(), "everyone who reaches the port may watch, without a password")
    hosts: tuple[str, ...] = _setting(
        (),
        HostNames(),
        "further names by which browsers reach this server, such as that of a proxy",
    )
    max_viewers: int = _setting(1000, Integer(1, 10000), "viewers at a time; the next is told to come back later")
    log_level: str = _setting(
        "info", Choice(("debug", "info", "warning", "error")), "the least important messages to write to the log"
    )
    cameras: tuple[CameraSettings, ...] = (CameraSettings(name="camera"),)
    """At least one. The first is what addresses without a camera's name mean."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, as read off its field above."""

    name: str
    default: object
    kind: Kind[object]
    help: str
    per_camera: bool

    @property
    def option(self) -> str:
        """Its option on the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        """Its variable in the environment, which holds for all cameras."""
        return f"VEDETTE_{self.name.upper()}"

    def variable_for(self, camera: str) -> str:
        """Its variable in the environment for one camera."""
        return f"VEDETTE_CAMERA_{camera.upper().replace('-', '_')}_{self.name.upper()}"


def _read(owner: type[CameraSettings | Settings], *, per_camera: bool) -> tuple[Setting, ...]:
    return tuple(
        Setting(field.name, field.default, field.metadata[_KIND], field.metadata[_HELP], per_camera)
        for field in dataclasses.fields(owner)
        if _KIND in field.metadata
    )


SERVER: Final = _read(Settings, per_camera=False)
"""The settings that are there once."""
CAMERA: Final = _read(CameraSettings, per_camera=True)
"""The settings that every camera has."""
SETTINGS: Final = SERVER + CAMERA
"""All settings, in the order in which they are listed everywhere."""


if __name__ == "__main__":
    import sys

    from web.reference import page

    sys.stdout.write(page())
