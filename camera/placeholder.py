"""The picture viewers see while a camera has none: what is wrong, and for how long. On any thread that draws one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from camera import lettering
from camera.jpeg import encode
from camera.lettering import REGULAR, SEMIBOLD, Colour

if TYPE_CHECKING:
    from collections.abc import Sequence

    from camera.sources import Image

LARGEST: Final = (3840, 2160)
"""Pixels, width and height: in the size of a camera beyond that, 12000 x 12000 say, one costs 480 MB to draw."""
SMALLEST: Final = 32
"""Pixels: below this in either direction the picture is blank."""

QUALITY: Final = 85
_SMALLEST_TITLE: Final = 10
_SMALLEST_TEXT: Final = 9
_SMALLEST_SIGN: Final = 12

GROUND: Colour = (37, 29, 25)
LINE: Colour = (66, 54, 47)
AMBER: Colour = (70, 176, 250)
WHITE: Colour = (242, 239, 236)
GREY: Colour = (176, 163, 154)


def fitting(width: int, height: int) -> tuple[int, int]:
    """The size in pixels in which to draw for a camera of `width` x `height`: the same shape, within `LARGEST`."""
    part = min(1.0, LARGEST[0] / width, LARGEST[1] / height)
    return max(1, round(width * part)), max(1, round(height * part))


def draw(width: int, height: int, title: str, lines: Sequence[str] = ()) -> bytes:
    """A JPEG of `width` x `height` pixels that says `title` and, smaller, each of `lines`; `fitting()` says which size.

    Texts are in any language, broken into lines and made smaller until they fit; the last resort is an ellipsis.
    """
    image: Image = np.empty((height, width, 3), np.uint8)
    # np.full takes 12 ms for a colour at 720p, this 0.2.
    cv2.rectangle(image, (0, 0), (width, height), GROUND, cv2.FILLED)
    if min(width, height) >= SMALLEST:
        _compose(image, lettering.clean(title), [line for line in map(lettering.clean, lines) if line])
    return encode(image, QUALITY)


def _compose(image: Image, title: str, lines: Sequence[str]) -> None:
    """Draw sign, title and lines, one under the other in the middle of the picture."""
    height, width = image.shape[:2]
    margin = max(4, round(min(width, height) * 0.06))
    room_x, room_y = width - 2 * margin, height - 2 * margin
    size = min(height / 11, width / 13)
    while True:
        large, small = max(_SMALLEST_TITLE, round(size)), max(_SMALLEST_TEXT, round(size * 0.56))
        titles = lettering.wrap(title, room_x, large, SEMIBOLD)
        texts = [part for line in lines for part in lettering.wrap(line, room_x, small)]
        total = _height(len(titles), large, len(texts), small)
        if total <= room_y or (large == _SMALLEST_TITLE and small == _SMALLEST_TEXT):
            break
        size *= 0.9
    if total > room_y:
        titles = lettering.shortened(titles, 1, room_x, large, SEMIBOLD)
        texts = lettering.shortened(texts, max(0, int((room_y - large * 1.6) / (small * 1.5))), room_x, small)
        total = _height(len(titles), large, len(texts), small)
    sign = round(min(large * 2.2, room_y - total - large * 0.6))
    y = margin + (room_y - total) // 2
    if sign >= _SMALLEST_SIGN:
        y = margin + round(room_y - total - sign - large * 0.6) // 2
        _draw_sign(image, width // 2, y + sign // 2, sign)
        y += sign + round(large * 0.6)
    for text in titles:
        _centred(image, text, y + large, large, WHITE, weight=SEMIBOLD)
        y += round(large * 1.25)
    y += round(small * 0.45)
    for text in texts:
        _centred(image, text, y + small, small, GREY, weight=REGULAR)
        y += round(small * 1.5)


def _height(titles: int, large: int, texts: int, small: int) -> int:
    return round(large * 1.25) * titles + (round(small * 0.45) + round(small * 1.5) * texts if texts else 0)


def _centred(image: Image, text: str, baseline: int, size: int, colour: Colour, *, weight: int) -> None:
    left = (image.shape[1] - lettering.width_of(text, size, weight)) // 2
    lettering.draw(image, text, (left, baseline), size, colour, weight=weight)


def _draw_sign(image: Image, x: int, y: int, size: int) -> None:
    """A camera, crossed out, `size` pixels high and a little wider, with its middle at (x, y)."""
    thick = max(1, round(size / 18))
    half_w, half_h = round(size * 0.62), round(size * 0.36)
    top = y - half_h + round(size * 0.06)
    bottom = y + half_h + round(size * 0.06)
    hump = round(size * 0.24)
    body = np.array(
        [
            (x - half_w, top), (x - hump, top), (x - round(hump * 0.6), top - round(size * 0.14)),
            (x + round(hump * 0.6), top - round(size * 0.14)), (x + hump, top), (x + half_w, top),
            (x + half_w, bottom), (x - half_w, bottom),
        ],
        np.int32,
    )  # fmt: skip
    middle = (x, (top + bottom) // 2)
    cv2.polylines(image, [body], True, GREY, thick, cv2.LINE_AA)
    cv2.circle(image, middle, round(size * 0.21), GREY, thick, cv2.LINE_AA)
    reach = round(size * 0.52)
    ends = ((x - reach, middle[1] - reach), (x + reach, middle[1] + reach))
    cv2.line(image, *ends, GROUND, thick * 4, cv2.LINE_AA)
    cv2.line(image, *ends, AMBER, thick + 1, cv2.LINE_AA)
