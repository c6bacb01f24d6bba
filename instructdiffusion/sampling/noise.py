"""Noise: drawn for each picture from its own seed, so that it never depends on the picture's batch.

Everything is drawn on the CPU and then moved: the same seed gives the same numbers on every device.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

SEED_LIMIT = 2**64  # as in ComfyUI's samplers


class StepNoise(Protocol):
    """Where a run's fresh noise comes from."""

    def step(self, draw: int, like: Tensor) -> Tensor:
        """Unit noise number `draw` (0, 1, ... over the rows that add noise), shaped like `like`."""
        ...


def check_seeds(seeds: int | Iterable[int]) -> tuple[int, ...]:
    """The seeds as whole numbers in 0 .. 2^64 - 1; one number is a batch of one. ValueError or TypeError."""
    if isinstance(seeds, (bytes, bytearray)):  # whose items are numbers
        raise TypeError(f"a seed must be a whole number; got {seeds!r}")
    numbers = tuple(seeds) if isinstance(seeds, Iterable) else (seeds,)
    if not numbers:
        raise ValueError("at least one seed is needed, one a picture; got none")
    checked = []
    for seed in numbers:
        if isinstance(seed, bool):
            raise TypeError("a seed must be a whole number; got a bool")
        try:
            number = operator.index(seed)
        except TypeError:
            raise TypeError(f"a seed must be a whole number; got {seed!r}") from None
        if not 0 <= number < SEED_LIMIT:
            raise ValueError(f"a seed must be in 0 .. 2^64 - 1; got {number}")
        checked.append(number)
    return tuple(checked)


def generator(seed: int, draw: int | None = None) -> torch.Generator:
    """A CPU generator that is a pure function of the seed, and of the draw's number where one is given.

    Without a draw, a seed below 2^32 gives what torch.manual_seed(seed) gives. torch's CPU generator reads
    32 bits of a seed only, so larger seeds are hashed, as are draws, which keeps them apart (but for chance).
    """
    (number,) = check_seeds(seed)
    if draw is not None or number >= 2**32:
        words = [number % 2**32, number >> 32, 0 if draw is None else 1 + draw]
        number = int(np.random.SeedSequence(words).generate_state(1, np.uint32)[0])
    return torch.Generator("cpu").manual_seed(number)


def initial_noise(seeds: int | Iterable[int], shape: Sequence[int]) -> Tensor:
    """Unit Gaussian noise [b, *shape], float32 on the CPU, picture i from seed i alone.

    For seeds below 2^32 these are the numbers diffusers' pipelines draw with a CPU generator a picture.
    """
    return torch.stack([torch.randn(tuple(shape), generator=generator(s)) for s in check_seeds(seeds)])


class SeededNoise:
    """Step noise as a pure function of (seed, draw): `step(k, like)` is the same whenever it is asked."""

    def __init__(self, seeds: int | Iterable[int]) -> None:
        self.seeds = check_seeds(seeds)

    def __len__(self) -> int:
        return len(self.seeds)

    def step(self, draw: int, like: Tensor) -> Tensor:
        """Unit noise number `draw` for every picture, in like's shape, dtype and device."""
        if len(like) != len(self.seeds):
            raise ValueError(f"expected one seed a picture; got {len(self.seeds)} for a batch of {len(like)}")
        shape = tuple(like.shape[1:])
        noise = torch.stack([torch.randn(shape, generator=generator(s, draw)) for s in self.seeds])
        return moved(noise, like)


class GivenNoise:
    """Step noise from tensors in hand, one a row that adds noise: how another sampler's run is repeated."""

    def __init__(self, steps: Sequence[Tensor]) -> None:
        self.steps = tuple(steps)
        for draw, noise in enumerate(self.steps):  # here, so that no step of a run has to wait for a device
            if not bool(torch.isfinite(noise).all()):
                raise ValueError(f"step noise {draw} has NaN or infinite values")

    def __len__(self) -> int:
        return len(self.steps)

    def step(self, draw: int, like: Tensor) -> Tensor:
        """The tensor number `draw`; ValueError where it is missing or of another shape."""
        if draw >= len(self.steps):
            raise ValueError(f"the plan draws noise more than the {len(self.steps)} times it was given for")
        noise = self.steps[draw]
        if noise.shape != like.shape:
            raise ValueError(
                f"step noise {draw} must have the latents' shape {tuple(like.shape)}; "
                f"got {tuple(noise.shape)}"
            )
        return moved(noise, like)


def moved(noise: Tensor, like: Tensor) -> Tensor:
    """The noise in like's dtype on its device, without waiting for it: only pinned memory is copied meanwhile."""
    if like.is_cuda and noise.device.type == "cpu":
        return noise.to(like.dtype).pin_memory().to(like.device, non_blocking=True)
    return noise.to(device=like.device, dtype=like.dtype)
