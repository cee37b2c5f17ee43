"""From the settings of a camera to the camera: the one place that the server and the command line share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from camera.camera import Camera
    from web.settings import CameraSettings


def make_camera(settings: CameraSettings) -> Camera:
    """The camera that `settings` describe, not started. Raises `SettingError` for a source that cannot be meant."""
    from camera.camera import Camera
    from camera.capture import Treatment
    from camera.sources import Wanted
    from camera.turn import Turn

    width, height = settings.size or (None, None)
    return Camera(
        settings.source,
        name=settings.name,
        wanted=Wanted(width, height, settings.fps),
        treatment=Treatment(
            quality=settings.quality,
            turn=Turn(settings.rotate, settings.flip),
            stall_after=settings.stall_after,
            settle=settings.settle,
        ),
        standby=settings.standby,
        linger=settings.linger,
    )
