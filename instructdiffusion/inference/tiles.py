"""Tiles: images worked on at their own size, in squares as large as the model sees."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..imaging.resize import model_size, scale_image, scaled_size
from ..imaging.tiling import Blend, Pace, Tile, cut_tiles, overlap_of, pad_for_tiles, padded_size, plan_tiles
from ..utils.batching import in_batches
from ..utils.cache import Cache
from ..utils.interrupts import check_interrupt
from .backend import Backend
from .job import Job
from .memory import Canvas
from .request import Request
from .tile_noise import TileNoise

STEP_NOISE_BYTES = 2**28  # bytes of step noise that the tiles of a run keep for one another


def tiled_sketches(job: Job, backend: Backend, requests: Sequence[Request]) -> Iterator[tuple[int, Any, Any]]:
    """Draw every image at its own size times the settings' upscale, in tiles; tiles of different ones share batches.

    The noise of an image is one field that its tiles are cut from: where tiles overlap they start from the same noise,
    and an image of one tile is answered as it would be without tiles.

    Args:
        job: A job of a tiled task.
        backend: What draws.
        requests: What is asked.

    Yields:
        (number of the request, edited, copy) as `Runner.sketches` does.
    """
    tile, grid = model_size((1, 1), job.resolution, backend.multiple)[0], backend.factor
    overlap = overlap_of(tile)
    upscale = job.settings.upscale
    sizes = [q.image.shape[:2] for q in requests]
    tiles = plan_tiles([padded_size(scaled_size(s, upscale), tile, grid) for s in sizes], tile, overlap, grid)
    # Before anything is enlarged, which alone takes seconds.
    canvas = max((Canvas(s, upscale) for s in sizes), key=Canvas.bytes, default=None)
    at_once = job.fitting(backend, (tile, tile), min(len(tiles), job.options.batch_size), canvas)
    padded = []
    for request in requests:
        check_interrupt()
        padded.append(pad_for_tiles(scale_image(request.image, upscale), tile, grid))
    if job.callbacks.on_tile is not None:
        job.callbacks.on_tile(0, len(tiles))
    last = {t.picture: i for i, t in enumerate(tiles)}
    noise_cache: Cache[Tensor] = Cache(STEP_NOISE_BYTES)
    canvases: dict[int, tuple[Blend, Blend | None, Tensor]] = {}

    def edit(batch: Sequence[Tile]) -> tuple[np.ndarray, np.ndarray | None]:
        for number in {t.picture for t in batch} - set(canvases):
            size = padded[number].shape[:2]
            copy = Blend(size, tile, overlap) if job.compares else None
            field_ = job.noise_of(requests[number], backend.latent_shape(size))
            canvases[number] = Blend(size, tile, overlap), copy, field_
        cut = tile // grid
        start = [canvases[t.picture][2][:, t.y // grid :, t.x // grid :][:, :cut, :cut] for t in batch]
        fields = [(requests[t.picture].seed, canvases[t.picture][2].shape) for t in batch]
        return backend.generate(
            cut_tiles(padded, batch, tile),
            [requests[t.picture].instruction.text for t in batch],
            job.plan,
            torch.stack(start),
            TileNoise(batch, fields, grid, [requests[t.picture].step_noise for t in batch], noise_cache),
            reconstruct=job.compares,
            on_step=job.callbacks.on_step,
            cache_interval=job.options.cache_interval,
            adaptive=job.options.adaptive,
        )

    pace = Pace(tiles, tile, at_once)
    for first, batch, (edited, copies) in in_batches(tiles, at_once, edit):
        check_interrupt()
        for row, t in enumerate(batch):
            blend, copy, _ = canvases[t.picture]
            blend.add(t.y, t.x, edited[row])
            if copy is not None and copies is not None:
                copy.add(t.y, t.x, copies[row])
            if last[t.picture] == first + row:
                h, w = scaled_size(requests[t.picture].image.shape[:2], upscale)
                copied = None if copy is None else copy.result()[:h, :w]
                yield t.picture, blend.result()[:h, :w], copied
                del canvases[t.picture]
        pace(first + len(batch))
        if job.callbacks.on_tile is not None:
            job.callbacks.on_tile(first + len(batch), len(tiles))
