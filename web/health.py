"""How the cameras are: `/state` for people and programs, `/healthz` for whoever restarts things. Runs on the hub."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from flask import Blueprint, Response, jsonify

from camera.redact import redact
from camera.state import State
from web import __version__
from web.access import Level, caller_level, level
from web.site import current_site

if TYPE_CHECKING:
    from camera import Status
    from web.settings import CameraSettings
    from web.viewers import Fanout, Viewer

blueprint = Blueprint("health", __name__)

_OPENS_WITHIN: Final = 2.0
"""Seconds after which a camera that is still being opened counts as a problem."""


@blueprint.get("/healthz")
@level(Level.ANYONE)
def healthz() -> tuple[Response, int]:
    """200 when every camera that should be live is; 503 and the reasons otherwise."""
    problems = []
    for name, fanout in current_site().fanouts.items():
        status = fanout.camera.status
        if fanout.camera.should_be_live and status.state is not State.LIVE and not _just_opening(status):
            # A stranger is told that there is trouble, and not what is plugged in where.
            reason = f": {status.reason}" if status.reason else ""
            known = caller_level() >= Level.VIEWER
            problems.append(f"{name}: {status.state}{reason}" if known else f"a camera is {status.state}")
    response = jsonify(ok=not problems, problems=problems)
    response.headers["Cache-Control"] = "no-store"
    return response, 503 if problems else 200


@blueprint.get("/state")
@level(Level.VIEWER)
def state() -> Response:
    """Everything there is to know about the cameras and their viewers."""
    site = current_site()
    response = jsonify(
        ok=True,
        version=__version__,
        now=time.time(),
        started=site.started_at,
        level=caller_level().name.lower(),
        viewers={"count": site.viewers, "limit": site.settings.max_viewers},
        cameras={name: _camera(fanout, site.camera_settings(name)) for name, fanout in site.fanouts.items()},
    )
    response.headers["Cache-Control"] = "no-store"
    return response


def _just_opening(status: Status) -> bool:
    """A camera that somebody has just asked for is in order while it opens, as long as that takes no longer."""
    return status.state in (State.OFF, State.OPENING) and status.seconds < _OPENS_WITHIN


def _camera(fanout: Fanout, settings: CameraSettings) -> dict[str, Any]:
    camera = fanout.camera
    status, statistics, mode, frame = camera.status, camera.statistics, camera.mode, camera.buffer.latest
    asked = camera.wanted
    return {
        "state": status.state,
        "reason": status.reason,
        "since": status.since,
        "standby": camera.standby,
        "source": redact(settings.source),
        "stable_name": mode and mode.name,
        "encoding": mode and mode.encoding,
        "notice": mode.notice if mode else "",
        "asked": {"width": asked.width, "height": asked.height, "fps": asked.fps},
        "obtained": mode and {"width": mode.width, "height": mode.height, "fps": mode.fps},
        "fps": round(statistics.fps, 2),
        "frames": statistics.frames,
        "damaged": statistics.damaged,
        "damage": statistics.damage,
        "opened": statistics.opened,
        "frame": frame
        and {
            "sequence": frame.sequence,
            "live": frame.live,
            "captured_at": frame.captured_at,
            "age": round(frame.age, 4),
            "width": frame.width,
            "height": frame.height,
            "bytes": len(frame.jpeg),
        },
        "viewers": [_viewer(viewer) for viewer in fanout.viewers],
    }


def _viewer(viewer: Viewer) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": viewer.id,
        "since": viewer.since,
        "framing": viewer.framing.name,
        "limit": 1 / viewer.interval if viewer.interval else None,
        "fps": round(viewer.fps, 2),
        "age": round(viewer.age, 4),
        "sent": viewer.sent,
        "skipped": viewer.skipped,
    }
    if caller_level() >= Level.OPERATOR:
        told["address"] = viewer.address
    return told
