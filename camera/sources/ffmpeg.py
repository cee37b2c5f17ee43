"""`FfmpegSource`: what OpenCV's FFmpeg opens by its address: RTSP, RTMP, SRT, UDP, HLS and more. Capture thread."""

from __future__ import annotations

import math
import re
import socket
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from camera.errors import SourceError, SourceLost, SourceMissing, SourceUnusable
from camera.limits import excess
from camera.redact import redact
from camera.sources import Image, Mode, Wanted
from camera.sources.opencv import silence

if TYPE_CHECKING:
    import cv2

OPEN_WITHIN: Final = 5000
"""Milliseconds that FFmpeg may take to open an address."""
READ_WITHIN: Final = 2000
"""Milliseconds without a picture after which it is lost."""

_PORTS: Final = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "rtmps": 443, "http": 80, "https": 443}
_FASTEST: Final = 240.0


class FfmpegSource:
    """A stream that FFmpeg receives and decodes. Its size and rate are its own."""

    retry_every = 5.0

    def __init__(self, url: str, wanted: Wanted) -> None:  # noqa: ARG002 - all sources are made alike
        self._url = url
        self._name = redact(url)
        self._capture: cv2.VideoCapture | None = None

    def open(self) -> Mode:
        """Connect and wait until FFmpeg knows what it gets. Raises a `SourceError`."""
        self.close()
        capture = opened(self._url)
        if capture is None:
            raise _diagnosis(self._url, self._name)
        mode = mode_of(capture, self._name)
        self._capture = capture
        return mode

    def read(self) -> Image | None:
        """The next picture; `SourceLost` when none has come for two seconds, or the stream has ended."""
        if self._capture is None:
            raise SourceLost(f"{self._name} is not open")
        done, image = self._capture.read()
        if not done:
            raise SourceLost(f"{self._name} ended, or sent nothing for {READ_WITHIN // 1000} s")
        return image  # type: ignore[return-value]

    def close(self) -> None:
        """Close the connection."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None


def opened(address: str) -> cv2.VideoCapture | None:
    """A capture of what FFmpeg finds at an address or a path, silent on stderr; None when it finds nothing."""
    import cv2

    silence()
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_WITHIN, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_WITHIN]
    capture = cv2.VideoCapture(address, cv2.CAP_FFMPEG, limits)
    if capture.isOpened() and capture.get(cv2.CAP_PROP_FRAME_WIDTH) > 0:
        return capture
    capture.release()
    return None


def mode_of(capture: cv2.VideoCapture, name: str) -> Mode:
    """The mode that FFmpeg reports for an open capture; a rate that cannot be true is 0.

    Raises `SourceUnusable` for a video whose pictures are too large.
    """
    import cv2

    fps = capture.get(cv2.CAP_PROP_FPS)
    if not (math.isfinite(fps) and 0 < fps <= _FASTEST):
        fps = 0.0
    code = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
    encoding = code.to_bytes(4, "little").decode("latin-1").strip("\0 ")
    width, height = (round(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    too_large = excess(width, height)
    if too_large:
        raise SourceUnusable(f"{name} gives a video that is too large: {too_large}")
    return Mode(name, width, height, fps, encoding.upper() if encoding.isascii() and encoding.isprintable() else "")


def _diagnosis(url: str, name: str) -> SourceError:
    """Why FFmpeg could not open `url`: it does not tell OpenCV, so the connection is tried once more."""
    scheme = re.match(r"[^:]*", url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme.lower())
    except ValueError as error:
        return SourceUnusable(f"{name} is no address: {error}")
    if host and port and scheme and scheme[0].lower() in _PORTS:
        try:
            socket.create_connection((host, port), timeout=1.0).close()
        except (socket.gaierror, UnicodeError):
            return SourceMissing(f"there is no host {host}: check the address, and that the network is up")
        except ConnectionRefusedError:
            return SourceMissing(f"{host} port {port} refuses connections: check the port")
        except OSError:
            return SourceMissing(f"{host} port {port} does not answer: check that the camera is on")
        return SourceUnusable(f"{name} gives no video: check its path, user and password")
    return SourceUnusable(f"{name} gives no video that FFmpeg can open: check the address, and that something is sent")
