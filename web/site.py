"""`Site`: what the running server consists of, its settings and a fan-out for each camera. Used on the hub."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from flask import current_app
from werkzeug.exceptions import NotFound

from web.cameras import make_camera
from web.viewers import Fanout

if TYPE_CHECKING:
    from flask import Flask

    from web.settings import CameraSettings, Settings


class Site:
    """The cameras of one server, in the order of its settings."""

    def __init__(self, settings: Settings) -> None:
        """Describe the cameras; raises `SettingError` for a source that cannot be meant."""
        self.settings = settings
        self.started_at = time.time()
        self.fanouts = {camera.name: Fanout(make_camera(camera)) for camera in settings.cameras}
        self._settings_of = {camera.name: camera for camera in settings.cameras}

    def start(self) -> None:
        """Start the cameras' threads; after the fork, since threads do not survive one."""
        for fanout in self.fanouts.values():
            fanout.camera.start()

    def close(self, timeout: float) -> bool:
        """End all streams and release all cameras; False when one hangs inside its driver."""
        for fanout in self.fanouts.values():
            fanout.close()
        deadline = time.monotonic() + timeout
        # All are told to end before the first is waited for, so that they end side by side.
        for fanout in self.fanouts.values():
            fanout.camera.stop(0)
        left = [fanout.camera.stop(max(0.0, deadline - time.monotonic())) for fanout in self.fanouts.values()]
        return all(left)

    def fanout(self, name: str | None) -> Fanout:
        """The fan-out of camera `name`, of the first camera for None; raises a 404 for a camera that is not there."""
        if name is None:
            return next(iter(self.fanouts.values()))
        try:
            return self.fanouts[name]
        except KeyError:
            raise NotFound(f"there is no camera {name!r}; there is {', '.join(self.fanouts)}") from None

    def camera_settings(self, name: str) -> CameraSettings:
        """The settings of camera `name`."""
        return self._settings_of[name]

    @property
    def viewers(self) -> int:
        """How many viewers there are, over all cameras."""
        return sum(len(fanout) for fanout in self.fanouts.values())

    @property
    def waiting(self) -> int:
        """How many requests wait for a still, over all cameras."""
        return sum(len(fanout.waiting) for fanout in self.fanouts.values())


def site_of(app: Flask) -> Site:
    """The site that `app` serves."""
    return cast("Site", app.extensions["vedette"])


def current_site() -> Site:
    """The site of the request in hand."""
    return site_of(current_app)
