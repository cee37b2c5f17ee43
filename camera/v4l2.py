"""Asking a V4L2 device what it is, and saying plainly why it will not be had.

A handful of ioctls and no cv2 or linuxpy: importing linuxpy takes as long as importing cv2 and brings asyncio and
ssl along, and this is on the way of every camera that comes back. Changes nothing on the device. Called on the
capture thread and by the command line; blocks for milliseconds, or up to two seconds for a node that udev has not
given to its group yet.
"""

from __future__ import annotations

import errno
import fcntl
import grp
import os
import pwd
import stat
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from camera import nodes
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
class Capability:
    """What a node says of itself."""

    driver: str
    card: str
    bus: str
    formats: tuple[str, ...]
    """The four-character codes it delivers, in its own order; `MJPG` is a JPEG per frame."""


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
    return SourceBusy(f"{nodes.label(node)} is in use{by}: stop that, or choose another camera")


def users(node: str) -> list[str]:
    """The programs that have the device open, as far as /proc shows them to this user."""
    number, found = Path(node).stat().st_rdev if Path(node).exists() else 0, []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                opened = any(handle.stat().st_rdev == number != 0 for handle in (process / "fd").iterdir())
            except OSError:
                continue
            if opened:
                itself = int(process.name) == os.getpid()
                found.append("this program" if itself else f"{_name(process)} (process {process.name})")
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
    return SourceUnusable(f"{nodes.label(node)} does not answer: {os.strerror(error.errno or 0)}")


def _open(node: str) -> int:
    """A handle on the device; waits for udev when the node is new and not yet ours."""
    try:
        mode = Path(node).stat().st_mode
    except OSError:
        mode = stat.S_IFCHR  # opening it will tell
    if not stat.S_ISCHR(mode):
        raise SourceUnusable(f"{node} is not a camera: it is not a device")
    try:
        while True:
            try:
                return os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            except PermissionError:
                age = time.time() - Path(node).stat().st_ctime
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
        group = grp.getgrgid(Path(node).stat().st_gid).gr_name
    except (OSError, KeyError):
        group = "video"
    if group == "root":
        group = "video"
    return SourceDenied(
        f"{nodes.label(node)} may not be opened by the user {user}, who must be in the group {group}: "
        f"sudo usermod -aG {group} {user}, then log in again"
    )


def _refuse(node: str, capabilities: int, driver: bytes) -> None:
    """Raise SourceUnusable for a video node that is not a camera."""
    # A Raspberry Pi's ISP and codec offer capture nodes that give back what a program puts in.
    if capabilities & (_M2M | _M2M_MPLANE) or driver.startswith((b"bcm2835-isp", b"bcm2835-codec")):
        raise SourceUnusable(f"{nodes.label(node)} is not a camera: it converts pictures")
    if not capabilities & _VIDEO_CAPTURE:
        if capabilities & _META_CAPTURE:
            pictures = [
                other for other in nodes.nodes() if nodes.port(other) == nodes.port(node) and nodes.is_picture(other)
            ]
            instead = f": use {pictures[0]}" if pictures else ""
            raise SourceUnusable(f"{nodes.label(node)} gives metadata, not pictures{instead}")
        if capabilities & _VIDEO_OUTPUT:
            # What a loopback device says of itself (exclusive_caps) while no program feeds it.
            raise SourceUnusable(f"{nodes.label(node)} has no pictures: the program that feeds it is not running")
        raise SourceUnusable(f"{nodes.label(node)} is not a camera: it cannot capture")
    if capabilities & _IO_MC:
        raise SourceUnusable(
            f"{nodes.label(node)} is a bare sensor without its image pipeline: run a camera server for it "
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


def _string(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode(errors="replace")


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text(errors="replace").strip()
    except OSError:
        return "a program"
