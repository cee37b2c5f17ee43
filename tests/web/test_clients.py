"""Programs that people use, against a real server: what each is handed is whole, in its size, and what is shown now.

The source is a folder of pictures, each of a grey of its own, so that a frame tells which one it is. A client whose
parser waits for the next part shows each frame one frame late: when it hands one out, `/state` tells of the next.
Two frames a second leave a client half a second, and no frame is repeated that could push another through (which
happens after a second of silence).
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import cv2
import numpy as np
import pytest

from camera.jpeg import checked, encode
from tests.serving import PATIENCE, Vedette

SIZE = (320, 240)
STEP = 10
"""Between two greys: no decoder is that far off."""
COUNT = 24
IN_A_ROW = 3
"""Frames that must follow each other without delay."""
CATCHING_UP = 40
"""Frames that a client may need for that: some begin with a second or two of what they saw while probing."""


def picture(index: int) -> bytes:
    """Picture `index` of the folder; each has a length of its own, by which `/state` tells it from the others."""
    width, height = SIZE
    jpeg = encode(np.full((height, width, 3), index * STEP, np.uint8), 80)
    comment = b" " * (16 * index)
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


PICTURES = [picture(index) for index in range(COUNT)]
BY_LENGTH = {len(jpeg): index for index, jpeg in enumerate(PICTURES)}


@pytest.fixture(scope="module")
def greys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vedette]:
    """A server that shows the pictures, two a second."""
    assert len(BY_LENGTH) == COUNT
    folder = tmp_path_factory.mktemp("greys")
    for index, jpeg in enumerate(PICTURES):
        (folder / f"{index}.jpg").write_bytes(jpeg)
    log = tmp_path_factory.mktemp("vedette") / "vedette.log"
    with Vedette(log, "--source", str(folder), "--fps", "2", "--standby", "on") as vedette:
        assert vedette.get("/snapshot?timeout=30")[0] == 200
        yield vedette


def index_of(image: Any) -> int:
    """Which picture `image` is: uint8, shape (height, width) or (height, width, 3)."""
    assert image is not None, "a frame cannot be decoded"
    assert image.shape[:2] == SIZE[::-1]
    index = round(float(image.mean()) / STEP)
    assert abs(float(image.mean()) - index * STEP) < STEP / 2.5
    return index


def index_of_jpeg(jpeg: bytes) -> int:
    """Which picture `jpeg` is, byte for byte."""
    assert jpeg in PICTURES, "a frame is not what lies on the disk"
    return index_of(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR))


class OnTime:
    """Judges a client by the frames that it hands out, each compared with the newest at that moment."""

    def __init__(self, vedette: Vedette) -> None:
        self._vedette = vedette
        self._row = 0
        self.handed: list[int] = []
        self.newest: list[int] = []

    def take(self, index: int) -> bool:
        """The client has just handed out picture `index`; True when it has shown that it is not late."""
        self.newest.append(BY_LENGTH[self._vedette.camera()["frame"]["bytes"]])
        self.handed.append(index)
        follows = len(self.handed) == 1 or index == (self.handed[-2] + 1) % COUNT
        self._row = self._row + 1 if follows and index == self.newest[-1] else 0
        assert len(self.handed) < CATCHING_UP, f"late: {self}"
        return self._row == IN_A_ROW

    def __str__(self) -> str:
        return f"handed out {self.handed} when the newest were {self.newest}"


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program with its output in a pipe; ended afterwards, and in any case after a while."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        watchdog = threading.Timer(2 * PATIENCE, process.kill)
        watchdog.start()
        try:
            yield process
        finally:
            watchdog.cancel()
            process.kill()


def output(*command: str, code: int = 0) -> bytes:
    """What a program prints that ends by itself, with exit code `code`."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=2 * PATIENCE, check=False)
    assert done.returncode == code, (command, done.returncode, done.stderr.decode())
    return done.stdout


def parts(
    readline: Callable[[], bytes], read: Callable[[int], bytes], header: bytes = b"Content-Length"
) -> Iterator[bytes]:
    """The frames of a multipart body, as the simplest of scripts reads them: up to Content-Length and no further."""
    length = -1
    while line := readline():
        name, _, value = line.strip().partition(b": ")
        if name == header:
            length = int(value)
        elif name == b"Content-Type":
            length = 0
        elif not name and length >= 0:
            assert length, "a part without a Content-Length"
            yield read(length)
            length = -1


