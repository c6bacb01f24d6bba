"""Named colours: the palettes for the words of an instruction, for drawing, and for reading back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

_SAMPLE = 1024  # pixels looked at when a colour is chosen; more changes nothing that matters


@dataclass(frozen=True)
class Color:
    """A colour with the word that names it; `rgb` is 0..255."""

    name: str
    rgb: tuple[int, int, int]

    def __post_init__(self) -> None:
        if not self.name or self.name != self.name.lower().strip():
            raise ValueError(f"a colour name is a lower-case word, got {self.name!r}")
        if len(self.rgb) != 3 or any(int(v) != v or not 0 <= v <= 255 for v in self.rgb):
            raise ValueError(f"rgb is three whole numbers from 0 to 255, got {self.rgb!r}")

    @cached_property
    def array(self) -> np.ndarray:
        """The colour as float32 [3] in 0..1 (read-only)."""
        values = np.asarray(self.rgb, np.float32) / np.float32(255)
        values.flags.writeable = False
        return values


# The paper's colours. Masks are half transparent and use the darker green; marks are opaque.
MASK_COLORS: tuple[Color, ...] = (
    Color("red", (255, 0, 0)),
    Color("purple", (128, 0, 128)),
    Color("blue", (0, 0, 255)),
    Color("green", (0, 128, 0)),
    Color("yellow", (255, 255, 0)),
    Color("white", (255, 255, 255)),
    Color("black", (0, 0, 0)),
    Color("gray", (128, 128, 128)),
)
MARK_COLORS: tuple[Color, ...] = (
    Color("red", (255, 0, 0)),
    Color("green", (0, 255, 0)),
    Color("blue", (0, 0, 255)),
    Color("yellow", (255, 255, 0)),
    Color("cyan", (0, 255, 255)),
    Color("magenta", (255, 0, 255)),
    Color("gray", (128, 128, 128)),
    Color("white", (255, 255, 255)),
    Color("black", (0, 0, 0)),
)


def color_named(name: str, among: Sequence[Color] = MASK_COLORS) -> Color:
    """The colour of that name; ValueError lists the names there are."""
    if not isinstance(name, str):
        raise TypeError(f"a colour name is a string, got {type(name).__name__}")
    key = name.strip().lower()
    key = "gray" if key == "grey" else key
    for color in among:
        if color.name == key:
            return color
    raise ValueError(f"unknown colour {name!r}: choose one of {', '.join(c.name for c in among)}")


def far_colors(
    picture: np.ndarray, region: np.ndarray | None = None, among: Sequence[Color] = MASK_COLORS, n: int = 1
) -> list[Color]:
    """The n colours farthest from what is in the picture, the farthest first; deterministic.

    The distance of a colour is the mean of the 2 % and 20 % quantiles of its RGB distances to the pixels (of
    `region`, bool [h, w], where given and not empty): an answer is read from how far pixels move towards
    the colour, so the pixels that already resemble it decide, those of a small object too. Colours after
    the first must also be far from those chosen before. picture: [h, w, 3], uint8 or float in 0..1.
    """
    if not 1 <= n <= len(among):
        raise ValueError(f"expected 1 to {len(among)} colours to choose, got n={n}")
    table = np.stack([c.array for c in among])
    reach = color_distances(picture, region, among)
    chosen: list[int] = []
    for _ in range(n):
        reach_now = reach.copy()
        for index in chosen:
            reach_now = np.minimum(reach_now, np.linalg.norm(table - table[index], axis=1))
        reach_now[chosen] = -1
        chosen.append(int(np.argmax(reach_now)))
    return [among[i] for i in chosen]


def color_distances(
    picture: np.ndarray, region: np.ndarray | None = None, among: Sequence[Color] = MASK_COLORS
) -> np.ndarray:
    """How far each colour is from what is in the picture, as `far_colors` has it: float [n], 0 to about 1.73."""
    if region is not None and region.shape != picture.shape[:2]:
        raise ValueError(f"region {region.shape} does not fit the picture {picture.shape[:2]}")
    pixels = picture.reshape(-1, 3) if region is None or not region.any() else picture[region]
    pixels = pixels[:: max(1, len(pixels) // _SAMPLE)]
    scale = 1 / 255 if pixels.dtype == np.uint8 else 1.0
    table = np.stack([c.array for c in among])
    values = pixels.astype(np.float32) * np.float32(scale)
    # |p - c|^2 = |p|^2 - 2 p.c + |c|^2: one matrix product instead of a [pixels, colours, 3] difference.
    squares = (values**2).sum(1)[:, None] - 2 * values @ table.T + (table**2).sum(1)
    ranks = [len(values) // 50, len(values) // 5]
    distances: np.ndarray = np.sqrt(np.maximum(np.partition(squares, ranks, axis=0)[ranks], 0)).mean(0)
    return distances
