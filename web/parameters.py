"""The table of query parameters: what each route takes, with its kind, its default and its description.

Like `web.settings` for the settings: the one table checks requests, words the errors and is held to the docs.
An unknown, repeated or malformed parameter is a 400 that names it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from flask import request
from werkzeug.exceptions import BadRequest

from web.kinds import Flag, Kind, Number

_CACHE_BUSTERS: Final = frozenset({"timestamp", "bypassCache", "cacheBust", "t", "_"})
"""What printer software appends to saved addresses so that no cache answers; a bare number is another."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter."""

    name: str
    kind: Kind[object]
    default: object
    help: str
    bare: object = None
    """What the parameter means without a value, `?download`; None where a value is needed."""


FPS: Final = Parameter("fps", Number(0.1, 240), None, "frames per second for this viewer, at most")
MAX_AGE: Final = Parameter(
    "max_age", Number(0, 3600, "seconds"), 1.0, "seconds since the capture of the still, at most; 0 asks for a new one"
)
TIMEOUT: Final = Parameter("timeout", Number(0, 60, "seconds"), 10.0, "seconds to wait for such a still")
DOWNLOAD: Final = Parameter("download", Flag(), False, "have a browser save the still under a sensible name", bare=True)

STREAM: Final = (FPS,)
"""What `/stream` takes."""
SNAPSHOT: Final = (MAX_AGE, TIMEOUT, DOWNLOAD)
"""What `/snapshot` takes."""


def read(table: tuple[Parameter, ...]) -> Mapping[str, Any]:
    """The values that the request in hand gives for `table`'s parameters, by name; defaults where it gives none.

    Cache-busters are left out of account. Raises a 400 that names the parameter and says what would be right.
    """
    known = {parameter.name: parameter for parameter in table}
    values = {parameter.name: parameter.default for parameter in table}
    for name, texts in request.args.lists():
        if name in _CACHE_BUSTERS or (texts == [""] and re.fullmatch(r"[0-9]+", name)):
            continue
        parameter = known.get(name)
        if parameter is None:
            raise BadRequest(f"unknown parameter {name[:40]!r}; this address takes {', '.join(known) or 'none'}")
        if len(texts) > 1:
            raise BadRequest(f"parameter {name!r} is given {len(texts)} times")
        values[name] = _value(parameter, texts[0])
    return values


def _value(parameter: Parameter, text: str) -> object:
    if not text and parameter.bare is not None:
        return parameter.bare
    try:
        return parameter.kind.from_text(text)
    except ValueError:
        raise BadRequest(f"parameter {parameter.name!r} is {text[:40]!r}; it must be {parameter.kind.right}") from None
