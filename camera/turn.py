"""`Turn`: how a camera hangs, as a rotation and a flip of its picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

if TYPE_CHECKING:
    from camera.sources import Image

Rotation = Literal[0, 90, 180, 270]
Flip = Literal["none", "h", "v", "both"]


@dataclass(frozen=True, slots=True)
class Turn:
    """First flipped, then rotated. False when it changes nothing."""

    rotate: Rotation = 0
    """Degrees clockwise."""
    flip: Flip = "none"
    """`h` mirrors left and right, `v` up and down."""

    def __bool__(self) -> bool:
        return self.rotate != 0 or self.flip != "none"

    def applied(self, image: Image) -> Image:
        """`image` turned: uint8, shape (height, width, 3); width and height change places at 90 and 270."""
        if not self:
            return image
        import cv2

        if self.flip != "none":
            image = cast("Image", cv2.flip(image, {"h": 1, "v": 0, "both": -1}[self.flip]))
        if self.rotate:
            codes = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
            image = cast("Image", cv2.rotate(image, codes[self.rotate]))
        return image
