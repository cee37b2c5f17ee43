"""Device nodes: which there are, which camera each one is, and how to find it again.

A camera that was unplugged may come back under another number, so a node's name says little.
What stays is in sysfs: the model, the serial number and the port. Links under `/dev/v4l` are only
used as names, since udev makes them a moment after the node and a container has none. Everything
here is a few system calls and no cv2 or linuxpy (importing linuxpy takes as long as importing cv2,
and brings asyncio and ssl along). Called on the capture thread and by the command line.
"""

from __future__ import annotations

import errno
import fcntl
import grp
import os
import pwd
import re
import stat
import struct
import time
from dataclasses import dataclass, replace
from pathlib import Path

from camera.errors import SourceBusy, SourceDenied, SourceError, SourceMissing, SourceUnusable

# linux/videodev2.h; the structures asked for here have the same layout on every architecture.
_QUERYCAP, _CAPABILITY = 0x80685600, struct.Struct("16s32s32s3I12x")
_ENUM_FMT, _FORMAT = 0xC0405602, struct.Struct("3I32s5I")
_REQBUFS, _BUFFERS = 0xC0145608, struct.Struct("5I")
_BUF_TYPE_VIDEO_CAPTURE, _MEMORY_MMAP = 1, 1
_VIDEO_CAPTURE, _VIDEO_OUTPUT, _META_CAPTURE = 0x1, 0x2, 0x800000
_M2M, _M2M_MPLANE, _IO_MC, _DEVICE_CAPS = 0x8000, 0x4000, 0x20000000, 0x80000000
_GONE = {errno.ENOENT, errno.ENODEV, errno.ENXIO}

_SETTLING = 2.0
"""Seconds in which a new node may still be root's alone, until udev has given it to its group."""


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


@dataclass(frozen=True, slots=True)
class Capability:
    """What a node says of itself."""

    driver: str
    card: str
    bus: str
    formats: tuple[str, ...]
    """The four-character codes it delivers, in its own order; `MJPG` is a JPEG per frame."""


