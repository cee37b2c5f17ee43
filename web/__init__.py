"""`web`: what the network sees of Vedette. `create_app()` is the way in.

A frame's way from here: `web.server` runs gunicorn with one worker (`web.worker`), which calls `create_app()`;
`web.live` hands each viewer to the fan-out of its camera (`web.viewers`), which sends what the capture thread
publishes (`camera.frame`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from web.settings import Settings

__version__ = "0.1.0"


def create_app(settings: Settings | None = None) -> Flask:
    """The Flask application for `settings`. Its cameras are described, not started: `site_of(app).start()` does that.

    Raises `SettingError` for a source that cannot be meant, and `LookupError` for a route that does not say who
    may use it.
    """
    # Imported here, since the command line needs this package and should not wait for Flask and OpenCV.
    from flask import Flask

    from web import access, errors, health, live
    from web.folders import STATIC, TEMPLATES
    from web.settings import Settings
    from web.site import Site

    settings = settings or Settings()
    app = Flask(__name__, template_folder=str(TEMPLATES), static_folder=str(STATIC))
    app.json.sort_keys = False  # type: ignore[attr-defined]  # cameras stay in the order of the settings
    app.extensions["vedette"] = Site(settings)

    access.guard(app)
    errors.register(app)
    app.register_blueprint(live.blueprint)
    app.register_blueprint(health.blueprint)
    access.require_levels(app)
    return app
