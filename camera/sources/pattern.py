"""`Pattern`: a moving test pattern that says it is one, for when there is no camera. Runs on the capture thread.

The card is drawn once, when the source is opened. A frame is a copy of it with the clock, the frame number and the
hand of the dial, which goes round once in four seconds. The plate in the dial and the gratings are there to show
what scaling does to a picture, and give a JPEG about the size of a real camera's.
"""

from __future__ import annotations

import math
import time

import cv2
import numpy as np

from camera import lettering
from camera.errors import SourceLost
from camera.lettering import BOLD, SEMIBOLD, Colour
from camera.sources import Image, Mode, Wanted
from camera.sources.pace import Pace

SMALLEST = (160, 120)
LARGEST = (3840, 2160)
SLOWEST, FASTEST = 0.1, 120.0

TURN = 4.0
"""Seconds in which the hand goes round."""

GROUND: Colour = (43, 33, 28)
FAINT: Colour = (150, 134, 124)
WHITE: Colour = (245, 243, 240)
AMBER: Colour = (70, 176, 250)

BARS: tuple[Colour, ...] = (
    (191, 191, 191),
    (0, 191, 191),
    (191, 191, 0),
    (0, 191, 0),
    (191, 0, 191),
    (0, 0, 191),
    (191, 0, 0),
)
"""The 75% colour bars of SMPTE ECR 1-1978: white, yellow, cyan, green, magenta, red, blue."""


class Pattern:
    """A test card of any size from 160x120 to 3840x2160 at 0.1 to 120 fps; 1280x720 at 30 when nothing is asked.

    What is asked beyond that is brought to the nearest that can be drawn. `notice` is written into the picture and
    handed on in the `Mode`: why there is a test pattern and not a camera.
    """

    retry_every = 1.0

    def __init__(self, wanted: Wanted, notice: str = "") -> None:
        width, height = wanted.width, wanted.height
        if width is None:
            width = 1280 if height is None else round(height * 16 / 9)
        if height is None:
            height = round(width * 9 / 16)
        self._width = min(max(width, SMALLEST[0]), LARGEST[0])
        self._height = min(max(height, SMALLEST[1]), LARGEST[1])
        self._fps = min(max(wanted.fps or 30.0, SLOWEST), FASTEST)
        self._notice = notice
        self._card: _Card | None = None
        self._pace = Pace(self._fps)
        self._number = 0

    def open(self) -> Mode:
        """Draw the card and start the clock; the frame number starts from 1 again."""
        self._card = _Card(self._width, self._height, self._fps, self._notice)
        self._pace = Pace(self._fps)
        self._number = 0
        return Mode("pattern", self._width, self._height, self._fps, "pattern", notice=self._notice)

    def read(self) -> Image | None:
        """The next picture of the pattern, when it is due."""
        if self._card is None:
            raise SourceLost("the test pattern is not open")
        if not self._pace.wait():
            return None
        self._number += 1
        return self._card.frame(self._number, time.time())

    def close(self) -> None:
        """Forget the card."""
        self._card = None


