"""Which source a user means."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from camera.errors import SettingError
from camera.sources import Wanted
from camera.sources.select import source_for


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("auto", "Auto"),
        ("pattern", "Pattern"),
        (" pattern ", "Pattern"),
        ("0", "Device"),
        ("/dev/video7", "Device"),
        ("/dev/v4l/by-id/usb-x-video-index0", "Device"),
        ("http://camera.local/stream", "HttpSource"),
        ("HTTPS://camera.local/stream", "HttpSource"),
        ("rtsp://user:secret@camera.local/h264", "FfmpegSource"),
        ("udp://127.0.0.1:5000", "FfmpegSource"),
        ("film.mp4", "FileSource"),
        ("./pictures", "FileSource"),
        ("~/pictures/still.jpg", "FileSource"),
        ("file:///srv/a%20film.mp4", "FileSource"),
    ],
)
def test_what_is_meant(spec: str, kind: str) -> None:
    """Each way to write a source leads to its kind, without anything being opened."""
    assert type(source_for(spec, Wanted())).__name__ == kind


def test_a_folder_that_exists_needs_no_slash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare word is a path when there is one of that name."""
    (tmp_path / "pictures").mkdir()
    monkeypatch.chdir(tmp_path)
    assert type(source_for("pictures", Wanted())).__name__ == "FileSource"


@pytest.mark.parametrize("spec", ["", "patern", "webcam", "video0", "-1", "a\0b.mp4"])
def test_what_cannot_be_meant(spec: str) -> None:
    """A word that is no source is refused with one line that names what would be right."""
    with pytest.raises(SettingError, match=r"auto, pattern, a device") as caught:
        source_for(spec, Wanted())
    assert "\n" not in str(caught.value)


def test_choosing_is_cheap() -> None:
    """Importing the choice loads neither OpenCV nor NumPy's users nor a network client."""
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, camera.sources.select; print(*sys.modules)"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not {"cv2", "urllib.request", "http.client", "ssl"} & set(loaded)
