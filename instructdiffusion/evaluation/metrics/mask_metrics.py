"""Masks: overlap, cumulative and mean IoU, and the accuracies of phrases that may mean nothing (gRefCOCO)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .average_precision import mean


class Overlap(NamedTuple):
    """Pixels in both masks and pixels in either."""

    both: int
    either: int

    @property
    def iou(self) -> float:
        """both / either; two empty masks agree: 1."""
        return self.both / self.either if self.either else 1.0


def overlap(answer: np.ndarray, truth: np.ndarray, void: np.ndarray | None = None) -> Overlap:
    """Intersection and union of two masks bool [h, w]; pixels of `void`, bool [h, w], do not count.

    ValueError where their sizes differ.
    """
    if answer.shape != truth.shape or void is not None and void.shape != truth.shape:
        raise ValueError(f"masks of {answer.shape} and {truth.shape} cannot be compared: resize one first")
    both, either = answer & truth, answer | truth
    if void is not None:
        both, either = both & ~void, either & ~void
    return Overlap(int(both.sum()), int(either.sum()))


def ciou(overlaps: Sequence[Overlap]) -> float:
    """Cumulative IoU: sum of intersections / sum of unions over all samples.

    A sample without the thing, answered empty, adds nothing; a false alarm adds its area to the unions.
    NaN where there is nothing in any sample.
    """
    both, either = sum(o.both for o in overlaps), sum(o.either for o in overlaps)
    return both / either if either else float("nan")


def giou(overlaps: Sequence[Overlap]) -> float:
    """Mean IoU a sample (gRefCOCO); a sample without the thing counts 1 if answered empty, else 0."""
    return mean([o.iou for o in overlaps])


def no_target_accuracy(absent: Sequence[bool], empty: Sequence[bool]) -> float:
    """gRefCOCO's N-acc = TP / (TP + FN): of the phrases that mean nothing, the share answered empty.

    absent: whether the phrase means nothing; empty: whether nothing was marked. NaN without such phrases.
    """
    return mean([float(e) for a, e in zip(absent, empty, strict=True) if a])


def target_accuracy(absent: Sequence[bool], empty: Sequence[bool]) -> float:
    """gRefCOCO's T-acc = TN / (TN + FP): of the phrases that mean something, the share not answered empty."""
    return mean([float(not e) for a, e in zip(absent, empty, strict=True) if not a])
