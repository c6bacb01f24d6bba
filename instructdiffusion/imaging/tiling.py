"""Tiles: a large picture as overlapping squares, and squares blended back without seams."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import NamedTuple

import numpy as np

from .strips import in_strips, strips

MANY = 500  # tiles of one picture; small models take seconds for that many, large ones many minutes


class Tile(NamedTuple):
    """A square of picture number `picture`, its upper left corner at (y, x)."""

    picture: int
    y: int
    x: int


def tile_starts(length: int, tile: int, overlap: int, grid: int) -> list[int]:
    """Where tiles start along an axis: from 0 to length - tile, evenly, on multiples of `grid`.

    Neighbours share at least overlap - grid pixels. length and tile are multiples of grid, length >= tile.
    """
    if length < tile or length % grid or tile % grid:
        raise ValueError(
            f"expected length >= tile, both multiples of {grid}, got {length} and {tile}: pad first"
        )
    if not 0 <= overlap < tile - grid:
        raise ValueError(f"expected an overlap from 0 to less than {tile - grid} pixels, got {overlap}")
    count = 1 + -(-(length - tile) // (tile - overlap))
    if count == 1:
        return [0]
    cells = (length - tile) // grid
    return [round(i * cells / (count - 1)) * grid for i in range(count)]


def padded_size(size: tuple[int, int], tile: int, grid: int) -> tuple[int, int]:
    """(height, width) that `pad_for_tiles` gives a picture of `size` (height, width)."""
    height, width = (max(tile, -(-side // grid) * grid) for side in size)
    return height, width


def pad_for_tiles(picture: np.ndarray, tile: int, grid: int) -> np.ndarray:
    """The picture with its lower and right side mirrored on, at least `tile` long and a multiple of grid."""
    size = picture.shape[:2]
    sides = [padded - side for padded, side in zip(padded_size(size, tile, grid), size, strict=True)]
    if not any(sides):
        return picture
    return np.pad(picture, ((0, sides[0]), (0, sides[1]), (0, 0)), mode="reflect")


def plan_tiles(sizes: list[tuple[int, int]], tile: int, overlap: int, grid: int) -> list[Tile]:
    """The tiles of pictures of those (padded) sizes, picture by picture, row by row."""
    return [
        Tile(number, y, x)
        for number, (height, width) in enumerate(sizes)
        for y in tile_starts(height, tile, overlap, grid)
        for x in tile_starts(width, tile, overlap, grid)
    ]


def overlap_of(tile: int) -> int:
    """Pixels that neighbouring tiles of `tile` pixels share."""
    return tile // 4


def cut_tiles(pictures: Sequence[np.ndarray], tiles: Sequence[Tile], tile: int) -> np.ndarray:
    """What lies under tiles of `tile` pixels, uint8 [n, tile, tile, 3], of padded pictures uint8 [h, w, 3]."""
    return np.stack([pictures[t.picture][t.y : t.y + tile, t.x : t.x + tile] for t in tiles])


class Pace:
    """Says how long many tiles take: a UserWarning, once, where one picture is cut into more than `MANY`.

    tiles: those of a run, of `tile` pixels, which go through `batch` at once. clock: gives seconds. What the first
    batch took counts by itself only where it took long: else much of it is getting started, and the second counts.
    """

    LONG = 5.0  # seconds, beside which getting started does not count

    def __init__(
        self, tiles: Sequence[Tile], tile: int, batch: int, clock: Callable[[], float] = perf_counter
    ) -> None:
        self._most = max(Counter(t.picture for t in tiles).values(), default=0)
        self._total, self._tile, self._clock = len(tiles), tile, clock
        self._silent = self._most <= MANY
        self._last, self._done = clock(), 0
        if not self._silent and len(tiles) <= 2 * batch:  # by the time it could be told it would be over
            self._warn(f"{self._most:,} tiles of {tile}x{tile} pixels are needed for one picture")

    def __call__(self, done: int) -> None:
        """So many tiles of all are done."""
        if self._silent:
            return
        now = self._clock()
        seconds, number, first = now - self._last, done - self._done, self._done == 0
        self._last, self._done = now, done
        if number < 1 or (first and seconds < self.LONG):
            return
        left = seconds / number * (self._total - done)
        self._warn(f"{duration(left)} more for {self._total:,} tiles of {self._tile}x{self._tile} pixels")

    def _warn(self, what: str) -> None:
        self._silent = True
        warnings.warn(
            f"{what}, which takes long: pass a smaller picture, or a part of it, where that will do", stacklevel=3
        )


def duration(seconds: float) -> str:
    """A time in words, as one says it beforehand: "about 40 s", "about 3 minutes"."""
    if seconds < 90:
        return f"about {max(1, round(seconds, -1 if seconds > 20 else None)):.0f} s"
    minutes = seconds / 60
    return f"about {minutes:.0f} minutes" if minutes < 90 else f"about {minutes / 60:.0f} hours"


def window(tile: int, overlap: int) -> np.ndarray:
    """Blending weights float32 [tile, tile]: 1 inside, a raised cosine over `overlap` pixels at the sides.

    w(d) = sin^2(pi d / (2 overlap)) at a distance of d pixels from the side; the weights of two tiles that
    overlap by just that much add up to 1.
    """
    distance = np.minimum(np.arange(tile), np.arange(tile)[::-1]) + 0.5
    ramp = np.sin(np.pi / 2 * np.minimum(distance / max(overlap, 0.5), 1)) ** 2
    return np.outer(ramp, ramp).astype(np.float32)


class Blend:
    """The weighted mean of the tiles laid on a canvas of (height, width)."""

    def __init__(self, size: tuple[int, int], tile: int, overlap: int, channels: int = 3) -> None:
        self._weights = window(tile, overlap)
        self._sum = np.zeros((*size, channels), np.float32)
        self._total = np.zeros(size, np.float32)

    def add(self, y: int, x: int, values: np.ndarray) -> None:
        """Lay a tile float [tile, tile, c] with its corner at (y, x)."""
        tile = len(self._weights)
        self._sum[y : y + tile, x : x + tile] += values * self._weights[..., None]
        self._total[y : y + tile, x : x + tile] += self._weights

    def result(self) -> np.ndarray:
        """float32 [height, width, c]; ValueError where no tile has been laid."""
        if not all((self._total[rows] > 0).all() for rows in strips(self._total.shape)):
            raise ValueError("part of the canvas has no tile on it: lay all the planned tiles first")
        return in_strips(lambda rows: self._sum[rows] / self._total[rows][..., None], self._total.shape)
