"""Masks, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from instructdiffusion.evaluation.metrics import (
    Overlap,
    ciou,
    giou,
    no_target_accuracy,
    overlap,
    target_accuracy,
)


def mask(*rows):
    return np.array([[c == "#" for c in row] for row in rows])


def test_overlap():
    found, truth = mask("##..", "##.."), mask(".##.", ".##.")
    assert overlap(found, truth) == (2, 6) and overlap(found, truth).iou == pytest.approx(1 / 3)
    assert overlap(found, truth, mask("#..#", ".#..")) == (1, 4)  # void: two of the union, one of both
    assert overlap(found & False, truth & False).iou == 1
    with pytest.raises(ValueError, match="cannot be compared"):
        overlap(found, truth[:1])


@pytest.mark.parametrize(
    ("overlaps", "cumulative", "generalised"),
    [
        ([(2, 4), (9, 10)], 11 / 14, (0.5 + 0.9) / 2),
        ([(2, 4), (0, 0)], 0.5, 0.75),  # absent, answered empty: nothing to cIoU, 1 to gIoU
        ([(2, 4), (0, 6)], 0.2, 0.25),  # a false alarm, or a miss
        ([(0, 0)], math.nan, 1.0),
    ],
)
def test_ciou_and_giou(overlaps, cumulative, generalised):
    overlaps = [Overlap(*o) for o in overlaps]
    assert ciou(overlaps) == pytest.approx(cumulative, nan_ok=True)
    assert giou(overlaps) == pytest.approx(generalised)


def test_accuracies_of_phrases_that_may_mean_nothing():
    #         TP    FN     TP    TN     FP     TN     TN
    absent = [True, True, True, False, False, False, False]
    empty = [True, False, True, False, True, False, False]
    assert no_target_accuracy(absent, empty) == pytest.approx(2 / 3)
    assert target_accuracy(absent, empty) == pytest.approx(3 / 4)
    assert math.isnan(no_target_accuracy([False], [True])) and math.isnan(target_accuracy([], []))
    with pytest.raises(ValueError):
        no_target_accuracy(absent, empty[:2])
