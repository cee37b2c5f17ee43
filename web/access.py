"""Who may do what: levels, and where a request may come from. Runs on the hub, before each view.

Default deny: every route says which level it takes, and an application with a route that does not say so does not
start. *Anyone* sees nothing but the health; a *viewer* watches; an *operator* sees who watches, keeps, deletes and
configures.

On this machine, as long as no password is set, everybody is an operator. `open` makes everybody else a viewer, and
nothing more. A request that came through a proxy is somebody else's, also when the proxy runs on this machine.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from urllib.parse import urlsplit

from flask import Flask, current_app, g, request
from werkzeug.exceptions import Forbidden, HTTPException

from web.addresses import host_name, is_address, is_loopback
from web.site import current_site

if TYPE_CHECKING:
    from flask import Response

View = TypeVar("View", bound=Callable[..., Any])

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_PROXY_HEADERS: Final = (
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Server",
    "X-Real-IP",
    "X-Client-IP",
    "True-Client-IP",
    "CF-Connecting-IP",
    "Via",
)
"""What a proxy adds. One that adds none of them cannot be told from a program on this machine (docs/http.md)."""
_CONTENT_POLICY: Final = (
    "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'self'"
)


class Level(IntEnum):
    """What a caller may do; each level includes those before it."""

    ANYONE = 0
    VIEWER = 1
    OPERATOR = 2


class Misdirected(HTTPException):
    """421: the request names a host that this server is not (RFC 9110, 15.5.20)."""

    code = 421
    name = "Misdirected Request"


def level(required: Level) -> Callable[[View], View]:
    """Declare which level a view takes; every view must."""

    def declare(view: View) -> View:
        cast("Any", view).level = required
        return view

    return declare


def guard(app: Flask) -> None:
    """Have every request to `app` checked, and every response carry the security headers."""
    # Flask made the view for static files itself; style sheets and scripts belong to the pages of viewers.
    app.view_functions["static"] = level(Level.VIEWER)(cast("Any", app.view_functions["static"]))
    app.before_request(_check)
    app.after_request(_harden)


def require_levels(app: Flask) -> None:
    """Raise `LookupError` if a route of `app` does not say who may use it."""
    for rule in app.url_map.iter_rules():
        if not isinstance(getattr(app.view_functions[rule.endpoint], "level", None), Level):
            raise LookupError(f"the route {rule.rule} does not say which level it takes (web.access.level)")


def caller_level() -> Level:
    """The level of whoever sent the request in hand."""
    known = cast("Level | None", g.get("level"))
    if known is None:
        g.level = known = _judge()
    return known


def _judge() -> Level:
    proxied = any(name in request.headers for name in _PROXY_HEADERS)
    if not proxied and is_loopback(request.remote_addr or ""):
        return Level.OPERATOR
    return Level.VIEWER if current_site().settings.open else Level.ANYONE


def _check() -> None:
    _check_host()
    _check_origin()
    endpoint = request.endpoint
    if endpoint is None:  # no such route: the 404 tells nobody anything
        return
    required: Level = cast("Any", current_app.view_functions[endpoint]).level
    if caller_level() < required:
        raise Forbidden(
            "only callers on this machine may do this"
            if required is Level.OPERATOR
            else "this camera is shown to this machine only; start vedette with --open to let everyone watch"
        )


def _check_host() -> None:
    """Refuse a foreign name in Host: a page elsewhere could have had its own name point here (DNS rebinding)."""
    host = host_name(request.host)
    if host is None or not (is_address(host) or host in _own_names() or host in current_site().settings.hosts):
        raise Misdirected(f"{request.host[:100]!r} is not a name of this server; if it should be, add it to `hosts`")


def _own_names() -> frozenset[str]:
    # Asked each time: the name of a machine may change, and asking the kernel costs a microsecond.
    name = socket.gethostname().lower()
    short = name.partition(".")[0]
    return frozenset({"localhost", name, short, f"{short}.local"})


def _check_origin() -> None:
    """Refuse a change that another site's page asks for in the name of whoever is looking at it."""
    if request.method in _SAFE_METHODS:
        return
    origin = request.headers.get("Origin")
    if origin is not None:
        if _network_location(origin) != request.host:
            raise Forbidden("another site may not change anything here")
    elif request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        raise Forbidden("another site may not change anything here")


def _network_location(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def _harden(response: Response) -> Response:
    headers = response.headers
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "no-referrer")
    if response.mimetype == "text/html":
        headers.setdefault("Content-Security-Policy", _CONTENT_POLICY)
    return response
