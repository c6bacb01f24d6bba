"""Keypoint AP: our own sums, faster-coco-eval's and pycocotools' are the same."""

from __future__ import annotations

import contextlib
import io
import math
import sys

import numpy as np
import pytest

from instructdiffusion.evaluation.metrics import COCO_SIGMAS, Person, engine, keypoint_ap
from instructdiffusion.evaluation.metrics import coco_ap as module

AP = ("AP", "AP50", "AP75", "AR")


def crowd(seed, pictures=40):
    """Pictures of one to three figures, answers more or less beside them, some missing, some too many."""
    rng = np.random.default_rng(seed)
    truths, answers = [], []
    for image in range(pictures):
        for _ in range(rng.integers(1, 4)):
            joints = np.c_[rng.uniform(0, 300, (17, 2)), rng.integers(0, 3, 17)]
            truths.append(Person(image, joints, float(rng.uniform(2000, 40000))))
            off = joints + np.c_[rng.normal(0, rng.uniform(1, 12), (17, 2)), np.zeros(17)]
            off[:, 2] = rng.random(17) > 0.1
            if rng.random() < 0.9:
                answers.append(Person(image, off, score=float(rng.random())))
        if rng.random() < 0.2:
            answers.append(
                Person(image, np.c_[rng.uniform(0, 300, (17, 2)), np.ones(17)], score=rng.random())
            )
    return truths, answers


def by_pycocotools(truths, answers):
    coco = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    data, found = module.coco_data(truths, [module._filled(a, truths) for a in answers])
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO()
        truth.dataset = data
        truth.createIndex()
        runner = COCOeval(truth, truth.loadRes(found), "keypoints")
        runner.evaluate()
        runner.accumulate()
        runner.summarize()
    return [runner.stats[i] for i in (0, 1, 2, 5)]


@pytest.mark.parametrize("by", ["own", "faster-coco-eval"])
@pytest.mark.parametrize("seed", [0, 1])
def test_it_is_pycocotools(by, seed):
    if by != "own":
        pytest.importorskip("faster_coco_eval")
    truths, answers = crowd(seed)
    made = keypoint_ap(truths, answers, by=by)
    assert 0.1 < made["AP"] < 0.9
    assert [made[n] for n in AP] == pytest.approx(by_pycocotools(truths, answers), abs=1e-9)


def test_both_ways_agree_on_other_constants():
    pytest.importorskip("faster_coco_eval")
    truths, answers = crowd(2)
    sigmas = [s * 2 for s in COCO_SIGMAS]
    own, other = (keypoint_ap(truths, answers, sigmas, by=by) for by in ("own", "faster-coco-eval"))
    assert own == pytest.approx(other) and own["AP"] > keypoint_ap(truths, answers)["AP"]


def figure(x, v=2, image=1, **more):
    return Person(image, np.c_[np.full(17, float(x)), np.zeros(17), np.full(17, float(v))], **more)


@pytest.mark.parametrize("by", ["own", "faster-coco-eval"])
def test_by_hand(by):
    if by != "own":
        pytest.importorskip("faster_coco_eval")
    one, other = figure(100, area=1e4), figure(9000, image=2, area=1e4)
    perfect = keypoint_ap([one, other], [figure(100, score=0.9), figure(9000, image=2, score=0.8)], by=by)
    assert perfect == pytest.approx(dict.fromkeys(AP, 1.0))
    half = keypoint_ap([one, other], [figure(100, score=0.9)], by=by)
    assert half["AP"] == pytest.approx(51 / 101) and half["AR"] == pytest.approx(0.5)
    # A joint that is not found counts nothing: with 8 of 17 there, OKS is .47.
    some = figure(100, score=0.9)
    some.joints[8:, 2] = 0
    assert keypoint_ap([one], [some], by=by)["AP50"] == 0
    some.joints[8, 2] = 1  # 9 of 17: .529
    assert keypoint_ap([one], [some], by=by)["AP"] == pytest.approx(0.1)
    assert keypoint_ap([one], [figure(100, v=0, score=0.9)], by=by)["AP"] == 0  # marked nothing: a miss
    unlabelled = figure(50, v=0, area=1e4)
    assert keypoint_ap([one, unlabelled], [figure(100, score=0.9)], by=by)["AP"] == pytest.approx(1)
    assert all(math.isnan(v) for v in keypoint_ap([unlabelled], [], by=by).values())


def test_twenty_answers_a_picture_count():
    truths, extra = [figure(100, area=1e4)], [figure(5000 + i, score=0.9) for i in range(20)]
    for by in ("own", *(("faster-coco-eval",) if engine() != "own" else ())):
        assert keypoint_ap(truths, [*extra, figure(100, score=0.1)], by=by)["AP"] == 0
        assert keypoint_ap(truths, [*extra[1:], figure(100, score=0.1)], by=by)["AP"] == pytest.approx(1 / 20)


def test_the_way_is_named_and_chosen(monkeypatch):
    if engine() != "own":
        assert engine().startswith("faster-coco-eval 1.")
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    assert engine() == "own"
    assert keypoint_ap([figure(100, area=1e4)], [figure(100, score=0.9)])["AP"] == pytest.approx(1)
    with pytest.raises(ValueError, match="expected one of"):
        keypoint_ap([figure(100, area=1e4)], [], by="magic")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Person(1, np.ones((5, 3))), "joints"),
        (Person(1, np.full((17, 3), np.nan)), "not finite"),
        (figure(100, score=math.nan), "not finite"),
    ],
)
def test_what_is_no_figure_is_refused(answer, message):
    with pytest.raises(ValueError, match=message):
        keypoint_ap([figure(100, area=1e4)], [answer])
