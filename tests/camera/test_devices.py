"""What is said of cameras, and of what is none: on any machine. With real drivers: tests/lab."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from camera import nodes
from camera.devices import Control, DeviceInfo, Format, Size, as_json, table
from camera.errors import SourceMissing, SourceUnusable
from camera.sources import Wanted
from camera.sources.device import Device

RATES = (30.0, 15.0)
WEBCAM = DeviceInfo(
    node="/dev/video0",
    name="/dev/v4l/by-id/usb-Webcam-video-index0",
    card="Webcam",
    driver="uvcvideo",
    bus="usb-0000:00:14.0-1",
    formats=(
        Format("YUYV", "YUYV 4:2:2", (Size(640, 480, RATES), Size(1280, 720, (10.0,)))),
        Format("MJPG", "Motion-JPEG", (Size(640, 480, RATES), Size(1280, 720, RATES))),
        Format("GREY", "8-bit Greyscale", (Size(1920, 1080, (60.0, 1.0), any_rate=True, smallest=(16, 16)),)),
        *(Format(f"XX{number:02}", "another") for number in range(20)),
    ),
    controls=(
        Control("Brightness", "int", -64, 64, 1, 0, 5),
        Control("Auto Exposure", "menu", 0, 3, 1, 3, 3, ((1, "Manual Mode"), (3, "Aperture Priority Mode"))),
        Control("Focus, Absolute", "int", 0, 250, 5, 0, 0, inactive=True),
    ),
)
DENIED = DeviceInfo("/dev/video2", "/dev/video2", "Other", problem="/dev/video2 (Other) may not be opened")


def test_the_table_is_for_a_person() -> None:
    """MJPG comes first, sizes with the same rates share a line, and eighty formats are not all spelt out."""
    text = table([WEBCAM, DENIED])
    assert text.splitlines()[:6] == [
        "/dev/v4l/by-id/usb-Webcam-video-index0",
        "  /dev/video0 · Webcam · uvcvideo · usb-0000:00:14.0-1",
        "  MJPG  640x480, 1280x720 at 30, 15 fps",
        "  YUYV  640x480 at 30, 15 fps",
        "        1280x720 at 10 fps",
        "  GREY  16x16 to 1920x1080 at 60 to 1 fps",
    ]
    assert "XX00, XX01, " in text
    assert "(20 in all; --json lists them)" in text
    assert "Auto Exposure    1 Manual Mode, 3 Aperture Priority Mode; default 3; now 3" in text
    assert "Focus, Absolute  0 to 250 step 5; default 0; now 0; inactive" in text
    assert text.endswith("/dev/video2 · Other\n  /dev/video2 (Other) may not be opened")


def test_json_holds_everything() -> None:
    """A program gets every format, rate and control, and the reason where a camera could not be asked."""
    first, second = json.loads(as_json([WEBCAM, DENIED]))
    assert len(first["formats"]) == 23
    assert first["formats"][1]["sizes"][1] == {
        "width": 1280, "height": 720, "rates": [30.0, 15.0], "any_rate": False, "smallest": None, "step": None,
    }  # fmt: skip
    assert first["controls"][1]["menu"] == [[1, "Manual Mode"], [3, "Aperture Priority Mode"]]
    assert second["problem"] == "/dev/video2 (Other) may not be opened"


def test_no_camera_is_said() -> None:
    """An empty list is a sentence, not an empty page."""
    assert table([]) == "No camera is plugged in."


@pytest.mark.parametrize(("card", "plain"), [("Webcam: Webcam", "Webcam"), ("A: B", "A: B"), ("HD Cam", "HD Cam")])
def test_a_cards_name_is_not_said_twice(card: str, plain: str) -> None:
    """USB cameras call themselves twice."""
    assert nodes.plain(card) == plain


def test_what_sysfs_does_not_know_is_known_by_its_path(tmp_path: Path) -> None:
    """A device that is in no list of the kernel's is looked for where it was."""
    node = str(tmp_path / "video99")
    identity = nodes.identify(node)
    assert identity == nodes.Identity(node)
    assert nodes.find(identity) == node
    assert nodes.stable_name(node) == node


@pytest.mark.parametrize(
    ("spec", "error", "sentence"),
    [
        ("987", SourceMissing, "/dev/video987 is not plugged in: "),
        ("/dev/v4l/by-id/usb-nothing", SourceMissing, "/dev/v4l/by-id/usb-nothing is not plugged in: "),
        ("/dev/null", SourceUnusable, "/dev/null is not a camera"),
        (__file__, SourceUnusable, "is not a camera: it is not a device"),
        (str(Path(__file__).parent), SourceUnusable, "is not a camera: it is not a device"),
    ],
)
def test_what_is_no_camera_gets_one_clear_line(spec: str, error: type[Exception], sentence: str) -> None:
    """Whatever a user takes for a camera, the answer is one line that names it."""
    device = Device(spec, Wanted())
    with pytest.raises(error) as raised:
        device.open()
    device.close()
    assert sentence in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
