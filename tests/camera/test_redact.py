"""Passwords in addresses are never shown."""

from __future__ import annotations

import pytest

from camera.redact import redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://joe:hunter2@cam:554/live", "rtsp://***@cam:554/live"),
        ("http://token@cam/", "http://***@cam/"),
        ("http://joe:p@ss@cam/", "http://***@cam/"),
        ("http://joe:p/ss@cam/x", "http://***@cam/x"),
        ("http://joe:p?ss#@cam/x", "http://***@cam/x"),
        ("RTSP://joe:hunter2@[::1]:554/", "RTSP://***@[::1]:554/"),
        ("http://cam/video.cgi?user=joe&pwd=x&res=1", "http://cam/video.cgi?user=***&pwd=***&res=1"),
        (
            "http://cam/?loginuse=a&loginpas=b;access_token=c#top",
            "http://cam/?loginuse=***&loginpas=***;access_token=***#top",
        ),
        (
            "cannot open rtsp://a:b@cam/x: refused by http://c:d@e",
            "cannot open rtsp://***@cam/x: refused by http://***@e",
        ),
        ('"http://a:b@c/d" is gone', '"http://***@c/d" is gone'),
    ],
)
def test_credentials_are_masked(text: str, shown: str) -> None:
    """Whatever could be a user's name, a password or a token is replaced, also inside a sentence."""
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "/dev/video0",
        "http://cam:8080/stream?fps=5",
        "http://[::1]/mail@home",
        "rtsp://cam/a@b",
        "http://cam:80/a@b",
        "pattern",
        "",
    ],
)
def test_what_holds_no_credentials_is_left_alone(text: str) -> None:
    """A source without a password is shown as it was written."""
    assert redact(text) == text