class _Card:
    """The drawn card, and where on it the moving things go."""

    def __init__(self, width: int, height: int, fps: float, notice: str) -> None:
        self._unit = unit = min(width / (16 if width >= height else 9), height / 9)
        self._image: Image = np.empty((height, width, 3), np.uint8)
        cv2.rectangle(self._image, (0, 0), (width, height), GROUND, cv2.FILLED)
        strip = round(1.5 * unit)
        wide = width >= height * 1.15
        margin = round(0.6 * unit)
        room = height - strip
        self._draw_strip(room)
        if wide:
            self._radius = min(0.4 * room, 0.19 * width)
            self._centre = (margin + self._radius + 0.1 * unit, room / 2)
            left = round(self._centre[0] + self._radius + 1.1 * unit)
            top, bottom = 0, room
        else:
            self._radius = min(0.25 * room, 0.42 * width)
            self._centre = (width / 2, max(margin + self._radius, room * 0.3))
            left = margin
            top, bottom = round(self._centre[1] + self._radius), room
        self._draw_dial()
        self._draw_text(
            (left, top, width - left - margin, bottom - top), f"{width} \u00d7 {height}  {fps:g} fps", notice
        )

    def frame(self, number: int, now: float) -> Image:
        """A new picture: the card with frame `number` and the local time of `now` (seconds since the epoch)."""
        image = self._image.copy()
        clock = f"{time.strftime('%H:%M:%S', time.localtime(now))}.{int(now * 1000) % 1000:03d}"
        lettering.draw(image, clock, *self._clock, WHITE, weight=SEMIBOLD)
        lettering.draw(image, f"frame {number}", *self._count, WHITE)
        self._draw_hand(image, now % TURN / TURN * math.tau)
        return image

    def _draw_hand(self, image: Image, angle: float) -> None:
        x, y = self._on_dial(angle, 0.9)
        cv2.line(image, self._on_dial(angle, 0.14), (x, y), WHITE, max(1, round(self._unit * 0.05)), cv2.LINE_AA)
        cv2.circle(image, (x, y), max(2, round(self._unit * 0.17)), AMBER, cv2.FILLED, cv2.LINE_AA)

    def _on_dial(self, angle: float, part: float) -> tuple[int, int]:
        """The point at `part` of the radius, `angle` clockwise from the top."""
        reach = self._radius * part
        return round(self._centre[0] + reach * math.sin(angle)), round(self._centre[1] - reach * math.cos(angle))

    def _draw_strip(self, top: int) -> None:
        """The strip at the bottom: colour bars, and under them a grey scale and gratings from coarse to fine."""
        image = self._image
        height, width = image.shape[:2]
        middle = top + round((height - top) * 0.6)
        edges = np.linspace(0, width, len(BARS) + 1).round().astype(int)
        for colour, left, right in zip(BARS, edges, edges[1:], strict=False):
            image[top:middle, left:right] = colour
        half = width // 2
        image[middle:, :half] = (np.arange(half) * 11 // half * 25)[:, None]
        x = np.arange(width - half)
        period = np.array([32, 24, 16, 12, 8, 6, 4])[x * 7 // len(x)]
        image[middle:, half:] = np.where(x % period < period / 2, 60, 190)[:, None]

    def _draw_dial(self) -> None:
        """A ring with sixty ticks around a zone plate, whose rings get finer towards the edge."""
        image, radius = self._image, self._radius
        plate = round(radius * 0.8)
        left, top = round(self._centre[0]) - plate, round(self._centre[1]) - plate
        y, x = np.ogrid[-plate : plate + 1, -plate : plate + 1]
        square = (x * x + y * y).astype(np.float32)
        # The finest ring is twelve pixels wide at any size, or the plate would cost more bytes than all the rest.
        tone = 0.5 + 0.5 * np.cos(square * (math.pi / (12 * plate)))
        inside = np.clip(plate - np.sqrt(square) + 0.5, 0, 1)
        part = image[top : top + 2 * plate + 1, left : left + 2 * plate + 1]
        ink = np.array(GROUND) + (np.array(FAINT, np.float32) - np.array(GROUND)) * tone[:, :, None]
        part[:] = (part * (1 - inside[:, :, None]) + ink * inside[:, :, None]).astype(np.uint8)
        cv2.circle(image, self._on_dial(0, 0), round(radius), FAINT, max(1, round(self._unit * 0.04)), cv2.LINE_AA)
        for n in range(60):
            angle, long = n / 60 * math.tau, n % 15 == 0
            colour = WHITE if long else FAINT
            thick = max(1, round(self._unit * (0.05 if long else 0.025)))
            inner = 0.84 if long else 0.94
            cv2.line(image, self._on_dial(angle, inner), self._on_dial(angle, 1), colour, thick, cv2.LINE_AA)

    def _draw_text(self, box: tuple[int, int, int, int], format_: str, notice: str) -> None:
        """The words; and where the clock and the frame number go, between them."""
        left, top, width, height = box
        unit = self._unit
        tall = round(min(1.35 * unit, height / 5))
        heading = lettering.largest("TEST PATTERN", width, tall, BOLD)
        clock = lettering.largest("00:00:00.000", width, round(min(1.15 * unit, height / 6)), SEMIBOLD)
        small = max(9, round(0.5 * unit))
        count = lettering.largest("frame 00000000", width, small)
        words = lettering.wrap(notice, width, small)
        spare = height - heading - clock - count - 4 * small
        fitting = max(1, round(spare / (1.25 * small)))
        words = lettering.shortened(words, fitting, width, small)
        total = heading + round(1.25 * small) * len(words) + round(0.7 * small) + clock + round(1.4 * count)
        show_format = total + 1.4 * small < height and lettering.width_of(format_, small) <= width
        total += round(1.4 * small) if show_format else 0
        y = top + (height - total) // 2 + round(heading * 0.8)
        lettering.draw(self._image, "TEST PATTERN", (left, y), heading, WHITE, weight=BOLD)
        y += round(heading * 0.15)
        for line in words:
            y += round(1.25 * small)
            lettering.draw(self._image, line, (left, y), small, AMBER)
        y += round(0.7 * small) + clock
        self._clock = ((left, y), clock)
        y += round(1.4 * count)
        self._count = ((left, y), count)
        if show_format:
            lettering.draw(self._image, format_, (left, y + round(1.4 * small)), small, FAINT)
