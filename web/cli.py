"""The command `vedette`: reads the line, has the work done elsewhere, and turns every error into one clear line.

Runs on the main thread. OpenCV, NumPy, Flask and gevent are imported by the command that needs them, so that
`vedette --help` answers at once.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import click

from camera.errors import SettingError, VedetteError
from camera.redact import redact_sentence
from web import __version__
from web.kinds import Flag, Number
from web.settings import CAMERA, SETTINGS, Setting

if TYPE_CHECKING:
    from web.configuration import Configuration

F = TypeVar("F", bound=Callable[..., None])

_BAD_USAGE: Final = 2
_FAILED: Final = 1
_INTERRUPTED: Final = 130


def main() -> NoReturn:
    """Run the command and end the process: 0, 1 when something failed, 2 for a bad setting or option."""
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run the command; its exit code."""
    code = 0
    try:
        # Without its standalone mode click returns the code of --help and --version.
        code = vedette.main(list(arguments), prog_name="vedette", standalone_mode=False) or 0
    except click.ClickException as error:
        code = _say(error.format_message(), _BAD_USAGE)
    except SettingError as error:
        code = _say(str(error), _BAD_USAGE)
    except VedetteError as error:
        code = _say(str(error), _FAILED)
    except (KeyboardInterrupt, click.Abort):
        code = _INTERRUPTED
    except BrokenPipeError:
        code = _FAILED
    except Exception as error:  # noqa: BLE001 - the last net: it is told, and ends the process
        code = _say(f"unexpected {type(error).__name__}: {error} (more with VEDETTE_LOG_LEVEL=debug)", _FAILED)
        if _debugging(arguments):
            click.echo(redact_sentence(traceback.format_exc()), err=True, nl=False)
    return code


def _say(sentence: str, code: int) -> int:
    """Tell what went wrong, in one line and without the password of whatever address is in it."""
    click.echo(f"vedette: {redact_sentence(' '.join(sentence.split()))}", err=True)
    return code


def _debugging(arguments: Sequence[str]) -> bool:
    """Whether the log level is debug, also when what failed is the reading of settings."""
    return (
        "--log-level debug" in " ".join(arguments).replace("=", " ")
        or os.environ.get("VEDETTE_LOG_LEVEL", "").strip().lower() == "debug"
        or logging.getLogger("vedette").isEnabledFor(logging.DEBUG)
    )


def _seconds(context: click.Context, parameter: click.Parameter, text: str) -> float:
    """Seconds on the command line, read like a setting of that kind: click's own numbers include `nan`."""
    kind = Number(0.1, 3600, "seconds")
    try:
        return kind.from_text(text)
    except ValueError:
        raise click.BadParameter(f"{text}: must be {kind.right}", context, parameter) from None


def _options(settings: Sequence[Setting]) -> Callable[[F], F]:
    """Give a command `--config` and an option for each of `settings`; all are texts, read by `web.configuration`."""

    def add(command: F) -> F:
        for setting in reversed(settings):
            flag = isinstance(setting.kind, Flag)
            declaration = f"{setting.option}/--no-{setting.name.replace('_', '-')}" if flag else setting.option
            command = click.option(
                declaration,
                setting.name,
                default=None,
                is_flag=flag,
                metavar=None if flag else setting.kind.metavar,
                help=f"{setting.help[0].upper()}{setting.help[1:]}  [{setting.kind.show(setting.default) or 'none'}]",
            )(command)
        return click.option("--config", metavar="FILE", help="Read the settings from this TOML file.")(command)

    return add


def _read(context: click.Context, given: Mapping[str, Any]) -> Configuration:
    """The settings; an option may stand before the command or behind it, where it counts more."""
    from web import configuration

    before = context.parent.params if context.parent else {}
    merged = {name: value for name, value in (*before.items(), *given.items()) if value is not None}
    config = merged.pop("config", None)
    options = {name: str(value) for name, value in merged.items()}
    return configuration.read(options, config=config)


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Every setting can also be written in vedette.toml or set as a variable: VEDETTE_PORT=8000.",
)
@_options(SETTINGS)
@click.version_option(__version__, "--version", message="%(prog)s %(version)s")
@click.pass_context
def vedette(context: click.Context, /, **given: Any) -> None:
    """Show cameras live in the browser and to any MJPEG client.

    Without a command the server is started; http://localhost:8080/ then shows the camera.
    """
    if context.invoked_subcommand is None:
        from web.cameras import check_sources

        found = _read(context, given)
        check_sources(found)
        from web.server import serve

        serve(found.settings)


@vedette.command(short_help="List the cameras of this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cameras(*, as_json: bool) -> None:
    """List the cameras of this machine: names, formats, sizes, rates, controls."""
    from camera import devices

    found = devices.cameras()
    click.echo(devices.as_json(found) if as_json else devices.table(found))


@vedette.command(short_help="Write one still to a file, without a server.")
@click.argument("file")
@_options(CAMERA)
@click.option("--camera", "name", metavar="NAME", help="Which camera, when there are several.  [the first]")
@click.option("--timeout", default="10", callback=_seconds, metavar="SECONDS", help="Give up after this.  [10]")
@click.pass_context
def snapshot(context: click.Context, /, file: str, name: str | None, timeout: float, **given: Any) -> None:
    """Write one still to FILE, or to standard output for -, without a server."""
    from web import stills
    from web.cameras import check_sources

    found = _read(context, given)
    check_sources(found)
    settings = found.settings
    wanted = name if name is not None else settings.cameras[0].name
    names = [camera.name for camera in settings.cameras]
    if wanted not in names:
        raise SettingError(f"--camera {wanted}: there is no such camera; there is {', '.join(names)}")
    notice = stills.take(settings.cameras[names.index(wanted)], file, timeout=timeout)
    if notice:
        click.echo(f"vedette: {notice}", err=True)


@vedette.command(short_help="Print the settings and where each came from.")
@_options(SETTINGS)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def config(context: click.Context, /, *, as_json: bool, **given: Any) -> None:
    """Print the settings in force and where each came from."""
    from web import listing

    found = _read(context, given)
    click.echo(listing.as_json(found) if as_json else listing.table(found))
