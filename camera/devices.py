"""What cameras this machine has, and what each can do: for `vedette cameras` and whoever chooses one.

`cameras()` asks each device in linuxpy's terms (pure Python; imported on first use only), `table()` and
`as_json()` say it to a person and to a program. Opens devices for a moment and changes nothing there;
a camera that is captured meanwhile is not disturbed. Called by the command line; blocks for some 10 ms
a camera.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from camera import nodes, v4l2
from camera.errors import SourceError, SourceMissing, SourceUnusable

if TYPE_CHECKING:
    from linuxpy.video import raw

_FIRST: Final = ("MJPG", "JPEG", "YUYV")
"""The formats a person looks for; they are listed before the others."""
_SHOWN: Final = 3
"""So many formats of a camera are listed in full; the rest by name."""
_NAMED: Final = 8
"""So many of the rest are named."""
_NO_MORE: Final = (errno.EINVAL, errno.ENOTTY, errno.ENODATA)
_KINDS: Final = {
    "INTEGER": "int",
    "INTEGER64": "int",
    "BOOLEAN": "bool",
    "MENU": "menu",
    "INTEGER_MENU": "menu",
    "BUTTON": "button",
    "STRING": "text",
    "BITMASK": "flags",
}
_READABLE: Final = ("int", "bool", "menu", "flags")


@dataclass(frozen=True, slots=True)
class Size:
    """One picture size, or a range of sizes, and the rates it can be had at."""

    width: int
    """Pixels; the largest of a range."""
    height: int
    """Pixels; the largest of a range."""
    rates: tuple[float, ...] = ()
    """Frames per second, fastest first; empty when the driver does not say."""
    any_rate: bool = False
    """Any rate between the fastest and the slowest of `rates`."""
    smallest: tuple[int, int] | None = None
    """Width and height in pixels from which any size up to this one can be had; None for one size only."""
    step: tuple[int, int] | None = None
    """Pixels between two widths and two heights of a range."""


@dataclass(frozen=True, slots=True)
class Format:
    """One pixel format and its sizes."""

    fourcc: str
    """Its four-character code: `MJPG` is a JPEG per frame, passed through untouched."""
    description: str
    sizes: tuple[Size, ...] = ()


@dataclass(frozen=True, slots=True)
class Control:
    """One thing that can be set on a camera."""

    name: str
    type: str
    """`int`, `bool`, `menu`, `button`, `text`, `flags` or `other`."""
    minimum: int
    maximum: int
    step: int
    default: int
    value: int | None = None
    """None when the driver does not tell it."""
    menu: tuple[tuple[int, str], ...] = ()
    """Value and name of each choice of a menu."""
    inactive: bool = False
    """True while another control rules it out, such as exposure time in automatic exposure."""


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """One camera as it is plugged in now."""

    node: str
    """Its node, such as /dev/video0; may be another after the next plug."""
    name: str
    """Its stable name: what to put into the settings."""
    card: str
    driver: str = ""
    bus: str = ""
    formats: tuple[Format, ...] = ()
    controls: tuple[Control, ...] = ()
    problem: str = ""
    """Why it could not be asked; empty when it could."""


def cameras() -> list[DeviceInfo]:
    """Every camera of this machine, by node number; one that cannot be asked is listed with the reason.

    Nodes that are no cameras (metadata, outputs, codecs, image processors) are left out.
    """
    found = []
    for node in nodes.nodes():
        try:
            found.append(_camera(node))
        except (SourceMissing, SourceUnusable) as error:
            if isinstance(error.__cause__, OSError) and not isinstance(error, SourceMissing) and nodes.is_picture(node):
                found.append(_unknown(node, error))
        except SourceError as error:
            if nodes.is_picture(node):
                found.append(_unknown(node, error))
    return found


def as_json(found: list[DeviceInfo]) -> str:
    """`cameras()` for a program: a JSON list with the fields of DeviceInfo, complete."""
    return json.dumps([asdict(camera) for camera in found], indent=2, ensure_ascii=False)


def table(found: list[DeviceInfo]) -> str:
    """`cameras()` for a person, a paragraph each."""
    if not found:
        return "No camera is plugged in."
    return "\n\n".join("\n".join(_paragraph(camera)) for camera in found)


def _camera(node: str) -> DeviceInfo:
    capability = v4l2.capability(node)
    name, card = nodes.stable_name(node), nodes.plain(capability.card)
    try:
        handle = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            formats = tuple(_formats(handle))
            controls = tuple(_controls(handle))
        finally:
            os.close(handle)
    except OSError as error:
        raise v4l2.explained(node, error) from error
    return DeviceInfo(node, name, card, capability.driver, capability.bus, formats, controls)


def _unknown(node: str, error: SourceError) -> DeviceInfo:
    card = nodes.plain(nodes.identify(node).card)
    return DeviceInfo(node, nodes.stable_name(node), card, problem=str(error))


def _enumerate(handle: int, request: int, struct: Any) -> Iterator[int]:
    """Have the driver fill `struct` for index 0, 1, … until it has no more."""
    for index in range(256):
        struct.index = index
        try:
            fcntl.ioctl(handle, request, struct)
        except OSError as error:
            if error.errno in _NO_MORE:
                return
            raise
        yield index


def _formats(handle: int) -> Iterator[Format]:
    from linuxpy.video import raw

    described = raw.v4l2_fmtdesc()
    described.type = raw.BufType.VIDEO_CAPTURE
    for _ in _enumerate(handle, raw.IOC.ENUM_FMT, described):
        fourcc = described.pixelformat.to_bytes(4, "little").decode("latin-1").strip()
        sizes = tuple(_sizes(handle, described.pixelformat))
        yield Format(fourcc, described.description.decode(errors="replace"), sizes)


def _sizes(handle: int, pixel_format: int) -> Iterator[Size]:
    from linuxpy.video import raw

    size = raw.v4l2_frmsizeenum()
    size.pixel_format = pixel_format
    for _ in _enumerate(handle, raw.IOC.ENUM_FRAMESIZES, size):
        if size.type == raw.Frmsizetypes.DISCRETE:
            width, height = size.m1.discrete.width, size.m1.discrete.height
            yield Size(width, height, *_rates(handle, pixel_format, width, height))
        else:
            span = size.m1.stepwise
            largest, smallest = (span.max_width, span.max_height), (span.min_width, span.min_height)
            rates = _rates(handle, pixel_format, *largest)
            yield Size(*largest, *rates, smallest, (span.step_width, span.step_height))


def _rates(handle: int, pixel_format: int, width: int, height: int) -> tuple[tuple[float, ...], bool]:
    """The rates of one size, and whether they are the ends of a range."""
    from linuxpy.video import raw

    interval = raw.v4l2_frmivalenum()
    interval.pixel_format, interval.width, interval.height = pixel_format, width, height
    rates = set()
    for _ in _enumerate(handle, raw.IOC.ENUM_FRAMEINTERVALS, interval):
        if interval.type != raw.Frmivaltypes.DISCRETE:
            ends = (interval.m1.stepwise.min, interval.m1.stepwise.max)
            return tuple(sorted({_rate(end) for end in ends} - {0.0}, reverse=True)), True
        rates.add(_rate(interval.m1.discrete))
    return tuple(sorted(rates - {0.0}, reverse=True)), False


def _rate(interval: raw.v4l2_fract) -> float:
    """Frames per second of a frame interval; 0.0 for one that makes no sense."""
    return round(interval.denominator / interval.numerator, 3) if interval.numerator else 0.0


def _controls(handle: int) -> Iterator[Control]:
    from linuxpy.video import raw

    query = raw.v4l2_query_ext_ctrl()
    following = raw.ControlFlag.NEXT_CTRL | raw.ControlFlag.NEXT_COMPOUND
    while True:
        query.id |= following
        try:
            fcntl.ioctl(handle, raw.IOC.QUERY_EXT_CTRL, query)
        except OSError as error:
            if error.errno in _NO_MORE:
                return
            raise
        kind = _KINDS.get(raw.CtrlType(query.type).name, "other") if query.type in set(raw.CtrlType) else "other"
        if query.type == raw.CtrlType.CTRL_CLASS or query.flags & raw.ControlFlag.DISABLED:
            continue
        yield Control(
            name=query.name.decode(errors="replace"),
            type=kind,
            minimum=query.minimum,
            maximum=query.maximum,
            step=query.step,
            default=query.default_value,
            value=_value(handle, query.id) if kind in _READABLE else None,
            menu=tuple(_menu(handle, query)) if kind == "menu" else (),
            inactive=bool(query.flags & raw.ControlFlag.INACTIVE),
        )


def _value(handle: int, identifier: int) -> int | None:
    from linuxpy.video import raw

    control = raw.v4l2_control(identifier)
    try:
        fcntl.ioctl(handle, raw.IOC.G_CTRL, control)
    except OSError as error:
        if error.errno == errno.ENODEV:
            raise
        return None  # write only, or the camera itself does not answer for this one: the others still count
    return int(control.value)


def _menu(handle: int, query: raw.v4l2_query_ext_ctrl) -> Iterator[tuple[int, str]]:
    from linuxpy.video import raw

    for index in range(query.minimum, min(query.maximum, query.minimum + 255) + 1):
        item = raw.v4l2_querymenu()
        item.id, item.index = query.id, index
        try:
            fcntl.ioctl(handle, raw.IOC.QUERYMENU, item)
        except OSError as error:
            if error.errno not in _NO_MORE:
                raise
            continue  # menus may have holes
        numbers = query.type == raw.CtrlType.INTEGER_MENU
        yield index, str(item.m1.value) if numbers else item.m1.name.decode(errors="replace")


def _paragraph(camera: DeviceInfo) -> Iterator[str]:
    yield camera.name
    yield "  " + " · ".join(_distinct(camera.node, camera.card, camera.driver, camera.bus))
    if camera.problem:
        yield f"  {camera.problem}"
        return
    formats = sorted(camera.formats, key=lambda one: _FIRST.index(one.fourcc) if one.fourcc in _FIRST else len(_FIRST))
    for one in formats[:_SHOWN]:
        groups: dict[str, list[str]] = {}
        for size in one.sizes:
            groups.setdefault(_said_rates(size), []).append(_said_size(size))
        lines = [f"{', '.join(sizes)}{rates}" for rates, sizes in groups.items()] or ["(sizes not told)"]
        for fourcc, line in zip([one.fourcc, *[""] * len(lines)], lines, strict=False):
            yield f"  {fourcc:4}  {line}"
    if formats[_SHOWN:]:
        names = [one.fourcc for one in formats[_SHOWN:]]
        more = f", … ({len(names)} in all; --json lists them)" if len(names) > _NAMED else ""
        yield f"  and   {', '.join(names[:_NAMED])}{more}"
    if camera.controls:
        yield "  Controls"
        width = max(len(control.name) for control in camera.controls)
        for control in camera.controls:
            yield f"    {control.name:{width}}  {_said_control(control)}".rstrip()


def _distinct(*words: str) -> list[str]:
    return [word for word in dict.fromkeys(words) if word]


def _said_size(size: Size) -> str:
    largest = f"{size.width}x{size.height}"
    return f"{size.smallest[0]}x{size.smallest[1]} to {largest}" if size.smallest else largest


def _said_rates(size: Size) -> str:
    if not size.rates:
        return ""
    between = " to " if size.any_rate else ", "
    return f" at {between.join(f'{rate:.4g}' for rate in size.rates)} fps"


def _said_control(control: Control) -> str:
    if control.type == "menu":
        choices = [name if name == str(value) else f"{value} {name}" for value, name in control.menu]
        said = [", ".join(choices), f"default {control.default}"]
    elif control.type == "bool":
        said = ["0 or 1", f"default {control.default}"]
    elif control.type == "int":
        step = f" step {control.step}" if control.step > 1 else ""
        said = [f"{control.minimum} to {control.maximum}{step}", f"default {control.default}"]
    else:
        said = [control.type]
    if control.value is not None:
        said.append(f"now {control.value}")
    if control.inactive:
        said.append("inactive")
    return "; ".join(said)
