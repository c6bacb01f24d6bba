"""Guidance over several branches, told as plain two-sided guidance, which is what ComfyUI's patches know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_NO_SPLIT = 1e-2  # a scale nearer to 1 than this divides by next to nothing


def two_sided(full: Any, others: Sequence[Any], weight: float, weights: Sequence[float]) -> tuple[Any, float]:
    """(other, scale) with other + scale (full - other) = weight full + sum of weights others.

    full, others: predictions of one shape; weight + sum(weights) = 1. The scale is the full branch's weight, and
    `other` the weighted mean of the others; where that weight is 1, which leaves the mean undefined, the scale
    is 2. Without others: (full, 1).
    """
    if not others:
        return full, 1.0
    scale = weight if abs(weight - 1.0) >= _NO_SPLIT else 2.0
    total = sum(w * o for w, o in zip(weights, others, strict=True))
    if scale != weight:
        total = total + (weight - scale) * full
    return total / (1.0 - scale), scale
