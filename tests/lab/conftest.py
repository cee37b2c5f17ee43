"""The lab's cameras as fixtures: real V4L2 drivers in a small virtual machine (`tests/lab/run`).

Each camera is handed out plugged in, sending and without faults. What took how long is noted with
`figures` and printed at the end of the run: the machine is emulated, so bounds in the tests are generous.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import pytest

T = TypeVar("T")
HERE: Final = Path(__file__).parent
VIVID: Final = Path("/sys/bus/platform/drivers/vivid")
USB_LINK: Final = "/dev/v4l/by-id/usb-v4l2-lab_Lab_USB_Camera_LAB0000-video-index0"
VIVID_LINK: Final = "/dev/v4l/by-path/platform-vivid.0-video-index0"
_figures: Final[dict[str, list[float]]] = defaultdict(list)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs the lab; anywhere else it is skipped, and says how to run it."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("lab")
            if shutil.which("cam") is None:
                item.add_marker(pytest.mark.skip(reason="needs the lab's cameras: run tests/lab/run"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured."""
    for name, values in _figures.items():
        middle = sorted(values)[len(values) // 2]
        terminalreporter.write_line(f"FIGURE {name}: median {middle:.3g}, most {max(values):.3g}, {len(values)} times")


def _cam(*words: str) -> str:
    done = subprocess.run(["cam", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"cam {' '.join(words)}: {done.stderr}"
    return done.stdout


def _until(found: Callable[[], T | None], what: str, seconds: float = 10.0) -> T:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = found()
        if value:
            return value
        time.sleep(0.005)
    pytest.fail(f"{what} did not come within {seconds:g} s")


@dataclass(frozen=True)
class LabCamera:
    """One of the lab's cameras and what can be done to it."""

    name: str
    encoding: str
    plug: Callable[[], object]
    unplug: Callable[[], object]
    stall: Callable[[], object]
    resume: Callable[[], object]
    node: Callable[[], str | None]
    """Where its picture is now; None while it is unplugged."""
    removable: bool = True
    """False for a camera whose node stays: unplugged is without a signal then."""

    def pull(self) -> float:
        """Unplug it; when its node went, on `time.monotonic()` (the command takes much longer than that)."""
        node = self.node()
        assert node is not None
        return self._watched(self.unplug, lambda: not Path(node).exists())

    def push(self) -> float:
        """Plug it in; when a new node came, on `time.monotonic()`."""
        before = _nodes()
        return self._watched(self.plug, lambda: bool(_nodes() - before))

    def _watched(self, change: Callable[[], object], happened: Callable[[], bool]) -> float:
        hand = threading.Thread(target=change)
        hand.start()
        while hand.is_alive():
            if self.removable and happened():
                at = time.monotonic()
                hand.join()
                return at
            time.sleep(0.002)
        return time.monotonic()

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """Unplugged for the length of the block; back under another number, since somebody holds the old one."""
        node = self.node()
        assert node is not None
        handle = os.open(node, os.O_RDWR | os.O_NONBLOCK)
        try:
            self.unplug()
            yield
            self.plug()
            assert self.node() not in (None, node)
        finally:
            os.close(handle)


def _nodes() -> set[str]:
    return {path.name for path in Path("/dev").glob("video*")}


@pytest.fixture(scope="session")
def figures() -> Callable[[str, float], None]:
    """`figures(name, value)`: note a measured value."""
    return lambda name, value: _figures[name].append(value)


@pytest.fixture(scope="session")
def cam() -> Callable[..., str]:
    """`cam("usb", "unplug")`: the lab's hand; what it says."""
    return _cam


@pytest.fixture(scope="session")
def until() -> Callable[..., object]:
    """`until(found, what, seconds)`: the first true value of `found()`, for what nobody announces."""
    return _until


def _usb_node() -> str | None:
    return next(iter(_cam("usb", "nodes").split()), None)


def _usb_unplug() -> None:
    # The command looks on while the nodes go, and may stumble over one: whether they have gone is what counts.
    subprocess.run(["cam", "usb", "unplug"], check=False, capture_output=True)
    _until(lambda: _usb_node() is None, "the end of the USB camera")


@pytest.fixture
def usb() -> LabCamera:
    """The emulated USB webcam (uvcvideo): MJPG, with by-id links and a metadata node."""
    camera = LabCamera(
        name="usb",
        encoding="MJPG",
        plug=lambda: _cam("usb", "plug"),
        unplug=_usb_unplug,
        stall=lambda: _cam("usb", "stall"),
        resume=lambda: _cam("usb", "resume"),
        node=_usb_node,
    )
    if camera.node():
        camera.unplug()  # with its faults
    camera.plug()
    _until(lambda: Path(USB_LINK).exists(), "udev's link to the USB camera")
    return camera


def _vivid_node() -> str | None:
    found = next((VIVID / "vivid.0" / "video4linux").glob("video*"), None) if (VIVID / "vivid.0").exists() else None
    return f"/dev/{found.name}" if found else None


def _vivid_drops(percentage: int) -> None:
    subprocess.run(
        ["v4l2-ctl", "-d", str(_vivid_node()), "-c", f"percentage_of_dropped_buffers={percentage}"], check=True
    )


@pytest.fixture
def vivid() -> LabCamera:
    """The kernel's virtual camera: raw formats only."""
    camera = LabCamera(
        name="vivid",
        encoding="YUYV",
        plug=lambda: (VIVID / "bind").write_text("vivid.0"),
        unplug=lambda: (VIVID / "unbind").write_text("vivid.0"),
        stall=lambda: _vivid_drops(100),
        resume=lambda: _vivid_drops(0),
        node=_vivid_node,
    )
    if camera.node():
        camera.unplug()  # with its settings
    camera.plug()
    _until(lambda: Path(VIVID_LINK).exists(), "udev's link to vivid")
    return camera


@pytest.fixture
def loopback() -> LabCamera:
    """A loopback device fed with MJPG. It cannot go while it is open: what it can lose is its signal."""
    camera = LabCamera(
        name="loopback",
        encoding="MJPG",
        plug=lambda: _cam("feed", "640x480"),
        unplug=lambda: _cam("feed", "stop"),
        stall=lambda: _cam("feed", "stall"),
        resume=lambda: _cam("feed", "resume"),
        node=lambda: "/dev/video10",
        removable=False,
    )
    camera.plug()
    return camera


@pytest.fixture(params=["usb", "vivid", "loopback"])
def any_camera(request: pytest.FixtureRequest) -> LabCamera:
    """Each of the lab's cameras in turn."""
    camera: LabCamera = request.getfixturevalue(request.param)
    return camera


@pytest.fixture(params=["usb", "vivid"])
def pluggable(request: pytest.FixtureRequest) -> LabCamera:
    """Each of the cameras that can be unplugged while they are open."""
    camera: LabCamera = request.getfixturevalue(request.param)
    return camera
