"""Pictures from disk, over and over: `VideoFile`, `ImageFolder` and `StillImage`. They run on the capture thread."""

from __future__ import annotations

import itertools
import os
import re
import stat
from typing import TYPE_CHECKING, Final

from camera.errors import JpegError, SourceDenied, SourceError, SourceLost, SourceMissing, SourceUnusable
from camera.sources import Image, Mode, Source, Wanted
from camera.sources.ffmpeg import mode_of, opened
from camera.sources.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import cv2

VIDEO_FPS: Final = 25.0
"""The rate of a video that does not tell its own."""
FOLDER_FPS: Final = 1.0
"""The rate of a folder when nothing is asked."""
STILL_FPS: Final = 1.0

_ANIMATED: Final = frozenset({".gif", ".mjpg", ".mjpeg"})
"""What looks like a picture to OpenCV, but holds many."""
_TEXT: Final = frozenset({"ANSI", "BTXT", "XBIN", "IDF"})
"""What FFmpeg calls a text file, which it would show as a terminal does."""
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


class FileSource:
    """A path that may be a video, a picture or a folder of pictures: which, is seen each time it is opened."""

    retry_every = 2.0

    def __init__(self, path: Path, wanted: Wanted) -> None:
        self._path = path
        self._wanted = wanted
        self._source: Source | None = None

    def open(self) -> Mode:
        """Open what is there. Raises a `SourceError`."""
        self.close()
        source: Source
        if _kind_of(self._path) == "folder":
            source = ImageFolder(self._path, self._wanted)
        elif self._path.suffix.lower() not in _ANIMATED and _is_picture(self._path):
            source = StillImage(self._path, self._wanted)
        else:
            source = VideoFile(self._path, self._wanted)
        mode = source.open()
        self._source = source
        return mode

    def read(self) -> bytes | Image | None:
        """The next picture."""
        if self._source is None:
            raise SourceLost(f"{self._path} is not open")
        return self._source.read()

    def close(self) -> None:
        """Close the file."""
        if self._source is not None:
            self._source.close()
            self._source = None


class VideoFile:
    """A video, played at its own rate and size and from the start again when it ends."""

    retry_every = FileSource.retry_every

    def __init__(self, path: Path, wanted: Wanted) -> None:  # noqa: ARG002 - all sources are made alike
        self._path = path
        self._capture: cv2.VideoCapture | None = None
        self._pace = Pace(VIDEO_FPS)

    def open(self) -> Mode:
        """Open the file at its start. Raises a `SourceError`."""
        self.close()
        _kind_of(self._path)
        capture = opened(str(self._path))
        if capture is None:
            raise SourceUnusable(f"{self._path} is not a video or a picture that can be read")
        self._capture = capture
        mode = mode_of(capture, str(self._path))
        if mode.encoding in _TEXT:
            self.close()
            raise SourceUnusable(f"{self._path} is not a video or a picture that can be read")
        self._pace = Pace(mode.fps or VIDEO_FPS)
        return mode

    def read(self) -> Image | None:
        """The next picture, when it is due."""
        if not self._pace.wait():
            return None
        image = self._next()
        if image is None:
            image = self._again()
        return image

    def close(self) -> None:
        """Close the file."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _next(self) -> Image | None:
        if self._capture is None:
            raise SourceLost(f"{self._path} is not open")
        done, image = self._capture.read()
        return image if done else None  # type: ignore[return-value]

    def _again(self) -> Image:
        """The first picture: by going back, or where the format cannot, by opening the file once more."""
        import cv2

        if self._capture is not None and self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0):
            image = self._next()
            if image is not None:
                return image
        self.close()
        try:
            _kind_of(self._path)
        except SourceError as error:
            raise SourceLost(str(error)) from None
        self._capture = opened(str(self._path))
        image = self._next() if self._capture is not None else None
        if image is None:
            raise SourceLost(f"{self._path} cannot be read any more")
        return image


class ImageFolder:
    """The pictures of a folder, in the order a person would number them, `wanted.fps` or one a second, over and over.

    A JPEG is passed through untouched, everything else OpenCV reads is decoded, and what it cannot read is left out.
    What comes and goes is noticed each time the folder has been shown.
    """

    retry_every = FileSource.retry_every

    def __init__(self, path: Path, wanted: Wanted) -> None:
        self._path = path
        self._fps = wanted.fps or FOLDER_FPS
        self._pace = Pace(self._fps)
        self._pictures: Iterator[bytes | Image] = iter(())

    def open(self) -> Mode:
        """Find the first picture. Raises a `SourceError`."""
        _kind_of(self._path)
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
                picture = _picture(path)
                if picture is not None:
                    yield picture


class StillImage:
    """One picture, shown again each second, and read again when the file has changed."""

    retry_every = FileSource.retry_every

    def __init__(self, path: Path, wanted: Wanted) -> None:  # noqa: ARG002 - all sources are made alike
        self._path = path
        self._pace = Pace(STILL_FPS)
        self._picture: bytes | Image | None = None
        self._stamp = (0, 0, 0)

    def open(self) -> Mode:
        """Read the file. Raises a `SourceError`."""
        self._stamp = _stamp(self._path)
        self._picture = picture = _picture(self._path)
        if picture is None:
            raise SourceUnusable(f"{self._path} is not a video or a picture that can be read")
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
            picture = _picture(self._path)
            # Half a file is what a writer that is still busy leaves; the one before is shown meanwhile.
            if picture is not None:
                self._stamp, self._picture = stamp, picture
        return self._picture

    def close(self) -> None:
        """Forget the picture."""
        self._picture = None


def _kind_of(path: Path) -> str:
    """`folder` or `file`. Raises the `SourceError` that says why it cannot be read."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            os.scandir(path).close()
            return "folder"
        if stat.S_ISREG(mode):
            path.open("rb").close()
            return "file"
    except (FileNotFoundError, NotADirectoryError):
        raise SourceMissing(f"{path} does not exist: check the path") from None
    except PermissionError:
        raise SourceDenied(f"{path} may not be read by this user: change its permissions (chmod, chown)") from None
    except OSError as error:
        raise SourceUnusable(f"{path} cannot be read: {error.strerror}") from None
    raise SourceUnusable(f"{path} is neither a file nor a folder")


def _stamp(path: Path) -> tuple[int, int, int]:
    _kind_of(path)
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _is_picture(path: Path) -> bool:
    import cv2

    return bool(cv2.haveImageReader(str(path)))


def _picture(path: Path) -> bytes | Image | None:
    """The picture in a file: bytes for a sound JPEG, an image for everything else, None for what cannot be read."""
    from camera import jpeg

    try:
        data = path.read_bytes()
    except OSError:
        return None
    if data.startswith(jpeg.SOI):
        try:
            jpeg.checked(data)
        except JpegError:
            return None
        return data
    import cv2
    import numpy as np

    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error:
        return None
    return None if image is None else image.astype(np.uint8, copy=False)


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
