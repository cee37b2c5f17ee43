"""Errors as answers: the one table from what goes wrong to a status code, as JSON for programs, a page for people."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from flask import Flask, jsonify, make_response, render_template, request
from werkzeug.exceptions import HTTPException

from camera.errors import FrameTimeout, JpegError, SettingError, SourceError, VedetteError

if TYPE_CHECKING:
    from flask import Response

log = logging.getLogger("vedette.web")

_RETRY_AFTER: Final = 5
"""Seconds after which a client should try again, in each 503."""
_STATUS: Final[dict[type[VedetteError], int]] = {
    FrameTimeout: 503,
    SourceError: 503,
    JpegError: 503,
    SettingError: 400,
    VedetteError: 500,
}
"""The first entry of which an error is an instance gives its status."""
_PLAIN: Final = {404: "there is nothing at this address", 405: "this address does not take that method"}
"""What is said where nothing more precise is known."""


class Unavailable(HTTPException):
    """503: not now; the answer says when to try again."""

    code = 503
    name = "Service Unavailable"


def register(app: Flask) -> None:
    """Have `app` answer errors in our own words."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(VedetteError, _domain_error)
    app.register_error_handler(Exception, _defect)


def _http_error(error: HTTPException) -> Response:
    if error.response is not None:  # a redirect, or an answer that is complete already
        return make_response(error.response)
    # werkzeug's own descriptions are written for people who typed an address, in several sentences.
    own = error.description if error.description != type(error).description else None
    response = _answer(error.code or 500, _one_line(own or _PLAIN.get(error.code or 0) or error.name))
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _domain_error(error: VedetteError) -> Response:
    status = next(status for kind, status in _STATUS.items() if isinstance(error, kind))
    return _answer(status, _one_line(str(error)))


def _defect(error: Exception) -> Response:
    # A defect of ours: the log gets the trace, the stranger does not.
    log.error("error while answering %s %s", request.method, request.path, exc_info=error)
    return _answer(500, "an error of the server; its log says more")


def _answer(status: int, message: str) -> Response:
    if request.accept_mimetypes.best_match(("application/json", "text/html")) == "text/html":
        response = make_response(render_template("error.html", status=status, message=message), status)
    else:
        response = make_response(jsonify(error=message, status=status), status)
    response.headers["Cache-Control"] = "no-store"
    if status == Unavailable.code:
        response.headers["Retry-After"] = str(_RETRY_AFTER)
    return response


def _one_line(text: str) -> str:
    return " ".join(text.split())
