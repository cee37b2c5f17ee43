"""The structural check against mutated JPEGs: what it lets through, OpenCV must show in the size that it tells."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from camera.errors import JpegError
from camera.jpeg import Checked, Checker, checked, encode
from tests.soak.figures import Figures

OPTIONS = (
    [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    [cv2.IMWRITE_JPEG_RST_INTERVAL, 2],
    [cv2.IMWRITE_JPEG_OPTIMIZE, 1],
    [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444],
    [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422],
)
PROBLEMS = (
    "the two checks differ",
    "accepted and cannot be decoded",
    "accepted with another size",
    "checked again, judged otherwise",
)
LARGEST = 4_000_000
"""Pixels of a picture that is decoded; a header of its own making may tell more."""
KEPT = 20
"""Mutants kept as files, of each kind of disagreement."""


def seeds() -> list[bytes]:
    """Small JPEGs of every kind that cameras write."""
    noise = np.random.default_rng(7)
    kinds: list[bytes] = []
    for width, height in ((64, 48), (33, 17), (160, 120)):
        coarse = noise.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (width, height)).astype(np.uint8)
        kinds.append(encode(image, 75))
        kinds += [cv2.imencode(".jpg", image, options)[1].tobytes() for options in OPTIONS]
        kinds.append(cv2.imencode(".jpg", image[:, :, 0])[1].tobytes())
    kinds += [without_tables(jpeg) for jpeg in kinds if b"\xff\xc2" not in jpeg]
    thumbnail = b"\xff\xe1" + (len(kinds[0]) + 2).to_bytes(2, "big") + kinds[0]
    for jpeg in kinds[7:9]:
        tables = jpeg.index(b"\xff\xdb")
        behind = tables + 2 + int.from_bytes(jpeg[tables + 2 : tables + 4], "big")
        kinds += [jpeg[:at] + thumbnail + jpeg[at:] for at in (2, tables, behind)]
        kinds.append(jpeg + bytes(100))
    return kinds


def without_tables(jpeg: bytes) -> bytes:
    """The same without Huffman tables, as webcams send it."""
    while (at := jpeg.find(b"\xff\xc4")) >= 0:
        jpeg = jpeg[:at] + jpeg[at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big") :]
    return jpeg


def mutated(jpeg: bytes, chance: random.Random, other: bytes) -> bytes:
    """One to three changes such as bad transfers make, and some that only malice does."""
    data = bytearray(jpeg)
    for _ in range(chance.randint(1, 3)):
        # Half of the changes hit the headers, where they matter most.
        reach = min(len(data), 700) if chance.random() < 0.5 else len(data)
        at = chance.randrange(max(1, reach))
        match chance.randrange(9):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                data[at : at + 1] = bytes([data[at] ^ 1 << chance.randrange(8)]) if at < len(data) else b""
            case 2:
                del data[at:]
            case 3:
                del data[at : at + chance.randrange(1, 200)]
            case 4:
                data[at:at] = chance.randbytes(chance.randrange(1, 50))
            case 5:
                data[at:at] = bytes([0xFF, chance.randrange(256)])
            case 6:
                data[at : at + 64] = bytes(min(64, len(data) - at))
            case 7:
                data[at:] = other[chance.randrange(len(other)) :]
            case _:
                data[at:at] = data[at : at + chance.randrange(1, 300)]
    return bytes(data)


@contextmanager
def _decoders_silent() -> Iterator[None]:
    """Libjpeg warns on descriptor 2 of nearly every mutant."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def mutants(folder: Path, seconds: float, seed: int) -> Figures:
    """Run it for `seconds`; mutants that are judged wrongly are left in `folder`."""
    chance = random.Random(seed)
    originals = seeds()
    checkers = [Checker() for _ in originals]
    for checker, original in zip(checkers, originals, strict=True):
        checker.check(original)
    tried = accepted = 0
    wrong = dict.fromkeys(PROBLEMS, 0)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        tried += 1
        index = chance.randrange(len(originals))
        mutant = mutated(originals[index], chance, chance.choice(originals))
        if chance.random() < 0.5:  # as in life: damage follows upon a sound frame, whose tables are remembered
            checkers[index].check(originals[index])
        found = _judged(mutant)
        problems = [] if found == _judged_by(checkers[index], mutant) else ["the two checks differ"]
        if isinstance(found, Checked):
            accepted += 1
            with _decoders_silent():
                problems += _problems(found)
        for problem in problems:
            wrong[problem] += 1
            if wrong[problem] <= KEPT:
                (folder / f"{problem.replace(' ', '-')}-{wrong[problem]}.jpg").write_bytes(mutant)
    figures = Figures(f"Mutated JPEGs, {seconds / 60:.1f} minutes")
    figures.note("mutants", tried)
    figures.note("accepted", accepted)
    for problem, count in wrong.items():
        figures.at_most(problem, count, 0)
    return figures


def _problems(found: Checked) -> list[str]:
    """What is wrong with a picture that was accepted."""
    problems = [] if _judged(found.jpeg) == found else ["checked again, judged otherwise"]
    if found.width * found.height > LARGEST:
        return problems
    image = cv2.imdecode(np.frombuffer(found.jpeg, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        problems.append("accepted and cannot be decoded")
    elif image.shape[:2] != (found.height, found.width):
        problems.append("accepted with another size")
    return problems


def _judged(jpeg: bytes) -> Checked | str:
    try:
        return checked(jpeg)
    except JpegError as error:
        return str(error)


def _judged_by(checker: Checker, jpeg: bytes) -> Checked | str:
    try:
        return Checked(checker.check(jpeg), checker.width, checker.height)
    except JpegError as error:
        return str(error)
