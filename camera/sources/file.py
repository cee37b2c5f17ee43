"""`FileSource`, a path, and `VideoFile`, a video that is played over and over. They run on the capture thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from camera.errors import SourceError, SourceLost, SourceUnusable
from camera.sources.ffmpeg import mode_of, opened
from camera.sources.opencv import silence
from camera.sources.pace import Pace
from camera.sources.path import RETRY_EVERY, kind_of
from camera.sources.pictures import ImageFolder, StillImage

if TYPE_CHECKING:
    from pathlib import Path

    import cv2

    from camera.sources import Image, Mode, Wanted

VIDEO_FPS: Final = 25.0
"""The rate of a video that does not tell its own."""

_ANIMATED: Final = frozenset({".gif", ".mjpg", ".mjpeg"})
"""What looks like a picture to OpenCV, but holds many."""
_TEXT: Final = frozenset({"ANSI", "BTXT", "XBIN", "IDF"})
"""What FFmpeg calls a text file, which it would show as a terminal does."""


class _Player(Protocol):
    """What shows one kind of path."""

    def open(self) -> Mode: ...

    def read(self) -> bytes | Image | None: ...

    def close(self) -> None: ...


class FileSource:
    """A path that may be a video, a picture or a folder of pictures: which, is seen each time it is opened."""

    retry_every = RETRY_EVERY

    def __init__(self, path: Path, wanted: Wanted) -> None:
        self._path = path
        self._wanted = wanted
        self._player: _Player | None = None

    def open(self) -> Mode:
        """Open what is there. Raises a `SourceError`."""
        self.close()
        player: _Player
        if kind_of(self._path) == "folder":
            player = ImageFolder(self._path, self._wanted)
        elif self._path.suffix.lower() not in _ANIMATED and _is_picture(self._path):
            player = StillImage(self._path)
        else:
            player = VideoFile(self._path)
        mode = player.open()
        self._player = player
        return mode

    def read(self) -> bytes | Image | None:
        """The next picture."""
        if self._player is None:
            raise SourceLost(f"{self._path} is not open")
        return self._player.read()

    def close(self) -> None:
        """Close the file."""
        if self._player is not None:
            self._player.close()
            self._player = None


class VideoFile:
    """A video, played at its own rate and size and from the start again when it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._capture: cv2.VideoCapture | None = None
        self._pace = Pace(VIDEO_FPS)

    def open(self) -> Mode:
        """Open the file at its start. Raises a `SourceError`."""
        self.close()
        kind_of(self._path)
        capture = opened(str(self._path))
        if capture is None:
            raise SourceUnusable(f"{self._path} is not a video or a picture that can be read")
        mode = mode_of(capture, str(self._path))
        if mode.encoding in _TEXT:
            raise SourceUnusable(f"{self._path} is not a video or a picture that can be read")
        self._capture = capture
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
            kind_of(self._path)
        except SourceError as error:
            raise SourceLost(str(error)) from None
        self._capture = opened(str(self._path))
        image = self._next() if self._capture is not None else None
        if image is None:
            raise SourceLost(f"{self._path} cannot be read any more")
        return image


def _is_picture(path: Path) -> bool:
    import cv2

    silence()
    return bool(cv2.haveImageReader(str(path)))
