"""A `Device` on real V4L2 drivers: what it gives, what it says when it cannot, and how it comes back."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from camera import jpeg
from camera.errors import (
    JpegError,
    SourceBusy,
    SourceError,
    SourceLost,
    SourceMissing,
    SourceUnusable,
)
from camera.sources import Wanted
from camera.sources.device import Auto, Device

if TYPE_CHECKING:
    from tests.lab.conftest import LabCamera

USB_LINK = "/dev/v4l/by-id/usb-v4l2-lab_Lab_USB_Camera_LAB0000-video-index0"
Figures = Callable[[str, float], None]


def spec(camera: LabCamera) -> str:
    """The camera's node, as a user would write it down today."""
    node = camera.node()
    assert node is not None
    return node


def until_lost(device: Device, seconds: float = 10.0) -> SourceLost:
    """Read until the camera is reported lost."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            device.read()
        except SourceLost as error:
            return error
    pytest.fail(f"the loss was not noticed within {seconds:g} s")


def reopened(device: Device, seconds: float = 10.0) -> float:
    """Close and open until the first picture is there; when that was."""
    device.close()
    deadline = time.monotonic() + seconds
    while True:
        try:
            device.open()
            if device.read() is not None:
                return time.monotonic()
        except SourceError:
            device.close()
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.parametrize(("width", "height", "fps"), [(640, 480, 30), (1280, 720, 15), (1920, 1080, 5)])
def test_mjpg_is_passed_through_whole(usb: LabCamera, width: int, height: int, fps: float, figures: Figures) -> None:
    """A webcam's JPEGs arrive as they were made, in the size and rate asked for."""
    device = Device(spec(usb), Wanted(width, height, fps))
    began = time.monotonic()
    mode = device.open()
    figures(f"open usb {width}x{height} [s]", time.monotonic() - began)
    try:
        assert (mode.width, mode.height, mode.fps, mode.encoding) == (width, height, fps, "MJPG")
        assert (mode.name, mode.settles, mode.notice) == (USB_LINK, True, "")
        pictures = [device.read() for _ in range(5)]
        figures(f"first five pictures usb {width}x{height} [s]", time.monotonic() - began)
        for picture in pictures:
            assert isinstance(picture, bytes)
            checked = jpeg.checked(picture)
            assert (checked.width, checked.height) == (width, height)
    finally:
        device.close()


def test_a_raw_camera_gives_pictures_in_its_cheapest_format(vivid: LabCamera) -> None:
    """YUYV is asked for and decoded, also when the last user left the device in another format."""
    left = ["v4l2-ctl", "-d", spec(vivid), "-v", "width=320,height=180,pixelformat=BGR3"]
    subprocess.run(left, check=True)
    device = Device(spec(vivid), Wanted(640, 480, 25))
    mode = device.open()
    try:
        picture = device.read()
        assert (mode.width, mode.height, mode.fps, mode.encoding) == (640, 480, 25.0, "YUYV")
        assert isinstance(picture, np.ndarray)
        assert picture.shape == (480, 640, 3)
        assert picture.dtype == np.uint8
        assert picture.std() > 20, "colour bars, not one colour"
    finally:
        device.close()


def test_what_is_not_obtained_is_said(usb: LabCamera, vivid: LabCamera) -> None:
    """A size or a rate that the camera has not is replaced by its own choice, in one line for the user."""
    for node, wanted, notice in (
        (spec(usb), Wanted(800, 500, 30), "The camera has no 800x500: it gives 640x480"),
        (spec(vivid), Wanted(1280, 720, 30), "The camera gives 12.5 pictures a second at 1280x720, not 30"),
    ):
        device = Device(node, wanted)
        try:
            assert device.open().notice == notice
            assert device.read() is not None
        finally:
            device.close()


