"""Passwords in addresses are never shown."""

from __future__ import annotations

import pytest

from camera.redact import redact, redact_sentence


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("rtsp://joe:hunter2@cam:554/live", "rtsp://***@cam:554/live"),
        ("http://token@cam/", "http://***@cam/"),
        ("http://joe:p@ss@cam/", "http://***@cam/"),
        ("http://joe:p/ss@cam/x", "http://***@cam/x"),
        ("http://joe:p?ss#@cam/x", "http://***@cam/x"),
        ('rtsp://admin:my"pass@cam/x', "rtsp://***@cam/x"),
        ("http://admin:o'brien@cam/x", "http://***@cam/x"),
        ("http://admin:<pw>@cam/x", "http://***@cam/x"),
        ("http://admin:p ss@cam/x", "http://***@cam/x"),
        ("http://admin:p\nss@cam/x", "http://***@cam/x"),
        ("http://admin:123#abc@cam", "http://***@cam"),
        ("http://admin:1234/abc@cam", "http://***@cam"),
        ("http://admin:12?3@cam", "http://***@cam"),
        ("http://a:b@c/x=y@cam/", "http://***"),
        ("http://a:b@", "http://***@"),
        ("RTSP://joe:hunter2@[::1]:554/", "RTSP://***@[::1]:554/"),
        ("http://cam/video.cgi?user=joe&pwd=x&res=1", "http://cam/video.cgi?user=***&pwd=***&res=1"),
        ("http://cam/?loginuse=a&loginpas=b;access_token=c", "http://cam/?loginuse=***&loginpas=***;access_token=***"),
        ("http://cam/x?p=secret", "http://cam/x?p=***"),
        ("http://cam/x?p=se#cr/et&res=1", "http://cam/x?p=***&res=1"),
        ("http://cam/x?p=se&cret", "http://cam/x?p=***&***"),
        ("rtsp://joe:pw@cam/x?password=p@ss", "rtsp://***"),
        ("rtsp://10.0.0.5/x?password=p@ss", "rtsp://10.0.0.5/x?password=***"),
        ("http://10.0.0.5/rtsp://joe:pw@cam/x", "http://10.0.0.5/***@cam/x"),
        (
            "rtsp://10.0.0.5:554/user=admin&password=tl/Jw&channel=1&stream=0.sdp?real_stream",
            "rtsp://10.0.0.5:554/user=***&password=***&channel=1&stream=0.sdp?***",
        ),
        ("rtsp://cam/user=admin_password=tlJw_channel=1_stream=0.sdp", "rtsp://cam/user=***"),
        ("srt://cam:9000?mode=caller&passphrase=x", "srt://cam:9000?mode=caller&passphrase=***"),
        ("admin:secret@192.168.1.5/stream", "***@192.168.1.5/stream"),
        ("admin:se/cr et@cam/stream", "***@cam/stream"),
        ("rtsp:/admin:secret@cam/stream", "***@cam/stream"),
        ("192.168.1.5/user=admin&password=x", "192.168.1.5/user=***&password=***"),
    ],
)
def test_credentials_in_a_source_are_masked(source: str, shown: str) -> None:
    """Whatever could be a user's name, a password or a token is replaced, however badly it is escaped."""
    assert redact(source) == shown


@pytest.mark.parametrize(
    "source",
    [
        "/dev/video0",
        "/dev/v4l/by-id/usb-046d_C920-video-index0",
        "http://cam:8080/stream?fps=5",
        "http://cam/?action=stream",
        "http://[::1]/mail@home",
        "rtsp://192.168.1.5:554/a@b",
        "rtsp://cam/Streaming/Channels/101#top",
        "rtsp://192.168.1.5/cam/realmonitor?channel=1&subtype=0",
        "tcp://10.0.0.1:8080",
        "/srv/films/joe@home/a=b.mp4",
        "file:///srv/films/joe@home.mp4",
        "pattern",
        "",
    ],
)
def test_what_holds_no_credentials_is_left_alone(source: str) -> None:
    """A source without a password is shown as it was written."""
    assert redact(source) == source


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "cannot open rtsp://a:b@cam/x: refused by http://c:d@e",
            "cannot open rtsp://***@cam/x: refused by http://***@e",
        ),
        ('"http://a:b@c/d" is gone', '"http://***@c/d" is gone'),
        ("no command 'rtsp://admin:my\"pass@cam/x'.", "no command 'rtsp://***@cam/x'."),
        ("no command 'http://admin:p ss@cam/x'.", "no command 'http://***@cam/x'."),
        ("no command 'admin:secret@cam/x'.", "no command '***@cam/x'."),
        ("no command 'cam/x?password=secret'.", "no command 'cam/x?password=***'."),
        ("http://***@cam/x?p=***: does not answer", "http://***@cam/x?p=***: does not answer"),
        ("front: lost: http://cam:8080/x does not answer", "front: lost: http://cam:8080/x does not answer"),
        ("vedette.toml: port = 1: ask joe@home at 12:30", "vedette.toml: port = 1: ask joe@home at 12:30"),
    ],
)
def test_credentials_in_a_sentence_are_masked(text: str, shown: str) -> None:
    """The addresses in a sentence lose their credentials, the sentence stays."""
    assert redact_sentence(text) == shown
