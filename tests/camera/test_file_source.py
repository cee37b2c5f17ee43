"""Videos, pictures and folders of pictures as sources."""

from __future__ import annotations

import os
import struct
import subprocess
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from camera.errors import SourceDenied, SourceLost, SourceMissing, SourceUnusable
from camera.limits import size_of
from camera.sources import Image, Wanted
from camera.sources.file import FileSource

if TYPE_CHECKING:
    from pathlib import Path


def grey(level: int, size: tuple[int, int] = (64, 48)) -> Image:
    """A plain picture."""
    return np.full((size[1], size[0], 3), level, np.uint8)


def jpeg_of(level: int) -> bytes:
    """A plain picture as JPEG."""
    return bytes(cv2.imencode(".jpg", grey(level))[1])


def film(path: Path, *options: str, frames: int = 6) -> Path:
    """A video of `frames` pictures at 60 frames per second, each brighter than the one before."""
    source = f"color=black:size=64x48:rate=60,geq=lum='40+30*N':cb=128:cr=128,trim=end_frame={frames}"
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", source, *options, str(path)], check=True)
    return path


def brightness(picture: bytes | Image | None) -> int:
    """The mean of a decoded picture."""
    assert isinstance(picture, np.ndarray)
    return round(float(picture.mean()))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", ("-c:v", "libx264", "-g", "3")),
        ("a.avi", ("-c:v", "mjpeg")),
        ("a.mkv", ("-c:v", "ffv1")),
        ("a.ts", ("-c:v", "libx264")),
        ("a.mjpeg", ("-c:v", "mjpeg")),
        ("no-suffix", ("-c:v", "mpeg4", "-f", "mp4")),
    ],
)
def test_a_video_begins_again_when_it_ends(tmp_path: Path, name: str, options: tuple[str, ...]) -> None:
    """Every container is played over and over, also where FFmpeg cannot go back, and its end is not a loss."""
    source = FileSource(film(tmp_path / name, *options), Wanted(1920, 1080, 5))
    mode = source.open()
    levels = [brightness(source.read()) for _ in range(20)]
    source.close()
    assert (mode.width, mode.height) == (64, 48)
    falls = sum(after < before - 60 for before, after in pairwise(levels))
    assert falls >= 2


def test_a_video_reports_its_own_rate(tmp_path: Path) -> None:
    """The mode has the file's size, rate and coding, not what was asked for."""
    source = FileSource(film(tmp_path / "a.mp4", "-c:v", "libx264"), Wanted(1920, 1080, 5))
    mode = source.open()
    source.close()
    assert (mode.name, mode.fps, mode.encoding) == (str(tmp_path / "a.mp4"), 60.0, "H264")


def test_a_video_that_is_too_large_is_not_played(tmp_path: Path) -> None:
    """The limit of pixels holds for videos as well."""
    path = tmp_path / "a.avi"
    source = "color=black:size=10000x6000:rate=1,trim=end_frame=1"
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-c:v", "mjpeg", str(path)], check=True)
    with pytest.raises(SourceUnusable, match="10000 x 6000 pixels are more than 50 megapixels"):
        FileSource(path, Wanted()).open()


def test_a_video_that_is_deleted_is_lost(tmp_path: Path) -> None:
    """When a file is gone at the time it should begin again, the source is lost and says why."""
    path = film(tmp_path / "a.ts", "-c:v", "libx264")
    source = FileSource(path, Wanted())
    source.open()
    path.unlink()
    for _ in range(6):
        assert source.read() is not None
    with pytest.raises(SourceLost, match="does not exist"):
        source.read()
    source.close()


