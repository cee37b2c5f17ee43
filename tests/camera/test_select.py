"""Which source a user means."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from camera.errors import SettingError, SourceDenied, SourceError
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


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        ("admin:secret@192.168.1.5/stream", "'***@192.168.1.5/stream'"),
        ("admin:se/cret@cam", "'***@cam'"),
        ("rtsp:/admin:secret@cam/stream", "'***@cam/stream'"),
        ("secret@192.168.1.5/stream", "'***@192.168.1.5/stream'"),
        ("192.168.1.5/user=admin&password=secret", "'192.168.1.5/user=***&password=***'"),
        ("cam.local:8080/x?p=secret", "'cam.local:8080/x?p=***'"),
    ],
)
def test_an_address_without_its_scheme_is_no_path(spec: str, shown: str) -> None:
    """The error says that a scheme is missing, and shows no password."""
    with pytest.raises(SettingError) as caught:
        source_for(spec, Wanted())
    assert f"source: {shown} has no scheme" in str(caught.value)


def test_a_file_may_be_called_like_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What exists is a file, and so is what is to come when `./` is before it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "at 12:30@home.mp4").touch()
    for spec in ("at 12:30@home.mp4", "./at 13:30@home.mp4", "still@2x.jpg"):
        assert type(source_for(spec, Wanted())).__name__ == "FileSource"


@pytest.mark.parametrize("spec", ["~nosuchuser/x.mp4", "x" * 300 + ".mp4", "/" + "x" * 5000])
def test_a_path_that_cannot_be_is_reported_when_it_is_opened(spec: str) -> None:
    """A user that there is not and a name that is too long are no tracebacks, but sources that do not open."""
    source = source_for(spec, Wanted())
    with pytest.raises(SourceError):
        source.open()


@pytest.mark.parametrize("spec", ["file://", "file:///a%00b", "file://[x/a.mp4"])
def test_an_address_of_no_file_is_refused(spec: str) -> None:
    """A `file://` that no file can have is a bad setting."""
    with pytest.raises(SettingError, match="names no file"):
        source_for(spec, Wanted())


def test_a_folder_one_may_not_enter_is_reported_when_it_is_opened(tmp_path: Path) -> None:
    """Whether a file is there cannot be asked: the source is taken, and says on opening what is wrong."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    user = os.geteuid()
    # The administrator may enter any folder.
    if user == 0:
        os.seteuid(65534)
    try:
        source = source_for(str(closed / "x.mp4"), Wanted())
        with pytest.raises(SourceDenied):
            source.open()
    finally:
        os.seteuid(user)


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
