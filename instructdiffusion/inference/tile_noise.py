"""Tile noise: the fresh noise of a picture's tiles, which agree where they overlap."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..imaging.tiling import Tile
from ..sampling.noise import generator, moved
from ..utils.cache import Cache


class TileNoise:
    """Step noise for tiles, cut from one field a picture, so that tiles agree where they overlap.

    fields: (seed, shape) of the picture of each tile; given: that picture's own noise, one [c, h, w] a draw. kept:
    where fields stay for the batches to come, by (seed, shape, draw); None keeps nothing.
    """

    def __init__(
        self,
        tiles: Sequence[Tile],
        fields: Sequence[tuple[int, Sequence[int]]],
        grid: int,
        noise: Sequence[Sequence[Tensor] | None] | None = None,
        cache: Cache[Tensor] | None = None,
    ) -> None:
        self._kept = Cache(0) if cache is None else cache
        self._tiles = tuple(tiles)
        self._fields = tuple((seed, tuple(shape)) for seed, shape in fields)
        self._grid = grid
        self._given = tuple(noise) if noise is not None else (None,) * len(self._tiles)
        for steps, (_, shape) in zip(self._given, self._fields, strict=True):
            check_steps(steps, shape)

    def step(self, draw: int, like: Tensor) -> Tensor:
        """Unit noise number `draw` for every tile, in like's shape, dtype and device."""
        missing = {f for f, noise in zip(self._fields, self._given, strict=True) if noise is None}
        fields = {f: self._field(*f, draw) for f in missing}
        height, width = like.shape[2:]
        cuts = []
        for tile, key, noise in zip(self._tiles, self._fields, self._given, strict=True):
            field_ = fields[key] if noise is None else noise[draw]
            y, x = tile.y // self._grid, tile.x // self._grid
            cuts.append(field_[:, y : y + height, x : x + width])
        return moved(torch.stack(cuts), like)

    def _field(self, seed: int, shape: tuple[int, ...], draw: int) -> Tensor:
        """The noise of a whole picture; every batch of its tiles comes by in every step, so it is kept."""

        def drawn(_: list[int]) -> list[Tensor]:
            return [torch.randn(shape, generator=generator(seed, draw))]

        return self._kept.of([(seed, shape, draw)], drawn)[0]


def check_steps(steps: Sequence[Tensor] | None, shape: Sequence[int]) -> None:
    """ValueError for noise of steps that has another shape."""
    for k, noise in enumerate(steps or ()):
        if tuple(noise.shape) != tuple(shape):
            raise ValueError(f"noise of step {k} must have shape {list(shape)}, got {list(noise.shape)}")
