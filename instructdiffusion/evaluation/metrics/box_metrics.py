"""Boxes: overlap, COCO's matching, and average precision."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .average_precision import average_precision


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU [n, m] of boxes xyxy [n, 4] and [m, 4]."""
    a, b = np.asarray(a, np.float64).reshape(-1, 1, 4), np.asarray(b, np.float64).reshape(1, -1, 4)
    sides = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)
    both = sides.prod(2)
    either = (a[..., 2:] - a[..., :2]).prod(2) + (b[..., 2:] - b[..., :2]).prod(2) - both
    return both / np.maximum(either, 1e-12)


def match_boxes(boxes: np.ndarray, scores: np.ndarray, truth: np.ndarray, threshold: float) -> np.ndarray:
    """bool [n]: which boxes found hit a true box that no surer one had hit before (COCO's greedy matching).

    A box takes the free true box of the largest IoU, if that is at least the threshold.
    """
    correct = np.zeros(len(boxes), bool)
    if not len(boxes) or not len(truth):
        return correct
    table = box_iou(boxes, truth)
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

    Every label is asked for in its own picture, so that there is one ranking over all of them. (pycocotools
    gives the same where every picture has one category and at most 100 boxes.)
    """
    scores = [float(s) for _, box_scores, _ in pictures for s in box_scores]
    correct = [bool(c) for f, s, t in pictures for c in match_boxes(f, s, t, threshold)]
    return average_precision(scores, correct, sum(len(t) for _, _, t in pictures))
