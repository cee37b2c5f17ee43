"""Reads the settings from file, environment and options, and remembers where each came from.

Runs once, on the main thread, before anything else is started. The order is described in `docs/settings.md`.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from camera.errors import SettingError
from camera.redact import redact
from web.settings import CAMERA, CAMERA_NAME, SERVER, SETTINGS, CameraSettings, Setting, Settings

CONFIG_VARIABLE: Final = "VEDETTE_CONFIG"
_PREFIX: Final = "VEDETTE_"
_TABLE: Final = "camera"
_SHOWN: Final = 80
"""Characters of a bad value that are repeated in the error."""


@dataclass(frozen=True, slots=True)
class Value:
    """A setting's value and where it came from."""

    value: object
    origin: str
    """`default`, `file FILE`, `environment VARIABLE` or `option --NAME`."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings in force, with their origins."""

    settings: Settings
    file: Path | None
    """The file that was read."""
    server: Mapping[str, Value]
    """By setting."""
    cameras: Mapping[str, Mapping[str, Value]]
    """By camera, then by setting."""


def read(
    options: Mapping[str, str] | None = None,
    *,
    config: str | Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Configuration:
    """Read all settings.

    `options`: texts from the command line, by name of setting; `config`: the file given there. Raises `SettingError`
    with a line that names the place, the setting, the value and what would be right.
    """
    environment = os.environ if environment is None else environment
    environment = {name: text for name, text in environment.items() if name.startswith(_PREFIX) and text.strip()}
    options = options or {}
    path = Path(config) if config is not None else find_file(environment)
    document = _load(path) if path is not None else {}
    tables = _camera_tables(document, path)

    everywhere = {setting.name: Value(setting.default, "default") for setting in SETTINGS}
    top = {key: raw for key, raw in document.items() if key != _TABLE}
    everywhere |= _from_table(top, SETTINGS, f"{path}", f"file {path}")
    last = _from_environment(environment, {setting.variable: setting for setting in SETTINGS})
    given = {
        setting.name: Value(
            _text(setting, options[setting.name], f"{setting.option} "),
            f"option {setting.option}",
        )
        for setting in SETTINGS
        if setting.name in options
    }
    cameras = {}
    for name, table in tables.items():
        own = _from_table(table, CAMERA, f"{path}: [{_TABLE}.{name}]", f"file {path} [{_TABLE}.{name}]")
        variables = {setting.variable_for(name): setting for setting in CAMERA}
        merged = everywhere | own | last | _from_environment(environment, variables) | given
        cameras[name] = {setting.name: merged[setting.name] for setting in CAMERA}
    merged = everywhere | last | given
    server = {setting.name: merged[setting.name] for setting in SERVER}
    _refuse_unknown_variables(environment, tables)
    return Configuration(_settings(server, cameras), path, server, cameras)


def find_file(environment: Mapping[str, str]) -> Path | None:
    """The file to read when none was given on the command line."""
    if environment.get(CONFIG_VARIABLE):
        return Path(environment[CONFIG_VARIABLE])
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111 - Path raises without a home
    places = (Path("vedette.toml"), Path(home) / "vedette" / "vedette.toml", Path("/etc/vedette/vedette.toml"))
    return next((place for place in places if os.path.lexists(place)), None)


def _settings(server: Mapping[str, Value], cameras: Mapping[str, Mapping[str, Value]]) -> Settings:
    """The values without their origins; every kind has made the type that its field has."""
    plain: dict[str, Any] = {name: value.value for name, value in server.items()}
    each = []
    for camera, values in cameras.items():
        own: dict[str, Any] = {name: value.value for name, value in values.items()}
        each.append(CameraSettings(name=camera, **own))
    return Settings(**plain, cameras=tuple(each))


def _load(path: Path) -> dict[str, Any]:
    """The file's contents."""
    try:
        # Windows editors put a byte order mark in front, which TOML does not know.
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise SettingError(f"{path}: cannot read the settings: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingError(f"{path}: not a text file in UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{path}: not TOML: {error}") from None
    except RecursionError:
        raise SettingError(f"{path}: not settings: brackets within brackets, too deep to read") from None
    except ValueError:
        # Python's limit on the digits of a number; its message is about Python.
        raise SettingError(f"{path}: not settings: a number in it has too many digits") from None


def _camera_tables(document: Mapping[str, Any], path: Path | None) -> dict[str, Mapping[str, Any]]:
    """The `[camera.<name>]` tables, in their order; one empty table when there are none."""
    tables = document.get(_TABLE, {})
    hint = f"a camera is a table with a name, like [{_TABLE}.front]"
    if not isinstance(tables, dict):
        raise SettingError(f"{path}: {_TABLE} = {_shown(tables)}: {hint}")
    folded: dict[str, str] = {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise SettingError(f"{path}: [{_TABLE}] {name} = {_shown(table)}: {hint}")
        try:
            CAMERA_NAME.from_toml(name)
        except ValueError:
            raise SettingError(f"{path}: [{_TABLE}.{name!r}]: a camera's name must be {CAMERA_NAME.right}") from None
        twin = folded.setdefault(name.replace("-", "_"), name)
        if twin != name:
            raise SettingError(f"{path}: [{_TABLE}.{name}]: too much like [{_TABLE}.{twin}]; give it another name")
    return tables or {"camera": {}}


def _from_table(table: Mapping[str, Any], known: Iterable[Setting], place: str, origin: str) -> dict[str, Value]:
    """The settings in one table of the file."""
    settings = {setting.name: setting for setting in known}
    values = {}
    for key, raw in table.items():
        if key not in settings:
            raise SettingError(f"{place}: {_unknown(key, settings)}")
        setting = settings[key]
        try:
            values[key] = Value(setting.kind.from_toml(raw), origin)
        except ValueError:
            raise SettingError(f"{place}: {key} = {_shown(raw)}: must be {setting.kind.right}") from None
    return values


def _from_environment(environment: Mapping[str, str], variables: Mapping[str, Setting]) -> dict[str, Value]:
    """The settings in `variables` that are set."""
    return {
        setting.name: Value(_text(setting, environment[variable], f"{variable}="), f"environment {variable}")
        for variable, setting in variables.items()
        if variable in environment
    }


def _text(setting: Setting, text: str, place: str) -> object:
    """The value of `setting` that `text` means; `place` is what stands before it."""
    try:
        return setting.kind.from_text(text)
    except ValueError:
        raise SettingError(f"{_one_line(place + redact(text))}: must be {setting.kind.right}") from None


def _refuse_unknown_variables(environment: Mapping[str, str], cameras: Iterable[str]) -> None:
    """A variable that looks like a setting and is none would otherwise be a value that silently does not hold."""
    known = {CONFIG_VARIABLE, *(setting.variable for setting in SETTINGS)}
    known |= {setting.variable_for(camera) for camera in cameras for setting in CAMERA}
    for variable in environment:
        if variable not in known:
            names = f" (the cameras are: {', '.join(cameras)})" if variable.startswith("VEDETTE_CAMERA_") else ""
            raise SettingError(f"{_unknown(variable, known)}{names}")


def _unknown(name: str, known: Iterable[str]) -> str:
    """What is wrong with a setting of this name."""
    if name in {setting.name for setting in SERVER}:
        return f"{name}: belongs to the server, not to a camera; write it before the first table"
    near = difflib.get_close_matches(name, list(known), n=1)
    hint = f"; did you mean {near[0]}?" if near else "; vedette config lists them all"
    return f"{_one_line(name)}: there is no such setting{hint}"


def _shown(raw: object) -> str:
    """A value of the file as it might be written there, short and without passwords."""
    if isinstance(raw, bool):
        text = "true" if raw else "false"
    elif isinstance(raw, str):
        text = f'"{_one_line(redact(raw))}"'
    elif isinstance(raw, list):
        text = _one_line(f"[{', '.join('…' if isinstance(each, list | dict) else _shown(each) for each in raw)}]")
    elif isinstance(raw, dict):
        text = "{…}"
    else:
        try:
            text = _one_line(str(raw))
        except ValueError:
            # A whole number in hexadecimal may have more digits than Python writes.
            text = "a number of many digits"
    return text


def _one_line(text: str) -> str:
    """`text` without control characters, shortened."""
    text = "".join(each if each.isprintable() else "?" for each in text)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
