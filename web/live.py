"""The live picture: the page, the stream and the still. Views run on the hub, each in a greenlet of its own."""

from __future__ import annotations

import operator
import os
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from email.utils import formatdate
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from flask import Blueprint, Response, render_template, request

from camera.camera import fresh, no_picture
from camera.state import State
from web import __version__, parameters
from web.access import Level, level
from web.errors import Unavailable
from web.framing import Framing, framing_for
from web.site import current_site
from web.viewers import Fanout, Viewer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from camera import Frame

blueprint = Blueprint("live", __name__)

_NO_CACHE: Final = {
    "Cache-Control": "no-store, no-cache, must-revalidate, proxy-revalidate, pre-check=0, post-check=0, max-age=0",
    "Pragma": "no-cache",
    "Expires": "Mon, 3 Jan 2000 12:34:56 GMT",
}
"""ustreamer's: some clients and proxies heed only one of them."""


_MOST_WAITING: Final = 128
"""Requests that may wait for a still at a time: each holds one of the connections that ordinary requests have."""


@blueprint.get("/")
@blueprint.get("/cameras/<name>/")
@level(Level.VIEWER)
def page(name: str | None = None) -> str:
    """The live page."""
    site = current_site()
    camera = site.fanout(name).camera.name
    return render_template("live.html", cameras=list(site.fanouts), camera=camera, version=__version__)


@blueprint.get("/stream")
@blueprint.get("/video_feed")
@blueprint.get("/cameras/<name>/stream")
@level(Level.VIEWER)
def stream(name: str | None = None) -> Response:
    """Frames for as long as the client stays."""
    values = parameters.read(parameters.STREAM)
    site = current_site()
    fanout = site.fanout(name)
    if site.viewers >= site.settings.max_viewers:
        raise Unavailable(f"there are {site.viewers} viewers already, and no more are allowed (max_viewers)")
    framing = framing_for(request.accept_mimetypes, request.headers.get("Sec-Fetch-Dest", ""))
    return StreamResponse(fanout, framing, values["fps"])


@blueprint.get("/snapshot")
@blueprint.get("/cameras/<name>/snapshot")
@level(Level.VIEWER)
def snapshot(name: str | None = None) -> Response:
    """One still, in the quality in which the camera gives it."""
    values = parameters.read(parameters.SNAPSHOT)
    site = current_site()
    camera = (fanout := site.fanout(name)).camera
    if site.waiting >= _MOST_WAITING:
        raise Unavailable(f"{site.waiting} requests are waiting for a picture already")
    wanted = fresh(values["max_age"], settled=True)
    frame = fanout.wait_frame(wanted, values["timeout"], request.environ.get("gunicorn.socket"))
    if frame is None:
        raise Unavailable(f"{camera.name}: {no_picture(camera.status)}")
    return _still(frame, camera.name, attached=values["download"])


def _still(frame: Frame, camera: str, *, attached: bool) -> Response:
    response = Response(frame.jpeg, mimetype="image/jpeg")
    # The moment of capture names the picture: no two frames of a camera share it, and nothing has to be hashed.
    response.set_etag(f"{camera}-{frame.sequence}-{frame.captured_at:.6f}")
    response.headers["Last-Modified"] = formatdate(frame.captured_at, usegmt=True)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Timestamp"] = f"{frame.captured_at:.6f}"
    if attached:
        moment = time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(frame.captured_at))
        response.headers["Content-Disposition"] = f'attachment; filename="{camera}_{moment}.jpg"'
    return response


class StreamResponse(Response):
    """A response that leaves gunicorn's hands: its connection becomes a viewer of a fan-out.

    On another WSGI server, or for a test client, the same stream is an ordinary iterator, which blocks its thread. On
    our own worker that thread would be the hub's, so a connection that cannot be taken over is refused there. Above
    all the raw socket under TLS must never be used: pictures would go out in clear.
    """

    automatically_set_content_length = False  # it has none, also in the answer to HEAD

    def __init__(self, fanout: Fanout, framing: Framing, limit: float | None) -> None:
        super().__init__(content_type=framing.content_type, headers=_NO_CACHE)
        self._fanout = fanout
        self._framing = framing
        self._limit = limit

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Hand the connection over, or answer as any response does."""
        connection = _plain_connection(environ)
        if environ["REQUEST_METHOD"] == "HEAD":
            return super().__call__(environ, start_response)
        if connection is None:
            if "gunicorn.socket" in environ:
                raise RuntimeError("only a plain TCP connection can become a viewer")
            self.response = self._parts()
            return super().__call__(environ, start_response)
        from web.worker import ALREADY_HANDLED

        # The viewer gets a descriptor of its own; gunicorn closes the other one.
        own = socket.socket(fileno=os.dup(connection.fileno()))
        viewer = Viewer(own, self._framing, self._limit, environ.get("REMOTE_ADDR", ""))
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers if name != "Content-Length")
        head = f"HTTP/1.0 200 OK\r\n{lines}Connection: close\r\n\r\n".encode("latin-1")
        self._fanout.add(viewer, head + self._framing.opening)
        handled: Iterable[bytes] = ALREADY_HANDLED
        return handled

    def _parts(self) -> Iterator[bytes]:
        """The stream as an iterator, for servers with a thread for each connection."""
        camera = self._fanout.camera
        interval = 1 / self._limit if self._limit else 0.0
        last: Frame | None = None
        yield self._framing.opening
        with camera.watch():
            while True:
                frame = camera.buffer.wait(partial(operator.is_not, last), timeout=1.0) or last
                if frame is not None:
                    yield self._framing.part(frame, State.LIVE if frame.live else camera.status.state)
                    last = frame
                    time.sleep(interval)


def _plain_connection(environ: WSGIEnvironment) -> Any:
    """The TCP socket of the request in hand, or None where there is none that may be written to."""
    connection = environ.get("gunicorn.socket")
    if connection is None or isinstance(connection, ssl.SSLSocket) or hasattr(connection, "do_handshake"):
        return None
    return connection if connection.family in (socket.AF_INET, socket.AF_INET6) else None