def test_a_busy_camera_names_the_program(any_camera: LabCamera) -> None:
    """Who uses the camera is said with name and process, so that the user can stop it."""
    if any_camera.name == "loopback":
        pytest.skip("a loopback device serves several programs at once")
    node = spec(any_camera)
    other = subprocess.Popen(
        ["v4l2-ctl", "-d", node, "--stream-mmap", "--verbose"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        assert other.stdout is not None
        while b"dqbuf" not in other.stdout.readline():
            assert other.poll() is None
        with pytest.raises(SourceBusy, match=rf"in use by v4l2-ctl \(process {other.pid}\)"):
            Device(node, Wanted(640, 480)).open()
    finally:
        other.kill()
        other.communicate()


def test_a_denied_camera_names_the_group_and_the_command(usb: LabCamera) -> None:
    """A user who is not in the group is told which group it is and the command that helps."""
    program = f"""
import os
from camera.sources.device import Device
from camera.sources import Wanted
from camera.errors import SourceDenied
os.setgroups([]), os.setgid(65534), os.setuid(65534)
try:
    Device({spec(usb)!r}, Wanted()).open()
except SourceDenied as error:
    print(error)
"""
    time.sleep(2)  # a node younger than this may still get its group: it would be waited for
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "group video: sudo usermod -aG video nobody" in done.stdout, done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_what_is_no_camera_is_refused(usb: LabCamera, tmp_path: Path) -> None:
    """A metadata node (with the right one), a device that is no camera, and a file each get their sentence."""
    node = spec(usb)
    metadata = f"/dev/video{int(node.removeprefix('/dev/video')) + 1}"
    with pytest.raises(SourceUnusable, match=rf"gives metadata, not pictures: use {node}"):
        Device(metadata, Wanted()).open()
    with pytest.raises(SourceUnusable, match=r"/dev/null is not a camera"):
        Device("/dev/null", Wanted()).open()
    text = tmp_path / "video0"
    text.write_text("no camera")
    with pytest.raises(SourceUnusable, match="is not a device"):
        Device(str(text), Wanted()).open()


def test_a_missing_camera_says_what_there_is(usb: LabCamera) -> None:
    """Whoever mistypes the number reads which cameras there are."""
    with pytest.raises(
        SourceMissing, match=rf"/dev/video77 is not plugged in: there is .*{spec(usb)} \(Lab USB Camera\)"
    ):
        Device("77", Wanted()).open()


def test_unplugged_and_replugged_ten_times(pluggable: LabCamera, figures: Figures) -> None:
    """Each loss is noticed at once, and each time the same camera is back by its number."""
    device = Device(spec(pluggable), Wanted(640, 480))
    device.open()
    handles = len(list(Path("/proc/self/fd").iterdir()))
    try:
        for _ in range(10):
            assert device.read() is not None
            pluggable.unplug()
            began = time.monotonic()
            assert "was unplugged" in str(until_lost(device))
            figures(f"{pluggable.name}: loss noticed [s]", time.monotonic() - began)
            device.close()
            with pytest.raises(SourceMissing, match="is not plugged in"):
                device.open()
            pluggable.plug()
            began = time.monotonic()
            figures(f"{pluggable.name}: plugged in to first picture [s]", reopened(device) - began)
        assert len(list(Path("/proc/self/fd").iterdir())) == handles
    finally:
        device.close()


@pytest.mark.parametrize("named", ["node", "number", "link"])
def test_the_same_camera_is_found_under_another_number(pluggable: LabCamera, named: str, figures: Figures) -> None:
    """A camera that comes back as another node is opened there, however it was named at first."""
    node = spec(pluggable)
    links = {"usb": USB_LINK, "vivid": "/dev/v4l/by-path/platform-vivid.0-video-index0"}
    names = {"node": node, "number": node.removeprefix("/dev/video"), "link": links[pluggable.name]}
    device = Device(names[named], Wanted(640, 480))
    name = device.open().name
    try:
        for _ in range(3):
            device.read()
            with pluggable.elsewhere():
                until_lost(device)
                device.close()
            began = time.monotonic()
            figures(f"{pluggable.name}: found under another number [s]", reopened(device) - began)
        assert device.open().name == name == links[pluggable.name]
    finally:
        device.close()


def test_a_twin_is_not_taken_for_the_lost_camera(usb: LabCamera, cam: Callable[..., str]) -> None:
    """Of two cameras of the same model, the one that was lost is waited for."""
    cam("usb", "plug", "--port", "1")
    device = Device(spec(usb), Wanted(640, 480))
    try:
        device.open()
        usb.unplug()
        until_lost(device)
        device.close()
        with pytest.raises(SourceMissing, match=r"is not plugged in: there is .*Lab USB Camera"):
            device.open()
        usb.plug()
        reopened(device)
        assert device.open().name == USB_LINK
    finally:
        device.close()
        cam("usb", "unplug", "--port", "1")


def test_a_stall_is_no_loss(any_camera: LabCamera, figures: Figures) -> None:
    """A camera that stands still gives None about once a second, and goes on by itself on the same handle."""
    device = Device(spec(any_camera), Wanted(640, 480))
    device.open()
    try:
        assert device.read() is not None
        any_camera.stall()
        while device.read() is not None:
            pass
        for _ in range(2):
            began = time.monotonic()
            assert device.read() is None
            figures(f"{any_camera.name}: a read in vain [s]", time.monotonic() - began)
        any_camera.resume()
        deadline = time.monotonic() + 5
        while device.read() is None:
            assert time.monotonic() < deadline
    finally:
        device.close()


def test_a_signal_that_ends_comes_back(loopback: LabCamera) -> None:
    """A device that stays while its signal ends and begins again, ten times, gives pictures again each time."""
    device = Device(spec(loopback), Wanted(640, 480))
    reopened(device)
    try:
        for _ in range(10):
            loopback.unplug()
            deadline = time.monotonic() + 5
            try:
                while device.read() is not None:
                    assert time.monotonic() < deadline
            except SourceLost:
                device.close()
            loopback.plug()
            reopened(device)
    finally:
        device.close()


def test_a_driver_that_says_goodbye_while_its_node_stays_is_lost(vivid: LabCamera) -> None:
    """ENODEV with the node still there is a loss; released and opened again, the camera works."""
    node = spec(vivid)
    device = Device(node, Wanted(640, 480))
    device.open()
    try:
        device.read()
        subprocess.run(["v4l2-ctl", "-d", node, "-c", "disconnect=1"], check=True)
        until_lost(device)
        assert Path(node).exists()
        reopened(device)
    finally:
        device.close()


@pytest.mark.parametrize(
    "error", ["inject_vidioc_streamon_error", "inject_vidioc_reqbufs_error", "inject_fatal_streaming_error"]
)
def test_a_driver_that_fails_is_opened_again(vivid: LabCamera, error: str) -> None:
    """An error of the driver, while starting or streaming, ends in one SourceError and never in a loop."""
    node = spec(vivid)
    device = Device(node, Wanted(640, 480))
    streaming = error == "inject_fatal_streaming_error"
    try:
        if streaming:
            device.open()
            device.read()
        subprocess.run(["v4l2-ctl", "-d", node, "-c", f"{error}=1"], check=True)
        with pytest.raises(SourceError):  # noqa: PT012 - opening or one of the reads
            if not streaming:
                device.open()
            for _ in range(20):
                device.read()
            device.close()
            raise SourceLost("the driver got over it by itself")
        reopened(device)
    finally:
        device.close()


def test_a_single_bad_buffer_is_no_loss(vivid: LabCamera) -> None:
    """A buffer that the driver flags as damaged does not cost the connection."""
    node = spec(vivid)
    device = Device(node, Wanted(640, 480))
    device.open()
    try:
        device.read()
        for _ in range(3):
            subprocess.run(["v4l2-ctl", "-d", node, "-c", "inject_v4l2_buf_flag_error=1"], check=True)
            for _ in range(10):
                device.read()
    finally:
        device.close()


@pytest.mark.parametrize("camera", ["usb", "loopback"])
@pytest.mark.parametrize("fault", ["no-dht", "truncate", "garbage", "empty", "pad"])
def test_broken_jpegs_arrive_as_they_are(
    request: pytest.FixtureRequest, cam: Callable[..., str], camera: str, fault: str
) -> None:
    """Damage reaches the structural check instead of being hidden behind the previous picture."""
    there: LabCamera = request.getfixturevalue(camera)
    if camera == "usb":
        cam("usb", "set", fault, "3")
    else:
        cam("feed", "640x480", f"--{fault}", *([] if fault in ("no-dht", "pad") else ["3"]))
    device = Device(spec(there), Wanted(640, 480))
    good, damaged, repaired = 0, 0, 0
    try:
        device.open()
        for _ in range(45):
            picture = device.read()
            if picture is None:
                continue
            assert isinstance(picture, bytes)
            try:
                repaired += jpeg.checked(picture).jpeg is not picture
                good += 1
            except JpegError:
                damaged += 1
    finally:
        device.close()
    assert good >= 20
    if fault in ("no-dht", "pad"):
        assert (damaged, repaired) == (0, good)
    else:
        assert damaged >= 5 or (camera, fault) == ("usb", "empty"), "the UVC driver itself drops what is empty"


@pytest.fixture
def only_usb(vivid: LabCamera, loopback: LabCamera, usb: LabCamera) -> LabCamera:
    """The USB camera, with no other camera plugged in or fed."""
    vivid.unplug()
    loopback.unplug()
    return usb


def lost(auto: Auto) -> str:
    """Read until the source is lost; why."""
    with pytest.raises(SourceLost) as raised:  # noqa: PT012 - one of the reads
        for _ in range(300):
            auto.read()
    return str(raised.value)


def test_auto_takes_a_camera_that_comes_and_keeps_to_it(only_usb: LabCamera, cam: Callable[..., str]) -> None:
    """Without a camera there is a test pattern that says so; the first camera that comes is then the only one."""
    only_usb.unplug()
    auto = Auto(Wanted(640, 480))
    try:
        mode = auto.open()
        assert (mode.encoding, mode.notice) == ("pattern", "No camera found: this is a test pattern")
        assert auto.read() is not None
        only_usb.plug()
        assert "was plugged in" in lost(auto)
        assert auto.open().encoding == "MJPG"
        assert isinstance(auto.read(), bytes)
        cam("usb", "plug", "--port", "1")
        only_usb.unplug()
        assert "was unplugged" in lost(auto)
        auto.close()
        with pytest.raises(SourceMissing):
            auto.open()
        only_usb.plug()
        deadline = time.monotonic() + 5
        while True:
            try:
                assert auto.open().name == USB_LINK
                break
            except SourceMissing:
                assert time.monotonic() < deadline
                time.sleep(0.05)
    finally:
        auto.close()
        subprocess.run(["cam", "usb", "unplug", "--port", "1"], check=False, capture_output=True)


def test_auto_waits_for_a_camera_that_is_in_use(only_usb: LabCamera) -> None:
    """A camera that another program has is named beside the test pattern, and taken when it is free."""
    auto, holder = Auto(Wanted(640, 480)), Device(spec(only_usb), Wanted(640, 480))
    try:
        holder.open()
        holder.read()
        mode = auto.open()
        assert mode.encoding == "pattern"
        assert "No camera could be opened: " in mode.notice
        assert "in use by this program" in mode.notice
        holder.close()
        assert "free again" in lost(auto)
        assert auto.open().name == USB_LINK
    finally:
        holder.close()
        auto.close()


def test_after_a_pause_the_next_picture_is_new(any_camera: LabCamera) -> None:
    """What the driver had buffered while nobody read is dropped: what you see is now."""
    import cv2

    device = Device(spec(any_camera), Wanted(640, 480))
    device.open()
    try:
        for _ in range(5):
            device.read()
        time.sleep(1.5)
        before = time.monotonic()
        assert device.read() is not None
        assert device._capture is not None
        captured = device._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000  # the driver's clock is the monotonic one
        assert captured > before - 0.2
    finally:
        device.close()
