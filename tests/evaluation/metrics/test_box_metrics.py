"""Boxes, by hand and against pycocotools."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

from instructdiffusion.evaluation.metrics import THRESHOLDS, box_ap, box_iou, match_boxes


def test_box_iou():
    a, b = np.float32([[0, 0, 10, 10]]), np.float32([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]])
    assert box_iou(a, b)[0] == pytest.approx([1, 50 / 150, 0])
    assert box_iou(a[:0], b).shape == (0, 3)


@pytest.mark.parametrize(
    ("scores", "threshold", "expected"),
    [
        ([0.9, 0.8, 0.7, 0.6], 0.5, [True, False, True, False]),
        ([0.8, 0.9, 0.7, 0.6], 0.5, [False, True, True, False]),
        ([0.9, 0.8, 0.7, 0.6], 0.95, [False, True, False, False]),
    ],
)
def test_a_true_box_is_hit_once_and_by_the_surest(scores, threshold, expected):
    truth = np.float32([[0, 0, 10, 10], [20, 0, 30, 10]])
    found = np.float32([[0, 0, 10, 9], [0, 0, 10, 10], [21, 0, 30, 10], [50, 50, 60, 60]])
    assert match_boxes(found, np.float32(scores), truth, threshold).tolist() == expected


def test_box_ap():
    box, none = np.float32([[0, 0, 10, 10]]), np.zeros((0, 4), np.float32)
    sure, unsure, empty = np.float32([0.9]), np.float32([0.4]), np.zeros(0, np.float32)
    assert box_ap([(box, sure, box), (none, empty, none)], 0.5) == 1
    assert box_ap([(box, unsure, box), (box, sure, none)], 0.5) == pytest.approx(0.5)  # a surer false alarm
    assert box_ap([(box, sure, box), (none, empty, box)], 0.5) == pytest.approx(51 / 101)


def test_it_is_cocos():
    coco = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    rng = np.random.default_rng(3)
    pictures = []
    for _ in range(30):
        corners = rng.uniform(0, 200, (rng.integers(0, 5), 2))
        truth = np.concatenate([corners, corners + rng.uniform(20, 90, corners.shape)], 1)
        found = np.concatenate([truth + rng.normal(0, 5, truth.shape), rng.uniform(0, 90, (2, 4))])
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        pictures.append((found, rng.random(len(found)), truth))

    def entry(number, box):
        x1, y1, x2, y2 = map(float, box)
        return {"image_id": number, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}

    truths = [entry(n, box) for n, (_, _, t) in enumerate(pictures) for box in t]
    truths = [
        {**t, "id": i, "iscrowd": 0, "area": t["bbox"][2] * t["bbox"][3]} for i, t in enumerate(truths, 1)
    ]
    found = [
        {**entry(n, box), "score": float(s)}
        for n, (f, scores, _) in enumerate(pictures)
        for box, s in zip(f, scores)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        data = coco.COCO()
        data.dataset = {
            "images": [{"id": n} for n in range(30)],
            "annotations": truths,
            "categories": [{"id": 1}],
        }
        data.createIndex()
        runner = COCOeval(data, data.loadRes(found), "bbox")
        runner.evaluate()
        runner.accumulate()
        runner.summarize()
    ours = [box_ap(pictures, threshold) for threshold in THRESHOLDS]
    assert 0.1 < np.mean(ours) < 0.9
    assert [np.mean(ours), ours[0], ours[5]] == pytest.approx(runner.stats[:3], abs=1e-9)
