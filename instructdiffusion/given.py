"""Given: seeds and noise as a call gives them, for all pictures or one a picture, brought to one a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from .sampling import check_seeds


def seeds_of(seed: int | Sequence[int], count: int) -> list[int]:
    """A seed a picture: the one for all, or the one of each. ValueError where there are others than `count`."""
    seeds = check_seeds(seed) if count else ()
    if isinstance(seed, (int, np.integer)):
        return list(seeds) * count
    if len(seeds) != count:
        raise ValueError(f"expected one seed, or one a picture ({count}), got {len(seeds)}")
    return list(seeds)


def split_noise(noise: Any) -> tuple[Any, Sequence[Any] | None]:
    """(initial, steps) of what `run` takes as noise; None for what comes from the seed."""
    if not isinstance(noise, Mapping):
        return noise, None
    unknown = sorted(set(map(str, noise)) - {"initial", "steps"})
    if unknown:
        raise ValueError(f"noise has 'initial' and 'steps', got {unknown[0]!r}")
    steps = noise.get("steps")
    if isinstance(steps, (str, Mapping)) or not (steps is None or hasattr(steps, "__len__")):
        raise TypeError(f"noise 'steps' is a list of unit noise, one a row that adds noise, got {steps!r}")
    return noise.get("initial"), steps


def steps_of(steps: Sequence[Any] | None, count: int) -> list[tuple[Any, ...] | None]:
    """The fresh noise of every picture, a tensor a row that adds noise; None where the seed gives it."""
    if steps is None:
        return [None] * count
    rows = [starts_of(row, count) for row in steps]
    return [tuple(row[i] for row in rows) for i in range(count)]


def starts_of(noise: Any, count: int) -> list[Any]:
    """Unit noise [c, h, w] for all, or [n, c, h, w] one a picture, as tensors."""
    tensor = torch.as_tensor(noise, dtype=torch.float32).cpu()
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError("noise has NaN or infinite values")
    if tensor.ndim == 3:
        return [tensor] * count
    if tensor.ndim != 4 or len(tensor) != count:
        raise ValueError(f"noise must be [c, h, w] or [{count}, c, h, w], got {list(tensor.shape)}")
    return list(tensor)
