"""`camera`: frames from webcams, network cameras, files and a test pattern. Knows nothing of the web.

    from camera import Camera

    with Camera("pattern") as camera:
        frame = camera.wait_frame()
        print(frame.width, frame.height, len(frame.jpeg))

The names below are imported when they are first used: `vedette --help` needs an error and a state, and should
not wait for numpy and OpenCV.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from camera.camera import Camera
    from camera.capture import Treatment
    from camera.errors import FrameTimeout, JpegError, SettingError, SourceError, VedetteError
    from camera.frame import Frame, FrameBuffer
    from camera.sources import Mode, Source, Wanted
    from camera.state import Standby, State, Statistics, Status
    from camera.turn import Turn

_HOME = {
    "Camera": "camera.camera",
    "Frame": "camera.frame",
    "FrameBuffer": "camera.frame",
    "FrameTimeout": "camera.errors",
    "JpegError": "camera.errors",
    "Mode": "camera.sources",
    "SettingError": "camera.errors",
    "Source": "camera.sources",
    "SourceError": "camera.errors",
    "Standby": "camera.state",
    "State": "camera.state",
    "Statistics": "camera.state",
    "Status": "camera.state",
    "Treatment": "camera.capture",
    "Turn": "camera.turn",
    "VedetteError": "camera.errors",
    "Wanted": "camera.sources",
}

__all__ = [
    "Camera",
    "Frame",
    "FrameBuffer",
    "FrameTimeout",
    "JpegError",
    "Mode",
    "SettingError",
    "Source",
    "SourceError",
    "Standby",
    "State",
    "Statistics",
    "Status",
    "Treatment",
    "Turn",
    "VedetteError",
    "Wanted",
]


def __getattr__(name: str) -> object:
    try:
        return getattr(import_module(_HOME[name]), name)
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
