"""The placeholder: a JPEG of any size that says what is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from camera import jpeg, lettering, placeholder

LONG = "/dev/v4l/by-id/usb-046d_HD_Pro_Webcam_C920_A1B2C3D4-video-index0 is not plugged in: it is tried again"


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (160, 120), (641, 479), (1080, 1920), (3840, 2160), (8, 8)])
@pytest.mark.parametrize("lines", [(), ("/dev/video0 is not plugged in", "for 2 min 5 s"), (LONG, LONG, LONG)])
def test_any_size_and_any_text(width: int, height: int, lines: tuple[str, ...]) -> None:
    """A placeholder is a sound JPEG of exactly the size asked for, however much there is to say."""
    checked = jpeg.checked(placeholder.draw(width, height, "front: camera lost", lines))
    assert (checked.width, checked.height) == (width, height)


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (320, 240), (160, 120)])
def test_text_stays_inside(width: int, height: int) -> None:
    """Nothing is written up to the edge: long texts are broken, made smaller and in the end cut short."""
    image = jpeg.decode(placeholder.draw(width, height, LONG, [LONG] * 20)).astype(int)
    inner = np.ones(image.shape[:2], bool)
    inner[3:-3, 3:-3] = False
    assert np.abs(image[inner] - image[0, 0]).max() < 24


def test_a_camera_of_any_size_gets_a_placeholder_that_can_be_afforded() -> None:
    """Beyond 3840x2160 it keeps the shape only, however long and thin; within, it has the camera's size."""
    assert placeholder.fitting(12_000, 12_000) == (2160, 2160)
    assert placeholder.fitting(7680, 4320) == (3840, 2160)
    assert placeholder.fitting(65_500, 1) == (3840, 1)
    assert placeholder.fitting(641, 479) == (641, 479)
    assert placeholder.fitting(3840, 2160) == (3840, 2160)


def test_words_are_drawn() -> None:
    """Different words give different pictures, in any language and not as question marks."""
    texts = [
        "front: camera lost",
        "Kamera fehlt: Gerät nicht angeschlossen",
        "カメラが見つかりません",
        "Камера пропала",
        "?????????????",
    ]
    assert len({placeholder.draw(640, 480, text) for text in texts}) == len(texts)


def test_control_characters_do_no_harm() -> None:
    """Line breaks, tabs and control characters in a reason are blanks or nothing."""
    assert placeholder.draw(320, 240, "a\n\tb\x00\x1bc") == placeholder.draw(320, 240, "a bc")


def test_wrapping_breaks_between_words_and_loses_nothing() -> None:
    """A text is broken between words, a word that is too long inside, and all of it is still there."""
    lines = lettering.wrap(f"one two {'x' * 60} three", 120, 16)
    assert "".join(lines).replace(" ", "") == f"onetwo{'x' * 60}three"
    assert all(lettering.width_of(line, 16) <= 120 for line in lines)