def test_a_folder_in_natural_order(tmp_path: Path) -> None:
    """Pictures come in the order of their numbers, JPEGs untouched, the rest decoded, what is broken left out."""
    pictures = {"shot10.jpg": jpeg_of(100), "shot2.JPG": jpeg_of(20), "shot1.jpeg": jpeg_of(10)}
    for name, data in pictures.items():
        (tmp_path / name).write_bytes(data)
    cv2.imwrite(str(tmp_path / "shot3.png"), grey(30))
    (tmp_path / "shot4.jpg").write_bytes(jpeg_of(40)[:-20])
    (tmp_path / "shot5.png").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "folder.jpg").mkdir()
    source = FileSource(tmp_path, Wanted(fps=100))
    mode = source.open()
    shown = [source.read() for _ in range(8)]
    source.close()
    assert (mode.width, mode.height, mode.fps) == (64, 48, 100)
    assert shown[0] == pictures["shot1.jpeg"]
    assert shown[1] == pictures["shot2.JPG"]
    assert brightness(shown[2]) == 30
    assert shown[3] == pictures["shot10.jpg"]
    assert shown[4] == shown[0]


def png_of(side: int) -> bytes:
    """A black PNG of `side` x `side` pixels in two colours: a thousandth of a byte for each."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    squeezed = zlib.compress(bytes(side * (side // 8 + 1)), 9)
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", squeezed) + chunk(b"IEND", b"")


def test_a_picture_that_is_too_large_is_never_decoded(tmp_path: Path) -> None:
    """31 KB that claim 16000 x 16000 pixels are named, not unpacked; in a folder they are left out."""
    (tmp_path / "1.png").write_bytes(png_of(16_000))
    with pytest.raises(SourceUnusable, match="16000 x 16000 pixels are more than 50 megapixels"):
        FileSource(tmp_path / "1.png", Wanted()).open()
    (tmp_path / "2.png").write_bytes(png_of(48))
    source = FileSource(tmp_path, Wanted(fps=100))
    assert (source.open().width, source.open().height) == (48, 48)
    source.close()


@pytest.mark.parametrize("kind", ["png", "bmp", "gif", "webp", "tif", "avif", "jp2", "ppm", "hdr"])
def test_the_size_is_known_before_decoding(tmp_path: Path, kind: str) -> None:
    """The header of each kind of picture tells what comes out of it, and the picture is shown."""
    path = tmp_path / f"picture.{kind}"
    image = grey(120, (67, 45))
    assert cv2.imwrite(str(path), image.astype(np.float32)) if kind == "hdr" else cv2.imwrite(str(path), image)
    assert size_of(path.read_bytes()) == (67, 45)
    if kind != "gif":
        mode = FileSource(path, Wanted()).open()
        assert (mode.width, mode.height) == (67, 45)


@pytest.mark.parametrize("kind", ["png", "bmp", "webp", "tif", "avif", "jp2", "ppm"])
def test_a_damaged_picture_is_left_out_in_silence(tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    """What is cut or garbled in a folder does not fill the log with OpenCV's lines at every round."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_WARNING)  # as it is when it is loaded
    noise = np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8)
    whole = cv2.imencode(f".{kind}", noise)[1].tobytes()
    (tmp_path / f"1.{kind}").write_bytes(whole[: len(whole) // 2])
    (tmp_path / f"2.{kind}").write_bytes(whole[: len(whole) // 2] + bytes(len(whole) // 2))
    (tmp_path / f"3.{kind}").write_bytes(whole[:12])
    (tmp_path / f"0.{kind}").write_bytes(whole[:-200] + bytes(100) + whole[-100:])
    (tmp_path / "4.jpg").write_bytes(jpeg_of(90))
    source = FileSource(tmp_path, Wanted(fps=100))
    source.open()
    pictures = [source.read() for _ in range(8)]
    source.close()
    assert sum(isinstance(picture, bytes) for picture in pictures) > 1
    assert capfd.readouterr() == ("", "")


def test_a_png_is_shown_whatever_else_it_carries(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A colour profile that libpng complains of costs no line at every round."""
    whole = png_of(48)
    name = b"iCCPICC profile\0\0" + zlib.compress(b"no profile" * 20)
    extra = struct.pack(">I", len(name) - 4) + name + struct.pack(">I", zlib.crc32(name))
    (tmp_path / "1.png").write_bytes(whole[:33] + extra + whole[33:])
    source = FileSource(tmp_path / "1.png", Wanted())
    assert source.open().width == 48
    source.close()
    assert capfd.readouterr() == ("", "")


def test_a_folder_is_looked_at_again_each_time_round(tmp_path: Path) -> None:
    """What is added or removed while it runs is seen in the next round; with nothing left the source is lost."""
    (tmp_path / "1.jpg").write_bytes(jpeg_of(10))
    source = FileSource(tmp_path, Wanted(fps=100))
    source.open()
    assert source.read() == jpeg_of(10)
    (tmp_path / "2.jpg").write_bytes(jpeg_of(20))
    assert source.read() == jpeg_of(10)
    assert source.read() == jpeg_of(20)
    (tmp_path / "1.jpg").unlink()
    assert source.read() == jpeg_of(20)
    (tmp_path / "2.jpg").unlink()
    with pytest.raises(SourceLost, match="no picture any more"):
        source.read()
    source.close()


def test_a_single_picture_is_a_still(tmp_path: Path) -> None:
    """One picture file is shown once a second, untouched, and the newer one when it is overwritten."""
    path = tmp_path / "still.jpg"
    path.write_bytes(jpeg_of(10))
    source = FileSource(path, Wanted(fps=30))
    assert source.open().fps == 1.0
    assert source.read() == jpeg_of(10)
    path.write_bytes(jpeg_of(20))
    assert source.read() == jpeg_of(20)
    path.write_bytes(jpeg_of(30)[:-20])
    assert source.read() == jpeg_of(20)
    path.unlink()
    with pytest.raises(SourceLost, match="does not exist"):
        source.read()
    source.close()


@pytest.mark.parametrize("name", ["film.mp4", "film.avi", "notes.txt", "picture.jpg", "nothing"])
@pytest.mark.parametrize("content", [b"", b"This is a text file.\n" * 100, bytes(range(256)) * 100])
def test_what_is_no_picture_says_so(
    tmp_path: Path, name: str, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    """A text file as video is one clear line, and OpenCV and FFmpeg add none of their own."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceUnusable, match="is not a video or a picture that can be read"):
        FileSource(path, Wanted()).open()
    assert capfd.readouterr() == ("", "")


def test_an_empty_folder_is_unusable(tmp_path: Path) -> None:
    """A folder without a picture says so."""
    with pytest.raises(SourceUnusable, match="holds no picture"):
        FileSource(tmp_path, Wanted()).open()


def test_what_is_missing_or_no_file(tmp_path: Path) -> None:
    """A path that is not there is missing, also below a file; a device or socket is neither file nor folder."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "none.mp4", tmp_path / "file" / "below.mp4"):
        with pytest.raises(SourceMissing, match="does not exist"):
            FileSource(path, Wanted()).open()
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(SourceUnusable, match="neither a file nor a folder"):
        FileSource(tmp_path / "pipe.mp4", Wanted()).open()


def test_what_may_not_be_read(tmp_path: Path) -> None:
    """Without permission it is denied, with what to do about it; tried as nobody where we are root."""
    film(tmp_path / "a.mp4", "-c:v", "libx264")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "a.mp4", tmp_path / "folder"):
        path.chmod(0)
    if os.geteuid() == 0:
        for folder in (tmp_path, *tmp_path.parents):
            if folder.stat().st_uid == 0 and folder.name.startswith("pytest"):
                folder.chmod(0o755)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        for path in (tmp_path / "a.mp4", tmp_path / "folder"):
            with pytest.raises(SourceDenied, match="permissions"):
                FileSource(path, Wanted()).open()
    finally:
        if user == 0:
            os.seteuid(0)
        (tmp_path / "folder").chmod(0o755)


def test_a_source_can_be_opened_again(tmp_path: Path) -> None:
    """open() after close(), and open() twice, start over; close() is harmless at any time."""
    source = FileSource(film(tmp_path / "a.mp4", "-c:v", "libx264"), Wanted())
    source.close()
    for _ in range(2):
        source.open()
        assert brightness(source.read()) < 60
    source.close()
    source.close()
    with pytest.raises(SourceLost):
        source.read()