def nodes() -> list[str]:
    """The video nodes of this machine, by number; also those that are no cameras."""
    found = [name for name in os.listdir("/dev") if re.fullmatch(r"video\d+", name)]
    return [f"/dev/{name}" for name in sorted(found, key=lambda name: int(name[5:]))]


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
    camera in another port, unless it was there before, next to the one that is looked for.
    """
    if not identity.card:
        return identity.path if os.path.exists(identity.path) else None
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
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        for name in names:
            if os.path.realpath(f"{folder}/{name}") == real:
                return f"{folder}/{name}"
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


def capability(node: str) -> Capability:
    """Ask the capture device at `node` what it is.

    Raises SourceMissing, SourceDenied, SourceBusy, or SourceUnusable when it delivers no pictures.
    """
    handle = _open(node)
    try:
        raw = fcntl.ioctl(handle, _QUERYCAP, bytes(_CAPABILITY.size))
        driver, card, bus, _, device, ours = _CAPABILITY.unpack(raw)
        capabilities = ours if device & _DEVICE_CAPS else device
        _refuse(node, capabilities, driver)
        return Capability(_string(driver), _string(card), _string(bus), _formats(handle))
    except OSError as error:
        raise explained(node, error) from error
    finally:
        os.close(handle)


def is_busy(node: str) -> bool:
    """Whether somebody else is capturing from the device. Changes nothing there."""
    try:
        handle = _open(node)
    except SourceError as error:
        return isinstance(error, SourceBusy)
    try:
        # Asking for no buffers is refused while another handle has some, and does nothing otherwise.
        fcntl.ioctl(handle, _REQBUFS, _BUFFERS.pack(0, _BUF_TYPE_VIDEO_CAPTURE, _MEMORY_MMAP, 0, 0))
    except OSError as error:
        return error.errno == errno.EBUSY
    finally:
        os.close(handle)
    return False


def busy(node: str) -> SourceBusy:
    """The error for a device that somebody else is using, naming the program where that can be seen."""
    programs = users(node)
    by = f" by {', '.join(programs)}" if programs else " by another program"
    return SourceBusy(f"{label(node)} is in use{by}: stop that, or choose another camera")


def users(node: str) -> list[str]:
    """The programs that have the device open, as far as /proc shows them to this user."""
    number, found = os.stat(node).st_rdev if os.path.exists(node) else 0, []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                opened = any(os.stat(handle).st_rdev == number != 0 for handle in (process / "fd").iterdir())
            except OSError:
                continue
            if opened:
                itself = int(process.name) == os.getpid()
                found.append("this program" if itself else f"{_text(process / 'comm')} (process {process.name})")
    return found


def explained(node: str, error: OSError) -> SourceError:
    """What a user should read when the system refused something about a device."""
    if error.errno in _GONE:
        return SourceMissing(f"{node} is not plugged in")
    if error.errno in (errno.EACCES, errno.EPERM):
        return _denied(node)
    if error.errno == errno.EBUSY:
        return busy(node)
    if error.errno in (errno.ENOTTY, errno.EINVAL):
        return SourceUnusable(f"{node} is not a camera")
    return SourceUnusable(f"{label(node)} does not answer: {os.strerror(error.errno or 0)}")


def _open(node: str) -> int:
    """A handle on the device; waits for udev when the node is new and not yet ours."""
    try:
        if not stat.S_ISCHR(os.stat(node).st_mode):
            raise SourceUnusable(f"{node} is not a camera: it is not a device")
        while True:
            try:
                return os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            except PermissionError:
                age = time.time() - os.stat(node).st_ctime
                if not 0 <= age < _SETTLING:
                    raise
                time.sleep(0.05)
    except OSError as error:
        raise explained(node, error) from error


def _denied(node: str) -> SourceDenied:
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = str(os.geteuid())
    try:
        group = grp.getgrgid(os.stat(node).st_gid).gr_name
    except (OSError, KeyError):
        group = "video"
    if group == "root":
        group = "video"
    return SourceDenied(
        f"{label(node)} may not be opened by the user {user}, who must be in the group {group}: "
        f"sudo usermod -aG {group} {user}, then log in again"
    )


def _refuse(node: str, capabilities: int, driver: bytes) -> None:
    """Raise SourceUnusable for a video node that is not a camera."""
    # A Raspberry Pi's ISP and codec offer capture nodes that give back what a program puts in.
    if capabilities & (_M2M | _M2M_MPLANE | _VIDEO_OUTPUT) or driver.startswith((b"bcm2835-isp", b"bcm2835-codec")):
        raise SourceUnusable(f"{label(node)} is not a camera: it converts pictures")
    if not capabilities & _VIDEO_CAPTURE:
        if capabilities & _META_CAPTURE:
            pictures = [other for other in nodes() if _port(other) == _port(node) and is_picture(other)]
            instead = f": use {pictures[0]}" if pictures else ""
            raise SourceUnusable(f"{label(node)} gives metadata, not pictures{instead}")
        raise SourceUnusable(f"{label(node)} is not a camera: it cannot capture")
    if capabilities & _IO_MC:
        raise SourceUnusable(
            f"{label(node)} is a bare sensor without its image pipeline: run a camera server for it "
            "(camera-streamer, picamera2) and give its http:// address"
        )


def _formats(handle: int) -> tuple[str, ...]:
    found: list[str] = []
    while True:
        request = _FORMAT.pack(len(found), _BUF_TYPE_VIDEO_CAPTURE, 0, b"", 0, 0, 0, 0, 0)
        try:
            answer = fcntl.ioctl(handle, _ENUM_FMT, request)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOTTY):
                return tuple(found)
            raise
        found.append(_FORMAT.unpack(answer)[4].to_bytes(4, "little").decode("latin-1"))


def _identify(node: str) -> Identity:
    folder = _sysfs(node)
    if folder is None:
        return Identity(node)
    port = _port(node)
    usb = Path(port).parent
    function = Path(port).name.partition(":")[2]
    return Identity(
        path=node,
        card=_text(folder / "name"),
        model=":".join(filter(None, (_text(usb / "idVendor"), _text(usb / "idProduct")))) if function else "",
        serial=_text(usb / "serial") if function else "",
        interface=f"{function}/{_text(folder / 'index')}",
        port=port,
    )


def _sysfs(node: str) -> Path | None:
    """What sysfs knows of a node, by its device number: in a container the name may be another."""
    try:
        number = os.stat(node).st_rdev
    except OSError:
        return None
    folder = Path(f"/sys/dev/char/{os.major(number)}:{os.minor(number)}")
    return folder if (folder / "index").exists() else None


def _port(node: str) -> str:
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


def _string(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode(errors="replace")
