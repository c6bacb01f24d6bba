"""What every call takes beside its question, as a type for its keywords."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

from ..sampling import Guidance, OnStep
from .answer import Answer


class RunOptions(TypedDict, total=False):
    """What every call takes beside its question; see `pipeline.InstructDiffusion.run`."""

    steps: int | None
    solver: str | None
    schedule: str | None
    guidance: tuple[float, float] | str | Guidance | None
    noise: str | np.ndarray | Mapping[str, Any] | None
    seed: int | Sequence[int]
    resolution: int | None
    resize_mode: str | None
    batch_size: int
    on_step: OnStep | None
    on_answer: Callable[[int, Answer], None] | None
    decode: Mapping[str, Any] | None
    reuse: int
    adaptive: float | None
    decoder: str
    on_tile: Callable[[int, int], None] | None
    formula: str | None
    keep: bool
    zoom: float | None
    compose: str | None
    scales: Sequence[float] | None
    windows: int | None
    fit: str | None  # resize_mode, as it was called before
