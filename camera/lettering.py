"""Text on pictures: how wide it is, how it is broken into lines, how large it may be, and drawing it.

The fonts are the ones built into OpenCV 5 (`cv2.FontFace`): Rubik in all weights for most of the world's alphabets
and WenQuanYi Micro Hei for what it lacks, so no font has to be installed. What neither has becomes a question mark.
Called on the thread that draws, on several at once: each thread has a font face of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2

if TYPE_CHECKING:
    from camera.sources import Image

Colour = tuple[int, int, int]
"""Blue, green, red; 0 to 255 each."""

REGULAR = 400
SEMIBOLD = 600
BOLD = 800

_thread = threading.local()


def _face() -> cv2.FontFace:
    face: cv2.FontFace | None = getattr(_thread, "face", None)
    if face is None:
        face = _thread.face = cv2.FontFace("sans")
    return face


def clean(text: str) -> str:
    """`text` as one line: white space is one blank, and what cannot be printed is left out."""
    return " ".join("".join(letter for letter in text if letter.isprintable() or letter.isspace()).split())


def width_of(text: str, size: int, weight: int = REGULAR) -> int:
    """The width of `text` in pixels when it is drawn `size` pixels high."""
    return int(cv2.getTextSize((0, 0), text, (0, 0), _face(), size, weight)[2]) if text else 0


def largest(text: str, width: int, size: int, weight: int = REGULAR, smallest: int = 6) -> int:
    """The largest size, at most `size` and at least `smallest`, at which `text` is not wider than `width` pixels."""
    while size > smallest and (wide := width_of(text, size, weight)) > width:
        size = max(smallest, min(size - 1, size * width // wide))
    return size


def wrap(text: str, width: int, size: int, weight: int = REGULAR) -> list[str]:
    """`text` in lines of at most `width` pixels, broken between words, and inside a word that is too long alone."""
    lines: list[str] = []
    line = ""
    for next_word in clean(text).split():
        word = next_word
        longer = f"{line} {word}" if line else word
        if width_of(longer, size, weight) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        while len(word) > 1 and width_of(word, size, weight) > width:
            fits = next((n for n in range(len(word) - 1, 1, -1) if width_of(word[:n], size, weight) <= width), 1)
            lines.append(word[:fits])
            word = word[fits:]
        line = word
    return [*lines, line] if line else lines


def shortened(lines: Sequence[str], count: int, width: int, size: int, weight: int = REGULAR) -> list[str]:
    """The first `count` of `lines`; where some were left out the last ends in an ellipsis, within `width` pixels."""
    if len(lines) <= count:
        return list(lines)
    kept = list(lines[: max(1, count)])
    last = kept[-1]
    while last and width_of(last + "…", size, weight) > width:
        last = last[:-1]
    return [*kept[:-1], last.rstrip() + "…"]


def draw(image: Image, text: str, at: tuple[int, int], size: int, colour: Colour, *, weight: int = REGULAR) -> None:
    """Draw one line of `text` onto `image`, `size` pixels high, from `at` on: its left edge and its baseline."""
    cv2.putText(image, text, at, colour, _face(), size, weight)
