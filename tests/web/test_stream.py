"""The stream on a real server: framing, rates, limits, viewers who come, go, stall and lie."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np
import pytest

from camera.jpeg import checked
from tests.serving import PATIENCE, StreamReader, Vedette, free_port, wait_until
from web import create_app
from web.settings import CameraSettings, Settings
from web.site import site_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.conftest import Serve

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of zero seconds: closing resets the connection."""


def test_programs_get_the_framing_of_ustreamer(pattern_server: Vedette) -> None:
    """Byte for byte what ustreamer's clients expect: HTTP/1.0, no chunks, the boundary behind each part."""
    with pattern_server.connect() as connection:
        stream = StreamReader(connection)
        assert stream.status == "HTTP/1.0 200 OK"
        assert stream.headers["content-type"] == "multipart/x-mixed-replace;boundary=boundarydonotcross"
        assert "transfer-encoding" not in stream.headers
        assert "content-length" not in stream.headers
        assert stream.headers["connection"] == "close"
        assert stream.first == b"--boundarydonotcross\r\n"
        for _ in range(5):
            headers, body = stream.part()
            assert list(headers) == ["content-type", "content-length", "x-timestamp"]
            assert headers["content-type"] == "image/jpeg"
            assert abs(float(headers["x-timestamp"]) - time.time()) < 30
            assert checked(body).jpeg == body


@pytest.mark.parametrize(
    "headers",
    [
        ("Accept: image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",),
        ("Accept: text/html,application/xhtml+xml,*/*;q=0.8",),
        ("Accept: */*", "Sec-Fetch-Dest: image"),
    ],
)
def test_an_img_gets_the_next_headers_with_each_frame(pattern_server: Vedette, headers: tuple[str, ...]) -> None:
    """A browser shows a frame only when it has seen the next part's headers: they follow the frame at once."""
    with pattern_server.connect("/stream", *headers) as connection:
        stream = StreamReader(connection)
        data = stream.first
        while data.count(b"--boundarydonotcross") < 4:
            data += stream.some()
    parts = data.split(b"--boundarydonotcross\r\nContent-Type: image/jpeg\r\n\r\n")
    assert parts[0] == b""
    for part in parts[1:3]:
        assert part.endswith(b"\xff\xd9\r\n")
        checked(part[:-2])


def test_the_page_gets_octets_with_the_state(pattern_server: Vedette) -> None:
    """The page reads with `fetch()`, needs a plain type, and learns the state with each frame."""
    with pattern_server.connect("/stream", "Accept: application/octet-stream") as connection:
        stream = StreamReader(connection)
        assert stream.headers["content-type"] == "application/octet-stream"
        first, second = stream.part()[0], stream.part()[0]
    assert first["x-vedette-state"] == "live"
    assert int(second["x-vedette-sequence"]) > int(first["x-vedette-sequence"])


@pytest.mark.parametrize("path", ["/stream", "/video_feed", "/cameras/camera/stream"])
def test_the_stream_has_the_addresses_that_people_type(pattern_server: Vedette, path: str) -> None:
    """The plain addresses mean the first camera; each camera has its own."""
    with pattern_server.connect(path) as connection:
        assert StreamReader(connection).part()[1]


def test_cache_busters_are_ignored_and_unknown_parameters_are_not(pattern_server: Vedette) -> None:
    """What printer software appends is harmless; a misspelt parameter is an error that names it."""
    for query in ("?1700000000", "?timestamp=1", "?bypassCache=2", "?cacheBust=3", "?t=4", "?_=5&fps=30"):
        with pattern_server.connect("/stream" + query) as connection:
            assert StreamReader(connection).status.endswith("200 OK"), query
    for query, complaint in {
        "?fsp=3": "unknown parameter 'fsp'",
        "?fps=": "must be a number from 0.1 to 240",
        "?fps=0": "must be a number from 0.1 to 240",
        "?fps=nan": "must be a number from 0.1 to 240",
        "?fps=1&fps=2": "given 2 times",
        "?quality=10": "unknown parameter 'quality'",
    }.items():
        status, headers, body = pattern_server.get("/stream" + query)
        assert status == 400, query
        assert complaint in json.loads(body)["error"]
        assert headers["Content-Type"] == "application/json"


def test_head_tells_what_get_would_send(pattern_server: Vedette) -> None:
    """HEAD answers at once, with the type and without a picture."""
    status, headers, body = pattern_server.get("/stream", "HEAD")
    assert (status, body) == (200, b"")
    assert headers["Content-Type"].startswith("multipart/x-mixed-replace")
    wait_until(lambda: pattern_server.viewers() == 0, "HEAD has made a viewer")


