"""The still, on a real server."""

from __future__ import annotations

import email.utils
import json
import re
import time
from typing import TYPE_CHECKING

import pytest

from camera.jpeg import checked
from tests.serving import PATIENCE, wait_until
from web import create_app
from web.settings import CameraSettings, Settings
from web.site import site_of

if TYPE_CHECKING:
    from tests.conftest import Serve
    from tests.serving import Vedette


def test_a_still_is_whole_and_says_when_it_was_taken(pattern_server: Vedette) -> None:
    """Its headers name the moment of capture, and forbid keeping it."""
    before = time.time()
    status, headers, body = pattern_server.get("/snapshot?max_age=0")
    assert status == 200
    assert headers["Content-Type"] == "image/jpeg"
    assert checked(body).jpeg == body
    assert int(headers["Content-Length"]) == len(body)
    assert headers["Cache-Control"] == "no-store"
    assert re.fullmatch(r'"[^"]+"', headers["ETag"])
    taken = float(headers["X-Timestamp"])
    assert before <= taken <= time.time()
    assert email.utils.parsedate_to_datetime(headers["Last-Modified"]).timestamp() == int(taken)
    assert "Content-Disposition" not in headers


def test_a_still_is_no_older_than_asked(pattern_server: Vedette) -> None:
    """`max_age=0` waits for a new frame; a generous age takes the one at hand."""
    first = pattern_server.get("/snapshot?max_age=0")[1]
    second = pattern_server.get("/snapshot?max_age=0")[1]
    third = pattern_server.get("/snapshot?max_age=60")[1]
    assert float(second["X-Timestamp"]) > float(first["X-Timestamp"])
    assert first["ETag"] != second["ETag"]
    assert float(third["X-Timestamp"]) >= float(second["X-Timestamp"])


@pytest.mark.parametrize("query", ["?download", "?download=1", "?download=true&1700000000"])
def test_a_download_has_a_name(pattern_server: Vedette, query: str) -> None:
    """A browser saves it under the camera's name and the time."""
    disposition = pattern_server.get("/snapshot" + query)[1]["Content-Disposition"]
    assert re.fullmatch(r'attachment; filename="camera_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d\.jpg"', disposition)


@pytest.mark.parametrize(
    "query", ["?max_age=-1", "?timeout=61", "?timeout=1e9", "?max_age=1&max_age=2", "?download=perhaps", "?width=3"]
)
def test_a_bad_parameter_is_named(pattern_server: Vedette, query: str) -> None:
    """A 400 in JSON that says which parameter, and what would be right."""
    status, _, body = pattern_server.get("/snapshot" + query)
    assert status == 400
    assert query[1:].partition("=")[0] in json.loads(body)["error"]


def test_no_picture_is_a_503_with_the_reason(serve: Serve) -> None:
    """A camera that is not there: no placeholder, but the reason, when the time to wait is over."""
    vedette = serve("--source", "/dev/video77")
    status, headers, body = vedette.get("/snapshot?timeout=0.5")
    assert status == 503
    assert int(headers["Retry-After"]) > 0
    assert "/dev/video77" in json.loads(body)["error"]


def test_many_who_wait_do_not_shut_the_server(serve: Serve) -> None:
    """Requests that wait for a picture that does not come are limited, so that the health still answers."""
    vedette = serve(config="".join(f'[camera.c{number}]\nsource = "/dev/video7{number}"\n' for number in range(5)))
    waiting = [vedette.connect(f"/cameras/c{number % 5}/snapshot?timeout=60") for number in range(700)]
    try:
        wait_until(lambda: vedette.get("/snapshot?timeout=60")[0] == 503, "nobody was turned away")
        assert vedette.healthz()[0] == 503
        assert vedette.get("/state")[0] == 200
    finally:
        for connection in waiting:
            connection.close()
    wait_until(lambda: vedette.descriptors() < 100, "requests whose clients have gone are still waiting")
    status, _, body = vedette.get("/snapshot?timeout=0.1")
    assert status == 503
    assert "/dev/video70" in json.loads(body)["error"], "those who have gone still stand in the way"


def test_a_still_leaves_nothing_behind() -> None:
    """Once nobody waits or watches, the hub is not woken for frames any more."""
    app = create_app(Settings(cameras=(CameraSettings(name="camera", source="pattern", size=(320, 240)),)))
    site = site_of(app)
    site.start()
    try:
        assert app.test_client().get("/snapshot").status_code == 200
        assert site.fanout(None).camera.buffer._wakes == ()
        assert site.waiting == 0
    finally:
        assert site.close(PATIENCE)
