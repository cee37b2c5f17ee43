"""Device nodes: which there are, which camera each one is, and how to find it again.

A camera that was unplugged may come back under another number, so a node's name says little. What stays is in
sysfs: the model, the serial number and the port. The links under `/dev/v4l` are only used as names, since udev
makes them a moment after the node and a container has none. Opens no device; called on any thread.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Identity:
    """What tells one camera from all others, whatever number it has."""

    path: str
    """The node it had; all there is to go by when sysfs does not know the device."""
    card: str = ""
    model: str = ""
    """USB vendor and product, as `046d:0825`; empty for what is not USB."""
    serial: str = ""
    interface: str = ""
    """Which of its functions it is, for a USB device that is several cameras; and the video index."""
    port: str = ""
    """Where in the machine it is plugged in: the device's path in sysfs."""
    twins: frozenset[str] = frozenset()
    """The ports of the cameras that were there at the same time and differ by nothing but the port."""

    def alike(self, other: Identity) -> bool:
        """Whether both could be the same camera, plugged in somewhere else."""
        mine = (self.card, self.model, self.serial, self.interface)
        return mine == (other.card, other.model, other.serial, other.interface)


def nodes() -> list[str]:
    """The video nodes of this machine, by number; also those that are no cameras."""
    found = [path.name for path in Path("/dev").iterdir() if re.fullmatch(r"video\d+", path.name)]
    return [f"/dev/{name}" for name in sorted(found, key=lambda name: int(name.removeprefix("video")))]


def identify(node: str) -> Identity:
    """The identity of the camera at `node`; does not open it, never fails."""
    identity = _identify(node)
    if not identity.card:
        return identity
    others = (_identify(other) for other in nodes())
    return replace(identity, twins=frozenset(o.port for o in others if o.alike(identity) and o.port != identity.port))


def find(identity: Identity) -> str | None:
    """The node that camera has now, without opening anything; None when it is not there.

    The same kind of camera with the same serial number in the same port is it; so is the only such
    camera in another port, unless it was there before, next to the one that is looked for. What sysfs
    does not know is where it was, or is not there: opening it will tell.
    """
    if not identity.card:
        return identity.path
    moved = []
    for node in nodes():
        other = _identify(node)
        if other.alike(identity):
            if other.port == identity.port:
                return node
            if other.port not in identity.twins:
                moved.append(node)
    return moved[0] if len(moved) == 1 else None


def stable_name(node: str) -> str:
    """The name to put into settings: the link by serial number, else the one by port, else the node."""
    real = os.path.realpath(node)
    for folder in ("/dev/v4l/by-id", "/dev/v4l/by-path"):
        try:
            links = sorted(Path(folder).iterdir())
        except OSError:
            continue
        for link in links:
            if os.path.realpath(link) == real:
                return str(link)
    return node


def label(node: str) -> str:
    """`/dev/video0 (HD Webcam)`: a node as a person knows it."""
    card = plain(_identify(node).card)
    return f"{node} ({card})" if card else node


def plain(card: str) -> str:
    """A card's name without the repetition that most USB cameras have: `Webcam: Webcam` is `Webcam`."""
    first, _, second = card.partition(": ")
    return first if first.startswith(second) else card


def is_picture(node: str) -> bool:
    """Whether the node is the first of its device, as far as can be told without opening it.

    The later ones are mostly metadata.
    """
    folder = _sysfs(node)
    return folder is None or _text(folder / "index") in ("0", "")


def _identify(node: str) -> Identity:
    folder = _sysfs(node)
    if folder is None:
        return Identity(node)
    where = port(node)
    usb = Path(where).parent
    function = Path(where).name.partition(":")[2]
    return Identity(
        path=node,
        card=_text(folder / "name"),
        model=":".join(filter(None, (_text(usb / "idVendor"), _text(usb / "idProduct")))) if function else "",
        serial=_text(usb / "serial") if function else "",
        interface=f"{function}/{_text(folder / 'index')}",
        port=where,
    )


def _sysfs(node: str) -> Path | None:
    """What sysfs knows of a node, by its device number: in a container the name may be another."""
    try:
        number = Path(node).stat().st_rdev
    except OSError:
        return None
    folder = Path(f"/sys/dev/char/{os.major(number)}:{os.minor(number)}")
    return folder if (folder / "index").exists() else None


def port(node: str) -> str:
    """Where in the machine it is plugged in: the path of its device in sysfs; empty when sysfs does not know it."""
    folder = _sysfs(node)
    if folder is None:
        return ""
    device = folder / "device"
    # A device that is only software (a loopback) has no port: its own entry is where it is.
    return os.path.realpath(device if device.exists() else folder)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
