"""The pictures of the fake camera: different JPEGs of one size in bytes, made anew for each run.

Runs as a program of its own, `python frames.py FOLDER WIDTH HEIGHT BYTES COUNT`. That keeps OpenCV out of
the bench's process, whose pages would otherwise be shared with the measured server's and make
its proportional set size look smaller.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def picture(seed: int, width: int, height: int) -> NDArray[np.uint8]:
    """A scene with soft and fine structure, as an array of shape (height, width, 3), BGR.

    All are equally bright, as those of a camera whose exposure has settled: a server that waits for that must
    not go on waiting, and working, within the measured window.
    """
    chance = np.random.default_rng(seed)
    soft = cv2.resize(chance.uniform(0, 255, (6, 8, 3)), (width, height), interpolation=cv2.INTER_CUBIC)
    grain = chance.normal(0, 20, (height // 8, width // 8, 3))
    fine = cv2.resize(grain, (width, height), interpolation=cv2.INTER_CUBIC)
    scene: NDArray[np.uint8] = np.clip(soft + fine + (128 - (soft + fine).mean()), 0, 255).astype(np.uint8)
    return scene


def encode(image: NDArray[np.uint8], wanted_bytes: int) -> bytes:
    """`image` as a 4:2:2 JPEG of `wanted_bytes`: the nearest quality below, then filled up with a comment."""
    low, high = 5, 95
    best = b""
    while low <= high:
        quality = (low + high) // 2
        jpeg = encode_at(image, quality)
        if len(jpeg) <= wanted_bytes - 4:
            best, low = jpeg, quality + 1
        else:
            high = quality - 1
    missing = wanted_bytes - len(best) - 4
    if not best or missing > wanted_bytes * 0.2 or missing > 65533:
        message = f"cannot make a picture of {wanted_bytes} bytes, the nearest has {len(best)}"
        raise ValueError(message)
    comment = b"\xff\xfe" + (missing + 2).to_bytes(2, "big") + bytes(missing)
    return best[:2] + comment + best[2:]


def encode_at(image: NDArray[np.uint8], quality: int) -> bytes:
    """`image` as a JPEG with chroma subsampled 4:2:2, as webcams do."""
    sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422]
    encoded, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality, *sampling])
    if not encoded:
        message = "OpenCV cannot encode JPEG"
        raise ValueError(message)
    return jpeg.tobytes()


def main(folder: Path, width: int, height: int, wanted_bytes: int, count: int) -> None:
    """Write `count` pictures into `folder`."""
    for seed in range(count):
        jpeg = encode(picture(seed, width, height), wanted_bytes)
        (folder / f"{seed:02}.jpg").write_bytes(jpeg)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:6]))
