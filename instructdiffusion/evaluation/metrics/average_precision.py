"""Average precision of ranked answers, as COCO computes it, and means that leave out what is no number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# The thresholds that COCO's AP is the mean over: .50, .55, ..., .95.
THRESHOLDS: tuple[float, ...] = tuple(round(0.5 + 0.05 * i, 2) for i in range(10))
RECALLS = np.linspace(0, 1, 101)  # where COCO reads the precision-recall curve


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


def mean(values: Sequence[float]) -> float:
    """The mean of what is a number; NaN where nothing is."""
    known = [v for v in values if not np.isnan(v)]
    return float(np.mean(known)) if known else float("nan")
