"""An instruction drawn on pictures by ComfyUI's networks, with its bar and its previews."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import comfy.utils
import latent_preview
import numpy as np
import torch
from torch import Tensor

from ..instructdiffusion.imaging.resize import large_resolution, model_size, scaled_size
from ..instructdiffusion.imaging.tiling import overlap_of, padded_size, plan_tiles
from ..instructdiffusion.inference.job import Job, is_tiled
from ..instructdiffusion.inference.options import Callbacks, SamplingOptions
from ..instructdiffusion.inference.request import Request
from ..instructdiffusion.inference.runner import Runner
from ..instructdiffusion.sampling import Schedule
from ..instructdiffusion.tasks import Instruction, get_task
from ..instructdiffusion.utils.step_count import StepCount
from .comfy_backend import ComfyBackend, model_settings
from .convert import alphas
from .preview import contact_sheet

PREVIEW = 512  # pixels; ComfyUI's own previews are as large


@dataclass(frozen=True)
class Drawn:
    """What was drawn: images uint8 [h, w, 3] of the pictures' sizes, and the latents [n, c, h/f, w/f] behind them."""

    images: list[np.ndarray]
    latents: Tensor


def draw(
    backend: ComfyBackend,
    instruction: Instruction,
    pictures: Sequence[np.ndarray],
    seed: int,
    options: SamplingOptions,
    resolution: int = 0,
    resize_mode: str | None = None,
) -> Drawn:
    """Follow an instruction on pictures uint8 [h, w, 3], each with the noise of the seed.

    Args:
        backend: ComfyUI's networks.
        instruction: What is asked.
        pictures: What it is asked of.
        seed: Of the noise, the same for every picture.
        options: How; its batch size is chosen here.
        resolution: Side in pixels at which the model sees a picture; 0 takes the model's own.
        resize_mode: How a picture comes to it; None takes the model's own.

    Returns:
        What was drawn.

    Raises:
        ValueError: The resolution is none of the model's.
    """
    own, trained_at, own_mode = model_settings(backend.model)
    mode, side = resize_mode or own_mode, resolution or trained_at
    try:
        model_size((1, 1), side, backend.multiple, mode)
    except ValueError as error:
        raise ValueError(f"`resolution`: {error}") from None
    task = get_task(instruction.task)
    size = batch_size(backend, side)
    options = replace(options, batch_size=size)
    settings = options.settings(own[instruction.task])
    plan = settings.plan(Schedule(alphas(backend.model)))
    if remark := large_resolution(side, trained_at):
        logging.warning("InstructSampler: %s", remark)
    tiled = is_tiled(instruction.task, mode)
    sizes = [scaled_size(p.shape[:2], settings.upscale) if tiled else p.shape[:2] for p in pictures]
    subjects = len(task.questions(instruction))  # each is asked on its own
    progress = Progress(backend, len(plan), subjects * batches(tiled, sizes, side, size, backend.factor))
    job = Job(task, settings, plan, side, mode, options, Callbacks(progress), trained_at=trained_at)
    edits = dict(Runner(job, backend).edits([Request(instruction, picture, seed) for picture in pictures]))
    images = [edits[i] for i in range(len(pictures))]
    progress.end(images)
    # Further looks at other scales have latents of other sizes: those of the first stand for the pictures.
    latents = backend.latents if tiled else first_latents(backend.latents, len(pictures))
    return Drawn(images, torch.cat(latents))


def batch_size(backend: ComfyBackend, side: int) -> int:
    """Squares that go through at once: 16 of 64 pixels, fewer of larger ones, at least 1."""
    return (
        max(1, 16 * 64 * 64 // (side * side)) if backend.factor < 8 else max(1, 4 * 512 * 512 // (side * side))
    )


def first_latents(latents: Sequence[torch.Tensor], count: int) -> list[torch.Tensor]:
    """The first batches of latents, until there are `count` rows."""
    chosen: list[torch.Tensor] = []
    for batch in latents:
        if sum(map(len, chosen)) < count:
            chosen.append(batch)
    return chosen


def batches(tiled: bool, sizes: list[tuple[int, int]], side: int, size: int, grid: int) -> int:
    """How many batches of `size` a job has on pictures of `sizes` (height, width) as they are worked on; grid: pixels
    a latent cell, which tiles lie on."""
    squares = len(sizes)
    if tiled:
        padded = [padded_size(pixels, side, grid) for pixels in sizes]
        squares = len(plan_tiles(padded, side, overlap_of(side), grid))
    return math.ceil(squares / size)


class Progress:
    """ComfyUI's bar, moved step by step, with previews where the user has them switched on."""

    def __init__(self, backend: ComfyBackend, rows: int, batches: int) -> None:
        """rows: of the plan; batches: that are known of."""
        patcher, self.count = backend.model, StepCount(rows, batches)
        self.bar = comfy.utils.ProgressBar(self.count.total)
        self.previewer = latent_preview.get_previewer(patcher.load_device, patcher.model.latent_format)

    def __call__(self, i: int, x: Any, denoised: Any) -> None:
        """A step is done; i: its number within its batch."""
        self.count.step(i)
        preview = self.previewer and self.previewer.decode_latent_to_preview_image("JPEG", denoised)
        self.bar.update_absolute(self.count.done, self.count.total, preview or None)

    def end(self, pictures: Sequence[np.ndarray]) -> None:
        """The answers are the last preview: the page goes on showing a node's previews where it has had any, rather
        than the pictures that the node gave."""
        if self.previewer:
            done = self.count.done
            self.bar.update_absolute(done, done, ("JPEG", contact_sheet(pictures, PREVIEW), PREVIEW))
