"""Canvas: how large a scene is, in pixels and in the units that it is laid out in."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...utils.errors import UsageError

UNIT = 64  # the shorter side in units, whatever the picture's size; the longer has as many more as the ratio says
SMALLEST = 32  # pixels of the shorter side: nothing is recognisable below

Size = int | tuple[int, int]  # of a picture in pixels: the side of a square, or (height, width)


@dataclass(frozen=True)
class Canvas:
    """A picture of `height` x `width` pixels on which scenes are laid out."""

    height: int
    width: int

    @staticmethod
    def of(size: Size) -> Canvas:
        """The canvas of a picture's size; ValueError where a side is shorter than `SMALLEST`."""
        height, width = size if isinstance(size, (tuple, list)) else (size, size)
        if min(height, width) < SMALLEST:
            size_text = f"{height}" if height == width else f"{height} x {width}"
            raise ValueError(
                f"expected a size of at least {SMALLEST} pixels; got {size_text}: nothing is recognisable below"
            )
        return Canvas(int(height), int(width))

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.height, self.width

    @property
    def short(self) -> int:
        """The shorter side in pixels."""
        return min(self.height, self.width)

    @property
    def scale(self) -> float:
        """Pixels a unit."""
        return self.short / UNIT

    @property
    def units(self) -> tuple[float, float]:
        """(width, height) in units, x before y as in places."""
        return self.width / self.scale, self.height / self.scale


SQUARE = Canvas(UNIT, UNIT)


def ratio_size(ratio: str, side: int) -> tuple[int, int]:
    """(height, width) of pictures of a ratio "WIDTH:HEIGHT" whose shorter side has `side` pixels.

    ValueError for what is no ratio of two whole numbers, or one beyond 4:1: objects of their own size would be lost.
    """
    match = re.fullmatch(r"(\d{1,4}):(\d{1,4})", ratio)
    wide, high = map(int, match.groups()) if match else (0, 0)
    if not wide or not high or max(wide, high) > 4 * min(wide, high):
        raise UsageError(f"expected a ratio of width to height as 16:9, from 1:4 to 4:1; got {ratio!r}")
    long = round(side * max(wide, high) / min(wide, high))
    return (side, long) if wide >= high else (long, side)
