"""From the settings of a camera to the camera: the one place that the server and the command line share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from camera.errors import SettingError

if TYPE_CHECKING:
    from camera.camera import Camera
    from camera.sources import Wanted
    from web.configuration import Configuration
    from web.settings import CameraSettings


def make_camera(settings: CameraSettings) -> Camera:
    """The camera that `settings` describe, not started. Raises `SettingError` for a source that cannot be meant."""
    from camera.camera import Camera
    from camera.capture import Treatment
    from camera.turn import Turn

    return Camera(
        settings.source,
        name=settings.name,
        wanted=_wanted(settings),
        treatment=Treatment(
            quality=settings.quality,
            turn=Turn(settings.rotate, settings.flip),
            stall_after=settings.stall_after,
            settle=settings.settle,
        ),
        standby=settings.standby,
        linger=settings.linger,
    )


def check_sources(found: Configuration) -> None:
    """Raise `SettingError` for a source that cannot be meant, with the place where it was written. Opens nothing."""
    from camera.sources.select import source_for

    for each in found.settings.cameras:
        try:
            source_for(each.source, _wanted(each))
        except SettingError as error:
            raise SettingError(f"{found.cameras[each.name]['source'].origin}: {error}") from None


def _wanted(settings: CameraSettings) -> Wanted:
    from camera.sources import Wanted

    width, height = settings.size or (None, None)
    return Wanted(width, height, settings.fps)