def test_viewers_differ_in_rate(serve: Serve) -> None:
    """`?fps=` limits one viewer and no other."""
    vedette = serve("--source", "pattern", "--size", "320x240", "--fps", "20")
    times: list[float] = []

    def watch() -> None:
        with suppress(EOFError):
            while True:
                times.append(float(fast_stream.part()[0]["x-timestamp"]))

    with vedette.connect("/stream") as fast, vedette.connect("/stream?fps=2.5") as slow:
        fast_stream, slow_stream = StreamReader(fast), StreamReader(slow)
        watching = threading.Thread(target=watch)
        watching.start()
        began = float(slow_stream.part()[0]["x-timestamp"])
        for _ in range(5):
            ended = float(slow_stream.part()[0]["x-timestamp"])
        told = {viewer["limit"] for viewer in vedette.camera()["viewers"]}
        fast.shutdown(socket.SHUT_RDWR)
        watching.join()
    # By the frames' own clock: five frames at 2.5 a second span two seconds at least, in which there were forty.
    assert ended - began > 1.8
    assert sum(began < moment <= ended for moment in times) > 25
    assert told == {None, 2.5}


def test_a_viewer_too_many_is_told_to_come_back(serve: Serve) -> None:
    """At the limit there is a 503 with Retry-After, and everything else goes on."""
    vedette = serve("--source", "pattern", "--max-viewers", "2")
    with vedette.connect() as first, vedette.connect() as second:
        StreamReader(first).part()
        StreamReader(second).part()
        status, headers, body = vedette.get("/stream")
        assert status == 503
        assert int(headers["Retry-After"]) > 0
        assert "max_viewers" in json.loads(body)["error"]
        assert vedette.healthz() == (200, {"ok": True, "problems": []})
        assert vedette.get("/snapshot")[0] == 200
        assert vedette.get("/")[0] == 200
    wait_until(lambda: vedette.viewers() == 0, "the viewers that left are still counted")
    with vedette.connect() as third:
        assert StreamReader(third).part()


@pytest.mark.parametrize("rude", [False, True], ids=["closed", "reset"])
def test_a_viewer_that_leaves_is_gone(serve: Serve, *, rude: bool) -> None:
    """Closed or reset, a viewer leaves nothing behind: no entry, no descriptor, no thread."""
    vedette = serve("--source", "pattern", "--standby", "on")
    vedette.get("/snapshot")
    descriptors, threads = vedette.descriptors(), vedette.threads()
    connections = [vedette.connect() for _ in range(100)]
    wait_until(lambda: vedette.viewers() == 100, "not all viewers were taken")
    for connection in connections:
        if rude:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.close()
    wait_until(lambda: vedette.viewers() == 0, "viewers that left are still there")
    wait_until(lambda: vedette.descriptors() <= descriptors, "descriptors have leaked")
    assert vedette.threads() <= threads


def test_a_viewer_that_stops_reading_is_cut_and_slows_nobody(serve: Serve) -> None:
    """Whoever does not read is let go, and the others do not notice."""
    vedette = serve("--source", "pattern", "--standby", "on")
    stuck = [vedette.connect() for _ in range(20)]
    with vedette.connect() as reading:
        stream = StreamReader(reading)
        sequences: list[float] = []
        while vedette.viewers() > 1 or len(sequences) < 30:
            sequences.append(float(stream.part()[0]["x-timestamp"]))
            assert len(sequences) < 2000, "the viewers that do not read are still there"
        state = vedette.camera()["viewers"]
    assert len(state) == 1
    for connection in stuck:
        connection.close()


def test_a_viewer_that_talks_instead_of_watching_is_cut(serve: Serve) -> None:
    """A stream is no upload: a peer that keeps sending is not a viewer."""
    vedette = serve("--source", "pattern")
    with vedette.connect() as connection:
        wait_until(lambda: vedette.viewers() == 1, "not taken")
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
            connection.sendall(b"x" * 100_000_000)
    wait_until(lambda: vedette.viewers() == 0, "still there")


