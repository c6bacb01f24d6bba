"""Metrics as the literature computes them: pure functions of numpy arrays, no model and no pictures of ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# The thresholds that COCO's AP is the mean over: .50, .55, ..., .95.
THRESHOLDS: tuple[float, ...] = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
RECALLS = np.linspace(0, 1, 101)  # where COCO reads the precision-recall curve

# One constant for every joint of made-up figures, whose joints are exact points. COCO's own run from .025
# (eyes) to .107 (hips), .067 in the mean, and go with the area of the silhouette; a figure's area here is
# that of its box, about twice as much, and .05 with the box tolerates the distance that .067 does with the
# silhouette.
SIGMA = 0.05

# A picture equal to the truth has no finite PSNR; 60 dB is where the error is below that of rounding to
# 8 bits (58.9 dB), and what lies above counts as 60, so that a mean over pictures stays a mean.
EQUAL_DB = 60.0


class Overlap(NamedTuple):
    """Pixels in both masks and pixels in either."""

    both: int
    either: int

    @property
    def iou(self) -> float:
        """both / either; two empty masks agree: 1."""
        return self.both / self.either if self.either else 1.0


def overlap(found: np.ndarray, truth: np.ndarray) -> Overlap:
    """Intersection and union of two masks bool [h, w]; ValueError where their sizes differ."""
    if found.shape != truth.shape:
        raise ValueError(f"masks of {found.shape} and {truth.shape} cannot be compared: resize one first")
    return Overlap(int((found & truth).sum()), int((found | truth).sum()))


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


def oks(
    found: np.ndarray, found_visible: np.ndarray, truth: np.ndarray, truth_visible: np.ndarray, area: float
) -> float:
    """Object keypoint similarity: the mean over the true visible points of exp(-d^2 / (2 area (2 sigma)^2)).

    found, truth: [k, 2] in pixels; a true point that was not found counts 0; points without truth count
    nothing. area in square pixels. NaN without any true visible point. Source: COCO keypoint evaluation.
    """
    if not truth_visible.any():
        return float("nan")
    distance = ((np.asarray(found, np.float64) - truth) ** 2).sum(1)
    similar = np.exp(-distance / (2 * max(area, 1e-9) * (2 * SIGMA) ** 2)) * found_visible
    return float(similar[truth_visible].mean())


def average_precision(scores: Sequence[float], correct: Sequence[bool], positives: int) -> float:
    """Area under the precision-recall curve, read at 101 recalls, precision made monotonic (COCO).

    scores: of all answers over all pictures; correct: whether each hit something true that no surer answer
    had hit before; positives: how many true things there are. NaN without any.
    """
    if not positives:
        return float("nan")
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    hits = np.asarray(correct, bool)[order]
    if not len(hits):
        return 0.0
    true = np.cumsum(hits)
    recall = true / positives
    precision = true / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, RECALLS, side="left")
    return float(np.append(envelope, 0.0)[np.minimum(places, len(envelope))].mean())


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU [n, m] of boxes xyxy [n, 4] and [m, 4]."""
    a, b = np.asarray(a, np.float64).reshape(-1, 1, 4), np.asarray(b, np.float64).reshape(1, -1, 4)
    sides = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)
    both = sides.prod(2)
    either = (a[..., 2:] - a[..., :2]).prod(2) + (b[..., 2:] - b[..., :2]).prod(2) - both
    return both / np.maximum(either, 1e-12)


def match_boxes(found: np.ndarray, scores: np.ndarray, truth: np.ndarray, threshold: float) -> np.ndarray:
    """bool [n]: which boxes found hit a true box that no surer one had hit before (COCO's greedy matching).

    A box takes the free true box of the largest IoU, if that is at least the threshold.
    """
    correct = np.zeros(len(found), bool)
    if not len(found) or not len(truth):
        return correct
    table = box_iou(found, truth)
    for row in np.argsort(-np.asarray(scores, np.float64), kind="stable"):
        best = int(np.argmax(table[row]))
        if table[row, best] >= threshold:
            correct[row] = True
            table[:, best] = -1
    return correct


def box_ap(
    pictures: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], threshold: float
) -> float:  # fmt: skip
    """Average precision of boxes over pictures (found xyxy [n, 4], scores [n], truth xyxy [m, 4]), all labels as one.

    Every label is asked for in its own picture, so that there is one ranking over all of them.
    """
    scores = [float(s) for _, given, _ in pictures for s in given]
    correct = [bool(c) for f, s, t in pictures for c in match_boxes(f, s, t, threshold)]
    return average_precision(scores, correct, sum(len(t) for _, _, t in pictures))


def oks_ap(similarities: Sequence[float], scores: Sequence[float | None], threshold: float) -> float:
    """Average precision of keypoints where every picture asks for one figure.

    similarities: the OKS of every picture's answer, NaN where the truth has no visible point; scores: the
    answer's score, None for an empty answer. An answer where there is nothing lowers the precision.
    """
    if len(similarities) != len(scores):
        raise ValueError(
            f"{len(similarities)} similarities came with {len(scores)} scores: give one a picture"
        )
    answered = [(s, o >= threshold) for o, s in zip(similarities, scores) if s is not None]
    positives = sum(not np.isnan(o) for o in similarities)
    return average_precision([s for s, _ in answered], [c for _, c in answered], positives)


def psnr(a: np.ndarray, b: np.ndarray, region: np.ndarray | None = None) -> float:
    """Peak signal-to-noise ratio in dB of uint8 RGB pictures [h, w, 3], at most 60; NaN for an empty region.

    10 log10(255^2 / mean squared error over pixels (of `region`, bool [h, w]) and channels).
    """
    if a.dtype != np.uint8 or b.dtype != np.uint8:
        raise TypeError(f"PSNR is taken of uint8 pictures, got {a.dtype} and {b.dtype}: convert them first")
    if a.shape != b.shape:
        raise ValueError(f"pictures of {a.shape} and {b.shape} cannot be compared: resize one first")
    squares = (a.astype(np.float64) - b) ** 2
    squares = squares if region is None else squares[region]
    if not squares.size:
        return float("nan")
    error = float(squares.mean())
    return EQUAL_DB if error == 0 else min(EQUAL_DB, 10 * float(np.log10(255**2 / error)))


def mean(values: Sequence[float]) -> float:
    """The mean of what is a number; NaN where nothing is."""
    known = [v for v in values if not np.isnan(v)]
    return float(np.mean(known)) if known else float("nan")
