"""Randomness of a training step: every draw is a pure function of (seed, step, stream).

Nothing is carried from one step to the next, so a run that was killed and resumed draws exactly what
the unbroken run would have drawn.
"""

from __future__ import annotations

import zlib
from functools import lru_cache

import numpy as np
import torch


def entropy(seed: int, step: int, stream: str) -> int:
    """A 63-bit integer that depends on the three arguments and on nothing else."""
    words = np.random.SeedSequence([seed, step, zlib.crc32(stream.encode())]).generate_state(1, np.uint64)
    return int(words[0] >> 1)


def step_generator(seed: int, step: int, stream: str) -> torch.Generator:
    """A torch generator (CPU) for one purpose (`stream`) of one training step."""
    return torch.Generator().manual_seed(entropy(seed, step, stream))


def shuffled_indices(seed: int, start: int, count: int, population: int) -> np.ndarray:
    """Indices [count] of the samples numbered `start`... in an endless, reshuffled walk over a population.

    Each epoch is a permutation drawn from (seed, epoch), so any step's samples can be named without
    having walked the steps before it.
    """
    if population < 1:
        raise ValueError(
            f"expected a population of at least 1 sample, got {population}: make the pool larger"
        )
    out = np.empty(count, np.int64)
    filled = 0
    while filled < count:
        epoch, offset = divmod(start + filled, population)
        order = _order(seed, epoch, population)
        take = min(count - filled, population - offset)
        out[filled : filled + take] = order[offset : offset + take]
        filled += take
    return out


@lru_cache(maxsize=4)  # the epochs at hand of a run, or of the two groups that a distillation draws from
def _order(seed: int, epoch: int, population: int) -> np.ndarray:
    order = np.random.Generator(np.random.PCG64(entropy(seed, epoch, "epoch"))).permutation(population)
    order.setflags(write=False)
    return order
