"""Autoencoding in parts: batches, and pictures in overlapping tiles, where memory is too small for them whole."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor

from ..imaging.tiling import overlap_of, tile_starts
from ..utils.interrupts import check_interrupt
from .memory import SPARE, UNCHECKED, free_memory

SIDES = (1024, 512, 256, 128, 64)  # pixels of a tile: the largest that fits is taken


def in_parts(work: Callable[[Tensor], Tensor], x: Tensor, values: float, cell: int, scale: float) -> Tensor:
    """work(x) [n, c, scale h, scale w] of x [n, b, h, w], in smaller batches or in tiles where it does not fit.

    values: what `work` takes at once, a value of x's first channel. cell: pixels that such a value stands for along
    each side. What fits goes through as it is. work must give the same for a picture whatever else is in its batch.
    """
    check_interrupt()
    one = x.element_size() * values
    pixels = x[0, 0].numel()
    if one * pixels * len(x) <= UNCHECKED:
        return work(x)
    free = free_memory(x.device)
    room = len(x) if free is None else int(SPARE * free / (one * pixels))
    if room >= len(x):
        return work(x)
    if room:
        parts = []
        for part in x.split(room):
            check_interrupt()
            parts.append(work(part))
        return torch.cat(parts)
    sides = [side // cell for side in SIDES if one * (side // cell) ** 2 <= SPARE * (free or 0) / 2]
    side = (sides or [SIDES[-1] // cell])[0]
    return torch.cat([_tiled(work, picture[None], side, scale) for picture in x])


def _tiled(work: Callable[[Tensor], Tensor], x: Tensor, side: int, scale: float) -> Tensor:
    """work(x) of one picture [1, b, h, w] as the weighted mean of tiles of at most `side` values."""
    height, width = x.shape[2:]
    grid = max(1, round(1 / scale))
    tiles = [min(side, length) for length in (height, width)]
    starts = [
        tile_starts(length, tile, min(overlap_of(tile), tile - grid - 1), grid)
        for length, tile in zip((height, width), tiles, strict=True)
    ]
    rows, columns = (round(tile * scale) for tile in tiles)
    down, across = (_ramp(length) for length in (rows, columns))
    weights = (down[:, None] * across).to(x.device)
    total = shares = torch.empty(0)
    for top, left in product(*starts):
        check_interrupt()
        made = work(x[:, :, top : top + tiles[0], left : left + tiles[1]]).float()
        if not total.numel():
            total = made.new_zeros(1, made.shape[1], round(height * scale), round(width * scale))
            shares = torch.zeros_like(total[:, :1])
        y, x0 = round(top * scale), round(left * scale)
        total[:, :, y : y + rows, x0 : x0 + columns] += made * weights
        shares[:, :, y : y + rows, x0 : x0 + columns] += weights
    return (total / shares).to(x.dtype)


def _ramp(length: int) -> Tensor:
    """Weights along a side of a tile: 1 in the middle, towards 0 at the ends."""
    ends = torch.arange(length).minimum(torch.arange(length).flip(0)) + 0.5
    return torch.sin(torch.pi / 2 * (ends / max(1, overlap_of(length))).clamp(max=1)) ** 2
