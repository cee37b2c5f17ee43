"""Cameras that this machine has: V4L2 devices through OpenCV, and `Auto`, which takes the first.

A camera that delivers MJPG is passed through: `read()` gives the JPEG as the camera made it, which
costs 0.1 to 0.3 ms a frame where decoding costs 11 to 35, and lets damage be seen (decoded, OpenCV
hides it behind the previous picture). Runs on the capture thread.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from camera import nodes, v4l2
from camera.errors import SourceBusy, SourceError, SourceLost, SourceMissing, SourceUnusable
from camera.sources import Image, Mode, Source, Wanted, opencv

if TYPE_CHECKING:
    import cv2

_COMPRESSED = ("MJPG", "JPEG")
_DECODED = ("YUYV", "UYVY", "YVYU", "NV12", "NV21", "YU12", "YV12", "BGR3", "RGB3", "GREY", "Y16 ")
"""What OpenCV turns into BGR, the cheapest on the bus first; left alone it might take BGR3."""

_FPS = 30.0
"""What is asked for when nothing is wanted; else it would be the last user's choice."""
_RETRY, _RETRY_REFUSED = 0.25, 2.0
"""Seconds between two attempts to open a camera that is not there, and one that cannot be opened."""
_QUICK = 0.5
"""A read that fails sooner than this many seconds was refused; one that fails later has waited in vain."""
_REFUSALS = 5
"""So many refusals in a row, of a device that is there: reads, and it is opened again; openings, and they get rarer."""
_PAUSE = 0.25
"""After a pause of so many seconds between two reads the driver's buffers hold old pictures."""
_WAITED = 0.005
"""A grab that took so many seconds had to wait for the camera: nothing old is left."""
_BUFFERS = 4
"""How many buffers OpenCV gives a driver."""
_LOOK = 2.0
"""Seconds between two looks for a camera while there is only the test pattern."""


class Device:
    """One V4L2 camera, found again by its identity after it was unplugged."""

    def __init__(self, spec: str, wanted: Wanted) -> None:
        """`spec` is a number, a node, or a link such as those in /dev/v4l/by-id."""
        self.retry_every = _RETRY
        self._path = f"/dev/video{spec}" if spec.isdigit() else spec
        self._wanted = wanted
        self._capture: cv2.VideoCapture | None = None
        self._identity: nodes.Identity | None = None
        self._node = self._path
        self._name = ""
        self._compressed = False
        self._refused = 0
        self._last = 0.0

    def open(self) -> Mode:
        """Find the camera and start it; what it then really gives is in the Mode.

        Raises SourceMissing, SourceDenied, SourceBusy or SourceUnusable.
        """
        self.close()
        try:
            mode = self._start()
        except SourceError as error:
            self.close()
            # Looking whether a camera is there costs nothing; one that goes on refusing is not pestered.
            self._refused = 0 if isinstance(error, SourceMissing) else self._refused + 1
            self.retry_every = _RETRY if self._refused < _REFUSALS else _RETRY_REFUSED
            raise
        self._refused, self._last, self.retry_every = 0, 0.0, _RETRY
        return mode

    def read(self) -> bytes | Image | None:
        """The next picture; see `Source.read`."""
        capture = self._capture
        if capture is None:
            raise SourceLost(f"{self._path} is not open")
        began = time.monotonic()
        if began - self._last > _PAUSE and self._last:
            _drain(capture)
        got, picture = capture.read()
        if got:
            self._last = began
            self._refused = 0
            return picture.tobytes() if self._compressed else cast("Image", picture)
        self._last = 0.0
        self._explain_nothing(time.monotonic() - began)
        return None

    def close(self) -> None:
        """Release the device; while a handle is open, a camera plugged in again gets another number."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _start(self) -> Mode:
        node = self._find()
        try:
            fourcc = _choose(node, v4l2.capability(node).formats)
            self._capture = _opened(node)
            mode = self._configure(self._capture, node, fourcc)
        except SourceMissing:
            raise self._missing() from None
        identity = nodes.identify(node)
        if self._identity is None or identity.card:
            self._identity = identity
        self._node, self._name = node, mode.name
        return mode

    def _find(self) -> str:
        if self._identity is not None and not self._is_link:
            node = nodes.find(self._identity)
        else:
            node = os.path.realpath(self._path)
        if node is None:
            raise self._missing()
        return node

    @property
    def _is_link(self) -> bool:
        """A link is a choice of its own: this serial number, or whatever is in this port."""
        return self._path.startswith("/dev/v4l/") or Path(self._path).is_symlink()

    def _missing(self) -> SourceMissing:
        others = [nodes.label(node) for node in nodes.nodes() if nodes.is_picture(node)]
        there = f"there is {', '.join(others)}" if others else "no camera is plugged in"
        return SourceMissing(f"{self._name or self._path} is not plugged in: {there}")

    def _configure(self, capture: cv2.VideoCapture, node: str, fourcc: str) -> Mode:
        """Ask for format, size and rate, in that order: a device remembers its last user."""
        import cv2

        get, wanted = capture.get, self._wanted
        # Each set() has the driver negotiate anew (on USB 20 to 70 ms in the lab): only what is not so already.
        if fourcc and _fourcc(get(cv2.CAP_PROP_FOURCC)) != fourcc:
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*fourcc))
        has = get(cv2.CAP_PROP_FRAME_WIDTH), get(cv2.CAP_PROP_FRAME_HEIGHT)
        size = wanted.width or has[0], wanted.height or has[1]
        if size != has:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        if get(cv2.CAP_PROP_FPS) != (wanted.fps or _FPS):
            capture.set(cv2.CAP_PROP_FPS, wanted.fps or _FPS)
        encoding = _fourcc(get(cv2.CAP_PROP_FOURCC))
        self._compressed = encoding in _COMPRESSED
        if self._compressed:
            capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
        width, height = int(get(cv2.CAP_PROP_FRAME_WIDTH)), int(get(cv2.CAP_PROP_FRAME_HEIGHT))
        fps = max(0.0, get(cv2.CAP_PROP_FPS))
        if width <= 0 or height <= 0:
            v4l2.capability(node)  # says so when it has gone meanwhile
            raise SourceUnusable(f"{nodes.label(node)} does not say what it gives: unplug it and plug it in again")
        name = nodes.stable_name(node)
        if name == node and self._name and not Path(self._name).exists():
            name = self._name  # udev has not made the link again yet
        return Mode(name, width, height, fps, encoding.strip(), True, _notice(wanted, width, height, fps))

    def _explain_nothing(self, waited: float) -> None:
        """No picture came: return for another try, or raise SourceLost when the camera has gone."""
        name = self._name or self._path
        try:
            v4l2.capability(self._node)
        except SourceMissing:
            raise SourceLost(f"{name} was unplugged") from None
        except SourceError as error:
            raise SourceLost(str(error)) from error
        if waited >= _QUICK:
            self._refused = 0
            return
        self._refused += 1
        if self._refused >= _REFUSALS:
            raise SourceLost(f"{name} refuses to give pictures: it is opened again")
        time.sleep(0.02 * 2**self._refused)


class Auto:
    """The first camera there is, and from then on only that one; a test pattern until there is one."""

    def __init__(self, wanted: Wanted) -> None:
        self.retry_every = _RETRY
        self._wanted = wanted
        self._device: Device | None = None
        self._source: Source | None = None
        self._looked = 0.0
        self._seen: list[tuple[str, float]] = []
        self._busy: list[str] = []

    def open(self) -> Mode:
        """Open the camera found before; else the first that opens; else the test pattern."""
        self.close()
        if self._device is not None:
            self._source = self._device
            return self._device.open()
        self._seen, self._busy, problem = _listing(), [], ""
        for node in nodes.nodes():
            device = Device(node, self._wanted)
            try:
                mode = device.open()
            except SourceUnusable:
                continue
            except SourceError as error:
                if isinstance(error, SourceBusy):
                    self._busy.append(node)
                if nodes.is_picture(node):
                    problem = problem or f": {error}"
                continue
            self._device = self._source = device
            return mode
        return self._pattern(f"No camera could be opened{problem}" if problem else "No camera found")

    def read(self) -> bytes | Image | None:
        """The next picture; raises SourceLost also when a camera has come, so that it is opened."""
        source = self._source
        if source is None:
            raise SourceLost("no camera is open")
        if self._device is None:
            self._look()
        return source.read()

    def close(self) -> None:
        """Release whatever is open."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def _pattern(self, problem: str) -> Mode:
        from camera.sources.pattern import Pattern

        pattern: Source = Pattern(self._wanted, notice=problem)
        self._source, self._looked = pattern, time.monotonic()
        # The picture says in large letters what it is; where there is only text, the text must.
        return replace(pattern.open(), notice=f"{problem}: this is a test pattern")

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return
        self._looked = now
        if _listing() != self._seen:
            raise SourceLost("a camera was plugged in: it is opened")
        if any(not v4l2.is_busy(node) for node in self._busy):
            raise SourceLost("a camera is free again: it is opened")


