"""mcIoU, by hand and against a confusion matrix of scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest

from instructdiffusion.evaluation.metrics import Overlap, mean_class_iou, overlap
from instructdiffusion.evaluation.metrics.class_iou import class_overlaps

# class, (both, either), whether the picture shows it
ASKED = [
    ("dog", Overlap(6, 10), True),
    ("dog", Overlap(2, 10), True),
    ("cat", Overlap(3, 4), True),
]
ABSENT = [
    ("cat", Overlap(0, 4), False),  # a cat marked where there is none
    ("cow", Overlap(0, 5), False),  # cows show nowhere
]


def test_absent_classes_asked_or_not():
    assert mean_class_iou(class_overlaps(ASKED)) == (pytest.approx((8 / 20 + 3 / 4) / 2), 2)
    assert mean_class_iou(class_overlaps(ASKED + ABSENT)) == (pytest.approx((8 / 20 + 3 / 8) / 2), 2)
    found = class_overlaps(ASKED + ABSENT)
    assert (found["cow"].shown, found["cow"].iou) == (0, 0)
    empty, count = mean_class_iou(class_overlaps(ABSENT))
    assert math.isnan(empty) and count == 0


def test_where_each_pixel_has_one_class_it_is_the_usual_mean():
    confusion_matrix = pytest.importorskip("sklearn.metrics").confusion_matrix
    rng = np.random.default_rng(1)
    truth, found = rng.integers(0, 4, (5, 20, 30)), rng.integers(0, 4, (5, 20, 30))
    found = np.where(rng.random(truth.shape) < 0.6, truth, found)
    void = rng.random(truth.shape) < 0.1
    answers = [
        (str(c), overlap(f == c, t == c, v), bool((t == c).any()))
        for t, f, v in zip(truth, found, void)
        for c in range(4)
    ]
    table = confusion_matrix(truth[~void], found[~void])
    usual = np.diag(table) / (table.sum(0) + table.sum(1) - np.diag(table))
    assert mean_class_iou(class_overlaps(answers))[0] == pytest.approx(usual.mean())
