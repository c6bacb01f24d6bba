"""Job: how requests of one task are answered, and images drawn whole, in batches of one size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..compositing.composition import Composition
from ..imaging.resize import content_size, model_size, pad_edge, resize_picture, scaled_size
from ..knowledge import Knowledge
from ..sampling import GivenNoise, Plan, SeededNoise, StepNoise, initial_noise
from ..settings import Settings
from ..tasks import Task, get_task
from ..utils.batching import in_batches
from ..utils.interrupts import check_interrupt
from .backend import Backend
from .memory import Canvas, fitting_batch
from .options import Callbacks, SamplingOptions
from .request import Request
from .tile_noise import check_steps

Drawing = tuple[np.ndarray, np.ndarray | None]  # what the model drew, and the autoencoder's copy of the source


@dataclass(frozen=True)
class Job:
    """How requests of one task are to be answered.

    resolution, resize_mode: at which the model sees images; those of `options` say what the call left open. scale: of a
    look at the image, times the resolution. untouched: what latents must differ by to be decoded
    (`ComponentsBackend.generate`). knowledge: what answers say of the model. trained_at: the model's own resolution,
    which refusals name.
    """

    task: Task
    settings: Settings
    plan: Plan
    resolution: int
    resize_mode: str = "shortest_edge"
    options: SamplingOptions = field(default_factory=SamplingOptions)
    callbacks: Callbacks = field(default_factory=Callbacks)
    knowledge: Knowledge | None = None
    trained_at: int | None = None
    scale: float = 1.0
    untouched: float = 0.0

    def __post_init__(self) -> None:
        get_ready(self.task, self.settings, self.options.decoder)

    @property
    def looks_again(self) -> bool:
        """Whether an image may be looked at more than once for a request."""
        return self.settings.scales != (1.0,) or bool(self.settings.windows)

    @property
    def compares(self) -> bool:
        """Whether the autoencoder's copy of the source is needed: to read marks against, or to keep the rest."""
        return self.task.local and (self.options.preserve_source or self.task.perception)

    def draw_whole(self, backend: Backend, requests: Sequence[Request]) -> Iterator[tuple[int, Any, Any]]:
        """Every picture resized to the model, at the job's scale; pictures of one model size share batches."""
        view_sizes = [self.sizes(q, backend.multiple) for q in requests]
        sizes = [whole for _, whole in view_sizes]
        for size in dict.fromkeys(sizes):
            same = [i for i, s in enumerate(sizes) if s == size]
            edit = partial(self._edit, backend, requests, size)
            batch = self.fitting(backend, size, min(len(same), self.options.batch_size))
            for _, numbers, (edited, copies) in in_batches(same, batch, edit):
                for row, number in enumerate(numbers):
                    h, w = view_sizes[number][0]
                    yield number, edited[row][:h, :w], None if copies is None else copies[row][:h, :w]

    def fitting(
        self, backend: Backend, size: tuple[int, int], count: int, canvas: Canvas | None = None
    ) -> int:
        """How many of `count` pictures (or tiles) of `size` may go through at once; MemoryError for none.

        canvas: the largest of the pictures that are put together of their tiles.
        """
        branches = max(len(row.branches) for row in self.plan)
        return fitting_batch(
            *(backend.footprint, size, count, branches, backend.device),
            free=backend.free,
            canvas=canvas,
            trained_at=self.trained_at,
        )

    def sizes(self, request: Request, multiple: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """(size of the picture itself, that with its padding) as it goes through the model, at the job's scale.

        Enlarged, it has a larger resolution; made smaller, it is a part of a canvas as large as without.
        """
        size, side = request.image.shape[:2], self.resolution
        if self.scale > 1:
            side = round(side * self.scale / multiple) * multiple
        shape = (side, multiple, self.resize_mode)
        content = content_size(size, *shape)
        return scaled_size(content, min(1.0, self.scale)), model_size(size, *shape)

    def _edit(
        self, backend: Backend, requests: Sequence[Request], size: tuple[int, int], numbers: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """What the backend draws for the requests of these numbers, whose images the model sees at `size`."""
        batch, shape = [requests[i] for i in numbers], backend.latent_shape(size)
        pictures = []
        for q in batch:
            content, _ = self.sizes(q, backend.multiple)
            view = resize_picture(q.image, content, sharp=self.resize_mode == "authors")
            pictures.append(pad_edge(view, size))
        more: dict[str, Any] = {}
        if self.untouched and getattr(backend, "leaves_untouched", False):
            more["untouched"] = self.untouched
        return backend.generate(
            np.stack(pictures),
            [q.instruction.text for q in batch],
            self.plan,
            torch.stack([self.noise_of(q, shape) for q in batch]),
            _step_noise(batch, shape),
            reconstruct=self.compares,
            on_step=self.callbacks.on_step,
            cache_interval=self.options.cache_interval,
            adaptive=self.options.adaptive,
            **more,
        )

    def compose(self, source: np.ndarray, edited: np.ndarray, copy: np.ndarray | None) -> np.ndarray:
        """The edit at the source's size, uint8 [h, w, 3], as the task composes it (`Task.compose`)."""
        check_interrupt()
        composition = Composition(
            preserve_source=self.options.preserve_source,
            tiled=self.is_tiled,
            learned=self.settings.compose == "learned",
            sharp=self.resize_mode == "authors",
        )
        return self.task.compose(source, edited, copy, composition)

    @property
    def is_tiled(self) -> bool:
        """Whether images are worked on in tiles (`is_tiled`)."""
        return is_tiled(self.task, self.resize_mode)

    def noise_of(self, request: Request, shape: tuple[int, int, int]) -> Tensor:
        """The unit noise [c, h, w] that a request begins with; ValueError where its own is of another shape."""
        if request.initial_noise is not None:
            if tuple(request.initial_noise.shape) != shape:
                raise ValueError(f"noise must have shape {list(shape)}, got {list(request.initial_noise.shape)}")
            return request.initial_noise
        if self.settings.noise == "zero":
            return torch.zeros(shape)
        return initial_noise(request.seed, shape)[0]


def is_tiled(task: Task | str, resize_mode: str) -> bool:
    """Say whether images are worked on in tiles: restoration by models that have only seen squares of one size.

    Published checkpoints see whole images, whatever the task, as their authors show them.
    """
    task = get_task(task) if isinstance(task, str) else task
    return task.tiled and resize_mode in ("stretch", "shortest_edge")


def get_ready(task: Task, settings: Settings, decoder: str = "closed") -> None:
    """Load what answers to the task need beside the model, so that a run without it ends before anything is asked.

    Args:
        task: The task.
        settings: How it is asked.
        decoder: How its answers are read.

    Raises:
        OSError, ValueError: As `compositing.learned.load_compositor` and `decoding.light_unet.load_refiner` do.
    """
    if settings.compose == "learned" and task.has_compositor:
        from ..compositing.learned import shipped_compositor

        shipped_compositor()
    if decoder != "closed":
        from ..decoding.light_unet import shipped_refiner

        shipped_refiner()


def _step_noise(batch: Sequence[Request], shape: tuple[int, int, int]) -> StepNoise:
    """The step noise of whole pictures: the given one, or their seeds'."""
    noises = [q.step_noise for q in batch]
    if any(steps is None for steps in noises):
        return SeededNoise([q.seed for q in batch])
    for steps in noises:
        check_steps(steps, shape)
    return GivenNoise([torch.stack(row) for row in zip(*(s for s in noises if s is not None), strict=True)])