def _listing() -> list[tuple[str, float]]:
    """The nodes and when each last changed, in its permissions too."""
    found = []
    for node in nodes.nodes():
        try:
            found.append((node, Path(node).stat().st_ctime))
        except OSError:
            continue
    return found


def _choose(node: str, formats: tuple[str, ...]) -> str:
    """The format to ask for; empty when the device does not say what it has."""
    for fourcc in (*_COMPRESSED, *_DECODED):
        if fourcc in formats:
            return fourcc
    if formats:
        raise SourceUnusable(f"{nodes.label(node)} gives only {', '.join(formats)}, which cannot be shown")
    return ""


def _opened(node: str) -> cv2.VideoCapture:
    # OpenCV reads it as it opens a device; unless told otherwise, a read waits 10 s for a picture.
    os.environ["OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"] = "1"
    import cv2

    opencv.silence()
    capture = cv2.VideoCapture(node, cv2.CAP_V4L2)
    if capture.isOpened():
        return capture
    capture.release()
    v4l2.capability(node)
    if v4l2.is_busy(node):
        raise v4l2.busy(node)
    raise SourceUnusable(f"{nodes.label(node)} cannot be started: unplug it and plug it in again")


def _fourcc(code: float) -> str:
    """Four characters from OpenCV's number for a format."""
    return (int(code) & 0xFFFFFFFF).to_bytes(4, "little").decode("latin-1")


def _drain(capture: cv2.VideoCapture) -> None:
    """Drop what the driver had buffered during a pause, so that the next picture is from now."""
    for _ in range(_BUFFERS):
        began = time.monotonic()
        if not capture.grab() or time.monotonic() - began > _WAITED:
            return


def _notice(wanted: Wanted, width: int, height: int, fps: float) -> str:
    """What the camera did not grant, as one line; empty when it did."""
    if (wanted.width or width, wanted.height or height) != (width, height):
        asked = f"{wanted.width or 'any'}x{wanted.height or 'any'}"
        return f"The camera has no {asked}: it gives {width}x{height}"
    if wanted.fps and fps and abs(fps - wanted.fps) > 0.01 * wanted.fps:
        return f"The camera gives {fps:g} pictures a second at {width}x{height}, not {wanted.fps:g}"
    return ""
