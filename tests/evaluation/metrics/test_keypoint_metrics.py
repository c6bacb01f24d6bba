"""OKS of single figures, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from instructdiffusion.evaluation.metrics import COCO_SIGMAS, SIGMA, oks, oks_ap


def test_oks():
    truth = np.float32([[10, 10], [20, 20], [30, 30]])
    seen = np.array([True, True, False])
    assert oks(truth, seen, truth, seen, 100) == 1
    # at a distance of 2 sigma sqrt(area), exp(-1/2); the third has no truth and does not count
    off = truth + np.float32([[2 * SIGMA * 10, 0], [0, 0], [50, 50]])
    assert oks(off, np.ones(3, bool), truth, seen, 100) == pytest.approx((math.exp(-0.5) + 1) / 2)
    assert oks(off, np.array([False, True, True]), truth, seen, 100) == pytest.approx(0.5)
    assert math.isnan(oks(truth, seen, truth, np.zeros(3, bool), 100))


def test_a_constant_a_joint():
    truth, seen = np.zeros((2, 2)), np.ones(2, bool)
    off = np.array([[6.0, 8.0], [6.0, 8.0]])  # 10 pixels each
    both = [math.exp(-100 / (2 * 400 * (2 * s) ** 2)) for s in (0.1, 0.2)]
    assert oks(off, seen, truth, seen, 400, np.array([0.1, 0.2])) == pytest.approx(sum(both) / 2)


def test_constants_are_cocos():
    params = pytest.importorskip("pycocotools.cocoeval").Params("keypoints")
    assert params.kpt_oks_sigmas.tolist() == pytest.approx(COCO_SIGMAS)


def test_oks_ap():
    nan = math.nan
    assert oks_ap([1.0, nan], [0.9, None], 0.5) == 1
    assert oks_ap([1.0, nan], [0.5, 0.9], 0.5) == pytest.approx(0.5)  # marks where there is no figure
    assert oks_ap([0.6, 0.9], [0.5, 0.6], 0.75) == pytest.approx(51 / 101)
    assert math.isnan(oks_ap([nan], [None], 0.5))
    with pytest.raises(ValueError, match="2 similarities came with 1"):
        oks_ap([1.0, 1.0], [0.5], 0.5)
