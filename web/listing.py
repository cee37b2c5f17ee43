"""`vedette config`: the settings in force and where each came from, for people and as JSON. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from camera.redact import redact
from web.settings import SETTINGS

if TYPE_CHECKING:
    from web.configuration import Configuration, Value

_KINDS = {setting.name: setting.kind for setting in SETTINGS}


def table(found: Configuration) -> str:
    """The settings as lines with three columns: name, value, origin."""
    lines = [f"file: {found.file}" if found.file else "file: none (see docs/settings.md for where one is looked for)"]
    rows = list(_rows(found))
    left, middle = (max(len(row[column]) for row in rows) for column in (0, 1))
    title = None
    for name, value, origin in rows:
        head, _, _ = name.rpartition(".")
        if head != title:
            lines.append("")
            title = head
        lines.append(f"{name:{left}}  {value:{middle}}  {origin}")
    return "\n".join(lines)


def as_json(found: Configuration) -> str:
    """The same as JSON; values are of the types they have in a TOML file."""
    document = {
        "file": str(found.file) if found.file else None,
        "server": _plain(found.server),
        "cameras": {camera: _plain(values) for camera, values in found.cameras.items()},
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _rows(found: Configuration) -> Iterator[tuple[str, str, str]]:
    groups = [("", found.server), *((f"camera.{camera}.", values) for camera, values in found.cameras.items())]
    for prefix, values in groups:
        for name, value in values.items():
            yield f"{prefix}{name}", redact(_KINDS[name].show(value.value)) or "-", value.origin


def _plain(values: Mapping[str, Value]) -> dict[str, dict[str, object]]:
    plain: dict[str, dict[str, object]] = {}
    for name, value in values.items():
        as_is = isinstance(value.value, bool | int | float)
        shown: object = value.value if as_is else redact(_KINDS[name].show(value.value))
        if isinstance(value.value, tuple) and name == "hosts":
            shown = list(value.value)
        plain[name] = {"value": shown, "from": value.origin}
    return plain