# --- curl ---------------------------------------------------------------------------------------------


def test_curl_is_on_time_and_gets_the_bytes_from_the_disk(greys: Vedette) -> None:
    """What comes out of curl's pipe is the current frame, byte for byte as the source gave it."""
    judge = OnTime(greys)
    with running("curl", "-sN", f"{greys.url}/stream") as curl:
        assert curl.stdout is not None
        assert any(judge.take(index_of_jpeg(jpeg)) for jpeg in parts(curl.stdout.readline, curl.stdout.read)), judge


def test_curl_records_the_stream_into_a_file(greys: Vedette, tmp_path: Path) -> None:
    """`curl -o` takes the HTTP/1.0 answer as it is, and all but the last frame are whole when it is interrupted."""
    file = tmp_path / "recording.mjpeg"
    command = ("curl", "-s", "--max-time", "3", "-o", str(file), "-w", "%{http_version} %{http_code} %{content_type}")
    told = output(*command, f"{greys.url}/stream", code=28)  # 28: the time is up
    assert told == b"1 200 multipart/x-mixed-replace;boundary=boundarydonotcross"
    with file.open("rb") as recording:
        frames = [index_of_jpeg(jpeg) for jpeg in parts(recording.readline, recording.read) if jpeg in PICTURES]
    assert len(frames) >= 2
    assert frames == [(frames[0] + step) % COUNT for step in range(len(frames))]


def test_curl_saves_a_snapshot(greys: Vedette, tmp_path: Path) -> None:
    """`/snapshot` is a file: as given by the source, under a sensible name, several over one connection."""
    file = tmp_path / "still.jpg"
    output("curl", "-sS", "--fail", "-o", str(file), f"{greys.url}/snapshot")
    index_of_jpeg(file.read_bytes())
    output("curl", "-sS", "--fail", "--output-dir", str(tmp_path), "-OJ", f"{greys.url}/snapshot?download")
    (saved,) = tmp_path.glob("camera_*.jpg")
    index_of_jpeg(saved.read_bytes())


def test_curl_fails_when_there_is_no_picture(greys: Vedette) -> None:
    """`--fail` sees the status of what cannot be had, so that a script does, too: nothing is 200 and wrong."""
    for path in ("/cameras/none/stream", "/snapshot?max_age=abc", "/stream?fsp=3", "/nothing"):
        assert output("curl", "-s", "--fail", greys.url + path, code=22) == b""
    output("curl", "-s", "--fail", f"{greys.url}/healthz")


# --- ffmpeg -------------------------------------------------------------------------------------------

LIVE = ("-fflags", "nobuffer", "-flags", "low_delay", "-probesize", "32", "-analyzeduration", "0")
"""What one gives ffmpeg for live input; without it, it looks at the stream for five seconds first."""
FFMPEG_INPUTS = pytest.mark.parametrize(
    "options",
    [(), ("-f", "mpjpeg"), ("-f", "mpjpeg", "-strict_mime_boundary", "1")],
    ids=["guessed", "mpjpeg", "strict boundary"],
)


@FFMPEG_INPUTS
def test_ffmpeg_is_on_time(greys: Vedette, options: tuple[str, ...]) -> None:
    """With ffmpeg, each frame is decoded before the next is published, whether it guesses the format or is told."""
    judge = OnTime(greys)
    width, height = SIZE
    # One thread for the raw output: with more, ffmpeg itself holds a frame back in each of them.
    into = ("-threads", "1", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "bgr24")
    now = ("-flush_packets", "1", "pipe:1")
    with running("ffmpeg", "-v", "error", *LIVE, *options, "-i", f"{greys.url}/stream", *into, *now) as ffmpeg:
        assert ffmpeg.stdout is not None
        late = True
        while late and len(raw := ffmpeg.stdout.read(width * height * 3)) == width * height * 3:
            late = not judge.take(index_of(np.frombuffer(raw, np.uint8).reshape(height, width, 3)))
    assert not late, judge


