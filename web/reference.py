"""`docs/settings.md`, made from the table of settings; `python -m web.settings` prints it. Pure functions."""

from __future__ import annotations

from typing import Final

from web.settings import CAMERA, SERVER, Setting

_HEAD: Final = """\
# Settings

<!-- Made by `python -m web.settings > docs/settings.md` from the table in web/settings.py. -->

Every setting can be written in a file, in the environment and on the command line. `vedette config` lists the
settings in force and says for each where it came from. A value that is not right, or a name that does not exist,
ends the program with one line that says what would be right.

## Where values come from

What comes later in this list wins:

1. the default;
2. the file, at its top;
3. the file, in the camera's own table;
4. the environment: `VEDETTE_` and the setting's name in capitals, `VEDETTE_PORT=8000`. A variable that is set to
   nothing counts as not set;
5. the environment, for one camera: `VEDETTE_CAMERA_FRONT_FPS=10` is for the camera `front`. A `-` in the camera's
   name is written `_`;
6. an option: `--port 8000`.

A camera's setting that is given as an option or as a plain variable therefore holds for every camera, and wins over
the tables in the file: `vedette --source pattern` shows the pattern on all of them.

## The file

It is written in [TOML](https://toml.io). The first of these that exists is read, and no other:

1. the one named by `--config FILE`;
2. the one named by the variable `VEDETTE_CONFIG`;
3. `vedette.toml` in the current folder;
4. `~/.config/vedette/vedette.toml` (or in `$XDG_CONFIG_HOME`);
5. `/etc/vedette/vedette.toml`.

```toml
port = 8000
standby = "warm"                 # for every camera that does not say otherwise

[camera.front]                   # the first camera is what /stream and /snapshot mean
source = "/dev/v4l/by-id/usb-046d_HD_Pro_Webcam_C920-video-index0"
size = "1920x1080"

[camera.yard]
source = "rtsp://viewer:secret@192.168.1.20/h264"
rotate = 180
```

Settings of the server come before the first table. Without any `[camera.…]` table there is one camera, named
`camera`. A camera's name consists of `a-z`, `0-9`, `-` and `_`, at most 32 characters, a letter or digit first; it is
part of the camera's addresses: `/cameras/front/stream`.

A file that holds a password should be readable for its owner only (`chmod 600`). Passwords in addresses are shown as
`***` wherever Vedette shows a source.
"""


def page() -> str:
    """The whole page, in Markdown."""
    parts = [_HEAD, "## The server\n", *map(_section, SERVER), "## Each camera\n", *map(_section, CAMERA)]
    return "\n".join(parts)


def _section(setting: Setting) -> str:
    """What there is to say about one setting."""
    variable = f"`{setting.variable}`"
    if setting.per_camera:
        variable += f", `{setting.variable_for('<name>').replace('<NAME>', '<NAME>')}`"
    return (
        f"### `{setting.name}`\n\n"
        f"{setting.help[0].upper()}{setting.help[1:]}.\n\n"
        f"- must be {setting.kind.right}\n"
        f"- default: {_as_toml(setting)}\n"
        f"- environment: {variable}\n"
        f"- option: `{setting.option}`\n"
    )


def _as_toml(setting: Setting) -> str:
    """The default as it is written in a file."""
    default = setting.default
    if isinstance(default, tuple) and not default:
        return "`[]`"
    shown = setting.kind.show(default)
    return f"`{shown}`" if isinstance(default, bool | int | float) else f'`"{shown}"`'
