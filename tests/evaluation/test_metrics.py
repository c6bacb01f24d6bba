"""Metrics against tables worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from instructdiffusion.evaluation.metrics import (
    EQUAL_DB,
    SIGMA,
    Overlap,
    average_precision,
    box_ap,
    box_iou,
    ciou,
    giou,
    match_boxes,
    mean,
    oks,
    oks_ap,
    overlap,
    psnr,
)


def mask(*rows):
    return np.array([[c == "#" for c in row] for row in rows])


def test_overlap():
    found, truth = mask("##..", "##.."), mask(".##.", ".##.")
    assert overlap(found, truth) == (2, 6) and overlap(found, truth).iou == pytest.approx(1 / 3)
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


def test_oks():
    truth = np.float32([[10, 10], [20, 20], [30, 30]])
    seen = np.array([True, True, False])
    assert oks(truth, seen, truth, seen, 100) == 1
    # at a distance of 2 sigma sqrt(area), exp(-1/2); the third has no truth and does not count
    off = truth + np.float32([[2 * SIGMA * 10, 0], [0, 0], [50, 50]])
    assert oks(off, np.ones(3, bool), truth, seen, 100) == pytest.approx((math.exp(-0.5) + 1) / 2)
    assert oks(off, np.array([False, True, True]), truth, seen, 100) == pytest.approx(0.5)
    assert math.isnan(oks(truth, seen, truth, np.zeros(3, bool), 100))


@pytest.mark.parametrize(
    ("scores", "correct", "positives", "expected"),
    [
        ([0.9, 0.8], [True, True], 2, 1.0),
        ([0.9, 0.8], [True, False], 2, 51 / 101),  # precision 1 up to recall .5, that is 51 of 101 places
        ([0.8, 0.9], [True, False], 1, 0.5),  # the surer one is wrong
        # precision 1, 1/2, 2/3 at recall 1/3, 1/3, 2/3: 34 places at 1, 33 at 2/3
        ([0.9, 0.8, 0.7], [True, False, True], 3, (34 + 33 * 2 / 3) / 101),
        ([], [], 3, 0.0),
        ([0.5], [False], 0, math.nan),
    ],
)
def test_average_precision(scores, correct, positives, expected):
    assert average_precision(scores, correct, positives) == pytest.approx(expected, nan_ok=True)


def test_box_iou():
    a, b = np.float32([[0, 0, 10, 10]]), np.float32([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]])
    assert box_iou(a, b)[0] == pytest.approx([1, 50 / 150, 0])
    assert box_iou(a[:0], b).shape == (0, 3)


def test_a_true_box_is_hit_once_and_by_the_surest():
    truth = np.float32([[0, 0, 10, 10], [20, 0, 30, 10]])
    found = np.float32([[0, 0, 10, 9], [0, 0, 10, 10], [21, 0, 30, 10], [50, 50, 60, 60]])
    assert match_boxes(found, np.float32([0.9, 0.8, 0.7, 0.6]), truth, 0.5).tolist() == [
        True,
        False,
        True,
        False,
    ]
    assert match_boxes(found, np.float32([0.8, 0.9, 0.7, 0.6]), truth, 0.5).tolist() == [
        False,
        True,
        True,
        False,
    ]
    assert match_boxes(found, np.float32([0.9, 0.8, 0.7, 0.6]), truth, 0.95).tolist() == [
        False,
        True,
        False,
        False,
    ]


def test_box_ap():
    box, none = np.float32([[0, 0, 10, 10]]), np.zeros((0, 4), np.float32)
    sure, unsure, empty = np.float32([0.9]), np.float32([0.4]), np.zeros(0, np.float32)
    assert box_ap([(box, sure, box), (none, empty, none)], 0.5) == 1
    assert box_ap([(box, unsure, box), (box, sure, none)], 0.5) == pytest.approx(0.5)  # a surer false alarm
    assert box_ap([(box, sure, box), (none, empty, box)], 0.5) == pytest.approx(51 / 101)


def test_oks_ap():
    nan = math.nan
    assert oks_ap([1.0, nan], [0.9, None], 0.5) == 1
    assert oks_ap([1.0, nan], [0.5, 0.9], 0.5) == pytest.approx(0.5)  # marks where there is no figure
    assert oks_ap([0.6, 0.9], [0.5, 0.6], 0.75) == pytest.approx(51 / 101)
    assert math.isnan(oks_ap([nan], [None], 0.5))
    with pytest.raises(ValueError, match="2 similarities came with 1"):
        oks_ap([1.0, 1.0], [0.5], 0.5)


def test_psnr():
    a = np.zeros((2, 2, 3), np.uint8)
    b = a.copy()
    b[0, 0] = 255
    assert psnr(a, b) == pytest.approx(10 * math.log10(4))
    left = np.array([[True, False], [True, False]])
    assert psnr(a, b, left) == pytest.approx(10 * math.log10(2)) and psnr(a, b, ~left) == EQUAL_DB
    assert psnr(a, a) == EQUAL_DB and math.isnan(psnr(a, b, left & False))
    with pytest.raises(TypeError, match="uint8"):
        psnr(a / 255, b)
    with pytest.raises(ValueError, match="cannot be compared"):
        psnr(a, b[:1])


def test_mean_leaves_out_what_is_no_number():
    assert mean([1.0, math.nan, 3.0]) == 2 and math.isnan(mean([math.nan]))