def test_ffmpeg_copies_without_decoding_on_time(greys: Vedette) -> None:
    """What recorders do: the frames untouched into another container, each before the next is published."""
    judge = OnTime(greys)
    into = ("-c", "copy", "-f", "mpjpeg", "-flush_packets", "1", "pipe:1")
    with running("ffmpeg", "-v", "error", *LIVE, "-i", f"{greys.url}/stream", *into) as ffmpeg:
        assert ffmpeg.stdout is not None
        read = (ffmpeg.stdout.readline, ffmpeg.stdout.read)
        assert any(judge.take(index_of_jpeg(jpeg)) for jpeg in parts(*read, b"Content-length")), judge


@FFMPEG_INPUTS
def test_ffprobe_tells_what_the_stream_is(greys: Vedette, options: tuple[str, ...]) -> None:
    """The program ffprobe knows the format by itself, reads frames of the right size, and has no complaint."""
    told = json.loads(
        output(
            *("ffprobe", "-v", "error", "-of", "json", *options, "-read_intervals", "%+#3"),
            *("-show_entries", "format=format_name:stream=codec_name,width,height:frame=width,height"),
            *("-probesize", "32768", "-i", f"{greys.url}/stream"),
        )
    )
    width, height = SIZE
    assert told["format"]["format_name"] == "mpjpeg"
    assert told["streams"] == [{"codec_name": "mjpeg", "width": width, "height": height}]
    assert len(told["frames"]) >= 3
    assert all((frame["width"], frame["height"]) == SIZE for frame in told["frames"])


def test_ffprobe_and_opencv_read_a_snapshot(greys: Vedette) -> None:
    """A still opens by its address in ffprobe, and its bytes in OpenCV."""
    told = json.loads(
        output(
            *("ffprobe", "-v", "error", "-of", "json", "-show_entries", "stream=codec_name,width,height"),
            f"{greys.url}/snapshot",
        )
    )
    width, height = SIZE
    assert told["streams"] == [{"codec_name": "mjpeg", "width": width, "height": height}]
    index_of_jpeg(greys.get("/snapshot")[2])


# --- libraries ----------------------------------------------------------------------------------------


def test_opencv_is_on_time(greys: Vedette) -> None:
    """`cv2.VideoCapture` with the address, as every tutorial has it."""
    judge = OnTime(greys)
    capture = cv2.VideoCapture(f"{greys.url}/stream", cv2.CAP_FFMPEG)
    try:
        assert capture.isOpened()
        assert (int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))) == SIZE
        late = True
        while late:
            late = not judge.take(index_of(capture.read()[1]))
    finally:
        capture.release()


def test_aiohttp_is_on_time(greys: Vedette) -> None:
    """The multipart reader of aiohttp, as Home Assistant's proxies use it."""
    judge = OnTime(greys)

    async def watch() -> None:
        timeout = aiohttp.ClientTimeout(total=2 * PATIENCE)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{greys.url}/stream") as response,
        ):
            reader = aiohttp.MultipartReader.from_response(response)
            late = True
            while late:
                part = await reader.next()
                assert isinstance(part, aiohttp.BodyPartReader)
                assert part.headers["Content-Type"] == "image/jpeg"
                jpeg = bytes(await part.read())
                late = not judge.take(index_of_jpeg(jpeg))

    asyncio.run(watch())


def test_urllib_is_on_time(greys: Vedette) -> None:
    """A script with nothing but the standard library."""
    judge = OnTime(greys)
    with urllib.request.urlopen(f"{greys.url}/stream", timeout=PATIENCE) as answer:
        assert answer.version == 10
        assert any(judge.take(index_of_jpeg(jpeg)) for jpeg in parts(answer.readline, answer.read)), judge


def test_a_script_that_looks_for_markers_is_on_time(greys: Vedette) -> None:
    """What tutorials do: search what has arrived for FFD8 and FFD9. No other image may hide in a frame."""
    judge = OnTime(greys)
    data = b""
    with urllib.request.urlopen(f"{greys.url}/stream", timeout=PATIENCE) as answer:
        late = True
        while late:
            data += answer.read1(1024)
            start, end = data.find(b"\xff\xd8"), data.find(b"\xff\xd9")
            if start >= 0 and end >= 0:
                jpeg, data = data[start : end + 2], data[end + 2 :]
                assert checked(jpeg).jpeg == jpeg
                late = not judge.take(index_of_jpeg(jpeg))
