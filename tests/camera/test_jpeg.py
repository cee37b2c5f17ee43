"""The structural check: what is whole passes unchanged, what is damaged never does."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from camera import limits
from camera.errors import JpegError
from camera.jpeg import STANDARD_HUFFMAN_TABLES, Checked, Checker, checked, decode, encode
from camera.segments import EOI, SOI

if TYPE_CHECKING:
    from collections.abc import Callable


def picture(seed: int = 0, width: int = 320, height: int = 240) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A picture with some structure, so that its JPEG has some length."""
    rough = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return np.asarray(cv2.resize(rough, (width, height)), np.uint8)


def encoded(*parameters: int, seed: int = 0) -> bytes:
    """A JPEG of `picture(seed)`, encoded with OpenCV's `parameters`."""
    return cv2.imencode(".jpg", picture(seed), [cv2.IMWRITE_JPEG_QUALITY, 70, *parameters])[1].tobytes()


KINDS = {
    "baseline": encoded(),
    "progressive": encoded(cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "optimised": encoded(cv2.IMWRITE_JPEG_OPTIMIZE, 1),
    "restart markers": encoded(cv2.IMWRITE_JPEG_RST_INTERVAL, 3),
    "4:4:4": encoded(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    "grey": cv2.imencode(".jpg", picture()[:, :, 0])[1].tobytes(),
}
WHOLE = pytest.mark.parametrize("jpeg", KINDS.values(), ids=KINDS)


def without_tables(jpeg: bytes) -> bytes:
    """`jpeg` as most webcams give it: without its Huffman tables."""
    start = jpeg.index(b"\xff\xc4")
    return jpeg[:start] + jpeg[jpeg.index(b"\xff\xda") :]


def with_segment(jpeg: bytes, marker: int, body: bytes) -> bytes:
    """`jpeg` with one more segment right behind its SOI."""
    return SOI + bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body + jpeg[2:]


@WHOLE
def test_a_whole_jpeg_comes_back_as_the_same_object(jpeg: bytes) -> None:
    """Nothing is copied, let alone changed, when nothing is wrong."""
    result = checked(jpeg)
    assert result.jpeg is jpeg
    assert (result.width, result.height) == (320, 240)


@WHOLE
def test_a_jpeg_cut_anywhere_is_refused(jpeg: bytes) -> None:
    """A transfer that ended early is never shown, wherever it was cut."""
    for end in range(0, len(jpeg) - 1, 7):
        with pytest.raises(JpegError):
            checked(jpeg[:end])


@pytest.mark.parametrize(
    ("damaged", "complaint"),
    [
        (b"", "empty"),
        (b"\0", "empty"),
        (b"not a picture at all", "no start of image"),
        (KINDS["baseline"][2:], "no start of image"),
        (SOI + EOI + b"\0\0", "no picture data"),
        (KINDS["baseline"][:-2], "no end of image"),
        (KINDS["baseline"][: len(KINDS["baseline"]) // 2] + EOI, "too little data"),
        (KINDS["baseline"].replace(b"\xff\xdb", b"\xff\x01", 1), "where a segment must start"),
        (KINDS["baseline"].replace(b"\xff\xdb\x00", b"\xff\xdb\xff", 1), "runs over the end"),
        (KINDS["baseline"].replace(b"\xff\xc0", b"\xff\xfe", 1), "scan before the frame header"),
        (KINDS["baseline"].replace(b"\xff\xc0", b"\xff\xc9", 1), "coding process"),
        (KINDS["restart markers"].replace(b"\xff\xd3", b"\xff\xd5", 1), "out of order"),
        (KINDS["baseline"][:-40] + b"\xff\x40" + KINDS["baseline"][-38:], "inside the picture data"),
    ],
)
def test_damage_is_named(damaged: bytes, complaint: str) -> None:
    """What is wrong with a frame is said, since it tells a bad cable from a bad camera."""
    if complaint == "too little data":  # a flat half of a picture may be short: take one that certainly is
        damaged = KINDS["baseline"][: KINDS["baseline"].index(b"\xff\xda") + 20] + EOI
    with pytest.raises(JpegError, match=complaint):
        checked(damaged)


def sized(jpeg: bytes, width: int, height: int) -> bytes:
    """`jpeg` with another size in its frame header."""
    at = max(jpeg.find(b"\xff\xc0"), jpeg.find(b"\xff\xc2")) + 5
    return jpeg[:at] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + jpeg[at + 4 :]


@WHOLE
def test_a_picture_of_too_many_pixels_is_refused(jpeg: bytes) -> None:
    """A few hundred bytes may claim gigabytes of picture, which each browser would try to show."""
    with pytest.raises(JpegError, match="65500 x 65500 pixels are more than 50 megapixels"):
        checked(sized(jpeg, 65_500, 65_500))
    assert limits.excess(8000, 6000) == ""
    assert limits.excess(10_000, 5001)


def test_each_scan_has_data_for_its_size() -> None:
    """Also where the scans are many: the first of a progression has a bit for each block at least."""
    with pytest.raises(JpegError, match="too little data"):
        checked(sized(KINDS["progressive"], 7000, 7000))
    progressive = KINDS["progressive"]
    scans = [at.start() for at in re.finditer(b"\xff\xda", progressive)]
    with pytest.raises(JpegError, match="without a beginning"):
        checked(progressive[: scans[0]] + progressive[progressive.index(b"\xff\xc4", scans[0]) :])


def test_scans_of_one_component_each() -> None:
    """A plain picture whose components come one after another passes, and not when one of them is left out."""
    coded = (b"\xff\xc4\x00\x14\x00\x01" + bytes(16), b"\xff\xc4\x00\x14\x10\x01" + bytes(16))
    head = SOI + b"\xff\xdb\x00\x43\x00" + b"\x01" * 64
    head += b"\xff\xc0\x00\x11\x08\x00\x40\x00\x40\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00" + b"".join(coded)
    scans = [b"\xff\xda\x00\x08\x01%c\x00\x00\x3f\x00" % name + bytes(64 * 2 // 8) for name in (1, 2, 3)]
    whole = head + b"".join(scans) + EOI
    assert checked(whole).jpeg is whole
    assert decode(whole).shape == (64, 64, 3)
    with pytest.raises(JpegError, match="component without data"):
        checked(head + b"".join(scans[:2]) + EOI)
    with pytest.raises(JpegError, match="too little data"):
        checked(head + scans[0][:-1] + b"".join(scans[1:]) + EOI)


def test_missing_huffman_tables_are_added() -> None:
    """A frame without tables, as most webcams give it, decodes to the same picture afterwards."""
    whole = KINDS["baseline"]
    bare = without_tables(whole)
    repaired = checked(bare).jpeg
    assert STANDARD_HUFFMAN_TABLES in repaired
    assert np.array_equal(decode(repaired), decode(whole))


@pytest.mark.parametrize("padding", [b"\0", b"\0" * 5000, b"\xff\xff\xff"])
def test_padding_after_the_picture_is_cut_off(padding: bytes) -> None:
    """Cameras that fill their buffer up to a fixed size do not waste the network."""
    assert checked(KINDS["baseline"] + padding).jpeg == KINDS["baseline"]


def test_a_thumbnail_is_left_out() -> None:
    """A JPEG inside an APP segment misleads clients that search for markers, so it does not reach them."""
    whole = KINDS["baseline"]
    assert checked(with_segment(whole, 0xE1, b"Exif\0\0" + encoded(seed=2))).jpeg == whole
    assert checked(with_segment(whole, 0xFE, b"a comment")).jpeg == with_segment(whole, 0xFE, b"a comment")


def test_a_thumbnail_among_the_tables_is_left_out_of_each_frame() -> None:
    """Also where what is remembered of a camera's frames would contain it."""
    whole = KINDS["baseline"]
    at = whole.index(b"\xff\xc0")
    thumbnail = encoded(seed=2)[:2000]
    hidden = whole[:at] + b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail + whole[at:]
    checker = Checker()
    assert [checker.check(hidden) for _ in range(3)] == [whole] * 3


@pytest.mark.parametrize(
    ("mark", "change", "complaint"),
    [
        (b"\xff\xc4", lambda body: body[:3] + b"\xff" + body[4:], "too many codes"),
        (b"\xff\xc4", lambda body: body[:2] + b"\x30" + body[3:], "does not add up"),
        (b"\xff\xdb", lambda body: body[:2] + b"\x09" + body[3:], "does not add up"),
        (b"\xff\xc0", lambda body: body[:2] + b"\x0c" + body[3:], "bits per sample"),
        (b"\xff\xda", lambda body: body[:3] + b"\x77" + body[4:], "component that is not there"),
        (b"\xff\xda", lambda body: body[:4] + b"\x33" + body[5:], "table that is not there"),
    ],
)
def test_tables_that_no_decoder_can_begin_with_are_refused(
    mark: bytes, change: Callable[[bytes], bytes], complaint: str
) -> None:
    """A frame whose segments are there and long enough may still be nonsense."""
    whole = KINDS["baseline"]
    at = whole.index(mark) + 2
    with pytest.raises(JpegError, match=complaint):
        checked(whole[:at] + change(whole[at:]))


def test_bytes_that_only_fill_cost_nothing_to_speak_of() -> None:
    """A hostile camera cannot keep the capture thread busy with megabytes of fill bytes and restart markers."""
    for hostile in (
        SOI + b"\xff" * 30_000_000,
        KINDS["restart markers"][:-2] + b"\xff" * 30_000_000,
        KINDS["restart markers"][:-2] + bytes(range(0xD0, 0xD8)).join([b"\xff"] * 4_000_000),
    ):
        with pytest.raises(JpegError):
            checked(hostile)


def variants() -> list[bytes]:
    """Frames as one camera might give them in turn: good ones, bare ones, damaged ones, changing comments."""
    chance = random.Random(7)
    frames: list[bytes] = []
    for number in range(400):
        frame = encoded(seed=number % 5) if number % 7 else KINDS[chance.choice(list(KINDS))]
        if chance.random() < 0.4 and b"\xff\xc4" in frame:
            frame = without_tables(frame)
        if chance.random() < 0.5:
            frame = with_segment(frame, chance.choice([0xE0, 0xE4, 0xFE]), chance.randbytes(chance.randrange(60)))
        if chance.random() < 0.3:
            frame += b"\0" * chance.randrange(300)
        if chance.random() < 0.4:
            at = chance.randrange(len(frame))
            frame = frame[:at] + chance.randbytes(chance.randrange(1, 9)) + frame[at + chance.randrange(9) :]
        frames.append(frame)
    return frames


def test_a_checker_says_of_each_frame_what_the_full_walk_says() -> None:
    """Remembering a camera's tables makes the check quicker, and never another."""

    def quickly(frame: bytes) -> Checked | None:
        try:
            return Checked(checker.check(frame), checker.width, checker.height)
        except JpegError:
            return None

    def fully(frame: bytes) -> Checked | None:
        try:
            return checked(frame)
        except JpegError:
            return None

    checker = Checker()
    outcomes = [(quickly(frame), fully(frame)) for frame in variants()]
    assert [quick for quick, _ in outcomes] == [full for _, full in outcomes]
    assert None in [full for _, full in outcomes]
    assert sum(full is not None for _, full in outcomes) > 100


def test_random_bytes_raise_nothing_but_jpeg_error() -> None:
    """Whatever a camera sends, the answer is a frame or a `JpegError`."""
    chance = random.Random(1)
    whole = KINDS["restart markers"]
    checker = Checker()
    for _ in range(3000):
        damaged = bytearray(whole[: chance.randrange(2, len(whole))] if chance.random() < 0.3 else whole)
        for _ in range(chance.randrange(1, 12)):
            damaged[chance.randrange(min(len(damaged), chance.choice([len(damaged), 700])))] = chance.randrange(256)
        try:
            checker.check(bytes(damaged))
        except JpegError:
            continue


def test_encode_and_decode_keep_shape() -> None:
    """A picture has the same height, width and three channels after both."""
    image = picture()
    assert decode(encode(image, 90)).shape == image.shape == (240, 320, 3)
    with pytest.raises(JpegError):
        decode(b"nothing")