def test_a_slow_viewer_sees_fewer_frames_and_never_old_ones(serve: Serve) -> None:
    """What a slow reader gets is what is happening now: it skips, and nothing is queued for it."""
    vedette = serve("--source", "pattern", "--standby", "on")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)  # a link that holds little
        connection.connect(("127.0.0.1", vedette.port))
        connection.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        stream = StreamReader(connection)
        stream.part()
        for _ in range(4):
            time.sleep(0.5)
            stream.part()
        viewer = vedette.camera()["viewers"][0]
        newest = vedette.camera()["frame"]["captured_at"]
        # At most the frame that was on its way, and the one after it, are older than the pause.
        ages = [newest - float(stream.part()[0]["x-timestamp"]) for _ in range(2)]
    assert viewer["skipped"] > 10
    assert ages[1] < 0.5
    assert viewer["sent"] < 20


def test_a_lost_camera_does_not_end_the_stream(serve: Serve, tmp_path: Path) -> None:
    """The viewer sees a placeholder at least once a second, and then the picture again, on the same connection."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    picture = cv2.imencode(".jpg", np.full((240, 320, 3), 90, np.uint8))[1].tobytes()
    (folder / "1.jpg").write_bytes(picture)
    vedette = serve("--source", str(folder), "--fps", "20")

    def until(state: str) -> bytes:
        for _ in range(400):
            headers, body = stream.part()
            if headers["x-vedette-state"] == state:
                return body
        pytest.fail(f"the stream never told {state}")

    with vedette.connect("/stream", "Accept: application/octet-stream") as connection:
        stream = StreamReader(connection)
        assert until("live") == picture
        folder.rename(tmp_path / "elsewhere")
        lost = until("lost")
        assert lost != picture
        assert checked(lost).width == 320
        status, health = vedette.healthz()
        assert status == 503
        assert "lost" in health["problems"][0]
        status, _, body = vedette.get("/snapshot?max_age=0&timeout=0.2")
        assert status == 503
        assert "lost" in json.loads(body)["error"]
        (tmp_path / "elsewhere").rename(folder)
        assert until("live") == picture
        assert vedette.healthz()[0] == 200


def test_standby_closes_the_camera_after_the_last_viewer(serve: Serve) -> None:
    """Nothing is captured that nobody asked for: off before the first viewer, and some seconds after the last."""
    vedette = serve(config='source = "pattern"\nlinger = 0.5\n')
    assert vedette.camera()["state"] == "off"
    assert vedette.camera()["opened"] == 0
    assert vedette.healthz()[0] == 200, "a camera that should be off is in order"
    with vedette.connect() as connection:
        StreamReader(connection).part()
        assert vedette.camera()["state"] == "live"
    wait_until(lambda: vedette.camera()["state"] == "off", "the camera stays open though nobody watches")
    frames = vedette.camera()["frames"]
    assert vedette.camera()["frame"] is None
    assert vedette.get("/snapshot")[0] == 200
    assert vedette.camera()["frames"] > frames


def test_cameras_have_addresses_of_their_own(serve: Serve) -> None:
    """Several cameras are told apart, the plain addresses mean the first, and a name that is not there is a 404."""
    vedette = serve(config='source = "pattern"\n[camera.front]\nsize = "320x240"\n[camera.back]\nsize = "640x360"\n')
    assert list(vedette.state()["cameras"]) == ["front", "back"]
    for path, width in {"/": 320, "/cameras/front/": 320, "/cameras/back/": 640}.items():
        _, _, body = vedette.get(path + "snapshot")
        assert checked(body).width == width
        with vedette.connect(path + "stream") as connection:
            assert checked(StreamReader(connection).part()[1]).width == width
    status, _, body = vedette.get("/cameras/side/stream")
    assert status == 404
    assert "front, back" in json.loads(body)["error"]


def test_sigterm_ends_everything_at_once_and_quietly(serve: Serve) -> None:
    """A restart waits for no viewer, idle page or waiting still; each sees the end; the camera is released.

    And the log has nothing that looks like an error.
    """
    vedette = serve(config='[camera.front]\nsource = "pattern"\n[camera.back]\nsource = "/dev/video77"\n')
    idle = http.client.HTTPConnection("127.0.0.1", vedette.port, timeout=PATIENCE)
    idle.request("GET", "/state")
    idle.getresponse().read()
    waiting = vedette.connect("/cameras/back/snapshot?timeout=60")
    connections = [vedette.connect() for _ in range(100)]
    wait_until(lambda: vedette.viewers() == 100, "not all viewers were taken")
    assert vedette.terminate() == 0
    for connection in connections:
        data = b""
        while received := connection.recv(1 << 20):
            data += received
        connection.close()
        assert data.count(b"HTTP/1.") == 1, "the stream is followed by another answer"
    waiting.close()
    idle.close()
    assert "front: off" in vedette.log, "the camera was not released"
    assert not re.search("error|traceback|exception|kill", vedette.log, re.IGNORECASE), vedette.log


@pytest.mark.parametrize("name", ["SIGTTIN", "SIGTTOU", "SIGUSR2", "SIGWINCH"])
def test_there_is_never_a_second_owner_of_the_camera(serve: Serve, name: str) -> None:
    """Signals by which gunicorn makes more or other workers do nothing: a camera has one owner."""
    vedette = serve("--source", "pattern")
    worker = vedette.worker
    with vedette.connect() as connection:
        stream = StreamReader(connection)
        vedette.process.send_signal(getattr(signal, name))
        for _ in range(45):  # gunicorn looks at its workers once a second
            stream.part()
    assert vedette.worker == worker
    assert len(Path(f"/proc/{vedette.process.pid}/task/{vedette.process.pid}/children").read_text().split()) == 1


def test_nobody_is_left_when_the_parent_is_killed(serve: Serve) -> None:
    """An orphaned worker would hold the port and the camera: it ends with its parent, so that a restart works."""
    vedette = serve("--source", "pattern")
    worker = vedette.worker
    vedette.process.kill()
    vedette.process.wait()
    wait_until(lambda: not Path(f"/proc/{worker}").exists(), "the worker lives on")
    vedette.start()
    assert vedette.get("/snapshot")[0] == 200


def test_clients_that_do_not_read_their_answers_do_not_shut_the_server(serve: Serve) -> None:
    """They are cut by the kernel, and others are answered."""
    vedette = serve("--source", "pattern")
    request = b"GET /static/vedette.css HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(540):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", vedette.port))
            connection.sendall(request * 30)
        assert vedette.healthz()[0] == 200


def test_the_limit_of_viewers_fits_the_descriptors_there_are(tmp_path: Path) -> None:
    """A thousand viewers need as many descriptors: a machine that gives fewer is told what that means."""
    log = tmp_path / "log"
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-c", f'ulimit -n 900; exec "$0" -m web --source pattern --port {port}', sys.executable],
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: "shows the picture" in log.read_text(), "it does not start")
        assert "max_viewers is 260, not 1000: this process may open 900 files" in log.read_text()
    finally:
        process.terminate()
        process.wait(PATIENCE)


def test_the_stream_is_an_iterator_for_other_servers() -> None:
    """Where no socket can be taken over, any WSGI server can send the stream, the right way round."""
    app = create_app(Settings(cameras=(CameraSettings(name="camera", source="pattern"),)))
    site_of(app).start()
    try:
        answer = app.test_client().get("/stream?fps=20", buffered=False)
        parts = iter(cast("Iterable[bytes]", answer.response))
        assert next(parts) == b"--boundarydonotcross\r\n"
        for _ in range(3):
            head, _, body = next(parts).partition(b"\r\n\r\n")
            assert head.startswith(b"Content-Type: image/jpeg\r\nContent-Length: ")
            checked(body.removesuffix(b"\r\n--boundarydonotcross\r\n"))
        answer.close()
    finally:
        assert site_of(app).close(PATIENCE)


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_a_terminal_ends_it(serve: Serve, name: str) -> None:
    """Ctrl-C and a closed terminal reach every process of the group, and end it cleanly."""
    vedette = serve("--source", "pattern")
    with vedette.connect() as connection:
        StreamReader(connection).part()
        os.killpg(vedette.process.pid, getattr(signal, name))
        assert vedette.process.wait(PATIENCE) == 0
    assert not re.search("error|warning|traceback|exception", vedette.log, re.IGNORECASE), vedette.log


def test_state_tells_addresses_and_rates(pattern_server: Vedette) -> None:
    """An operator sees who watches, how fast and how old."""
    with pattern_server.connect() as connection:
        stream = StreamReader(connection)
        while pattern_server.camera()["viewers"][0]["fps"] <= 1:
            stream.part()
        camera = pattern_server.camera()
    viewer = camera["viewers"][0]
    assert viewer["address"] == "127.0.0.1"
    assert viewer["framing"] == "program"
    assert viewer["sent"] > 1
    assert 0 <= viewer["age"] < 1
    assert camera["obtained"] == {"width": 640, "height": 360, "fps": 30.0}
    assert camera["asked"]["width"] == 640
    assert camera["frame"]["width"] == 640
