"""Pictures from disk: `ImageFolder`, shown over and over, and `StillImage`. They run on the capture thread."""

from __future__ import annotations

import itertools
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from camera.errors import JpegError, SourceError, SourceLost, SourceUnusable
from camera.sources import Image, Mode, Wanted
from camera.sources.opencv import decoded
from camera.sources.pace import Pace
from camera.sources.path import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER_FPS: Final = 1.0
"""The rate of a folder when nothing is asked."""
STILL_FPS: Final = 1.0

_PICTURES: Final = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".avif",
        ".bmp",
        ".dib",
        ".tif",
        ".tiff",
        ".gif",
        ".jp2",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".exr",
        ".hdr",
    }
)


class ImageFolder:
    """The pictures of a folder, in the order a person would number them, `wanted.fps` or one a second, over and over.

    A JPEG is passed through untouched, everything else OpenCV reads is decoded, and what it cannot read is left out.
    What comes and goes is noticed each time the folder has been shown.
    """

    def __init__(self, path: Path, wanted: Wanted) -> None:
        self._path = path
        self._fps = wanted.fps or FOLDER_FPS
        self._pace = Pace(self._fps)
        self._pictures: Iterator[bytes | Image] = iter(())

    def open(self) -> Mode:
        """Find the first picture. Raises a `SourceError`."""
        kind_of(self._path)
        first = next(self._once(), None)
        if first is None:
            raise SourceUnusable(f"{self._path} holds no picture that can be read")
        self._pictures = self._once()
        self._pace = Pace(self._fps)
        return _picture_mode(self._path, first, self._fps)

    def read(self) -> bytes | Image | None:
        """The next picture, when it is due."""
        if not self._pace.wait():
            return None
        picture = next(self._pictures, None)
        if picture is None:
            self._pictures = self._once()
            picture = next(self._pictures, None)
        if picture is None:
            raise SourceLost(f"{self._path} holds no picture any more")
        return picture

    def close(self) -> None:
        """Forget where the folder was."""
        self._pictures = iter(())

    def _once(self) -> Iterator[bytes | Image]:
        try:
            paths = list(self._path.iterdir())
        except OSError as error:
            raise SourceLost(f"{self._path} cannot be read: {error.strerror}") from None
        for path in sorted(paths, key=lambda path: _natural(path.name)):
            if path.suffix.lower() in _PICTURES and not path.name.startswith("."):
                with suppress(SourceUnusable):
                    yield _picture(path)


class StillImage:
    """One picture, shown again each second, and read again when the file has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pace = Pace(STILL_FPS)
        self._picture: bytes | Image | None = None
        self._stamp = (0, 0, 0)

    def open(self) -> Mode:
        """Read the file. Raises a `SourceError`."""
        self._stamp = _stamp(self._path)
        self._picture = picture = _picture(self._path)
        self._pace = Pace(STILL_FPS)
        return _picture_mode(self._path, picture, STILL_FPS)

    def read(self) -> bytes | Image | None:
        """The picture, when it is due."""
        if not self._pace.wait():
            return None
        try:
            stamp = _stamp(self._path)
        except SourceError as error:
            raise SourceLost(str(error)) from None
        if stamp != self._stamp:
            # Half a file is what a writer that is still busy leaves; the one before is shown meanwhile.
            with suppress(SourceUnusable):
                self._picture = _picture(self._path)
                self._stamp = stamp
        return self._picture

    def close(self) -> None:
        """Forget the picture."""
        self._picture = None


def _stamp(path: Path) -> tuple[int, int, int]:
    kind_of(path)
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _picture(path: Path) -> bytes | Image:
    """The picture in a file: bytes for a sound JPEG, an image for everything else. Raises `SourceUnusable`."""
    from camera import jpeg
    from camera.segments import SOI

    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceUnusable(f"{path} cannot be read: {error.strerror}") from None
    if data.startswith(SOI):
        try:
            jpeg.checked(data)
        except JpegError as error:
            raise SourceUnusable(f"{path} is no picture that can be shown: {error}") from None
        return data
    return decoded(data, str(path))


def _picture_mode(path: Path, picture: bytes | Image, fps: float) -> Mode:
    if isinstance(picture, bytes):
        from camera.jpeg import checked

        found = checked(picture)
        return Mode(str(path), found.width, found.height, fps, "JPEG")
    return Mode(str(path), picture.shape[1], picture.shape[0], fps, "image")


def _natural(name: str) -> tuple[tuple[str, int], ...]:
    """A key that puts `2.jpg` before `10.jpg`."""
    words = re.split(r"([0-9]+)", name.casefold())
    return tuple(
        (word, int(number or 0)) for word, number in itertools.zip_longest(words[::2], words[1::2], fillvalue="")
    )
