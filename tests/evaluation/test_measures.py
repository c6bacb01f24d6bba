"""Figures of rows, worked out by hand."""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import pytest

from instructdiffusion.datasets.records import Record, join
from instructdiffusion.evaluation.measures import Figure, figures, measure
from instructdiffusion.results import Boxes, Keypoints, Label, Masks
from instructdiffusion.tasks import get_task

PICTURE = np.full((100, 100, 3), 90, np.uint8)


def example(task, subjects, target, **meta):
    return join(Record(PICTURE, subjects, target, meta=meta), get_task(task), random.Random(1))


def by_name(task, rows):
    return {f.metric: (pytest.approx(f.value), f.n) for f in figures(task, rows)}


def test_masks():
    square = np.zeros((1, 100, 100), bool)
    square[0, :10, :10] = True
    half = square.copy()
    half[0, :5] = False
    one = np.ones(1, np.float32)
    there = example("segment", ("the box",), Masks(square, one, ("the box",)))
    absent = example("segment", ("the box",), Masks.empty(100, 100))
    rows = [
        measure(there, Masks(half, one, ("the box",))),
        measure(absent, Masks.empty(100, 100)),
        measure(absent, Masks(half, one, ("the box",))),
        measure(there, Masks.empty(100, 100)),
    ]
    assert [r["quality"] for r in rows] == [0.5, 1, 0, 0]
    assert by_name("segment", rows) == {
        "cIoU": (50 / 250, 4), "gIoU": (1.5 / 4, 4), "present answered": (0.5, 2), "absent answered empty": (0.5, 2),
    }  # fmt: skip


def points(xy, visible, names=("the nose", "the tail", "the ear")):
    seen = np.array([visible])
    return Keypoints(np.float32([xy]), seen, seen.astype(np.float32), names, (100, 100))


def test_points():
    truth = points([(10, 10), (50, 50), (0, 0)], [True, True, False])
    asked = example("keypoints", truth.names, truth, area=400.0)
    near, far, extra = (10, 12), (50, 60), (80, 80)
    row = measure(asked, points([near, far, extra], [True, True, True]))
    assert (row["asked"], row["visible"], row["found"], row["near"], row["alarms"]) == (3, 2, 2, 1, 1)
    half = measure(asked, points([(10, 10), far, extra], [True, False, False]))
    assert half["oks"] == 0.5 and half["near"] == 1 and not half["empty"]
    gone = example("keypoints", truth.names, Keypoints.empty(truth.names, 100, 100), area=400.0)
    alarm = measure(gone, points([near, far, extra], [True, False, False]))
    silent = measure(gone, Keypoints.empty(truth.names, 100, 100))
    assert alarm["oks"] is None and alarm["quality"] == pytest.approx(2 / 3) and silent["quality"] == 1
    found = by_name("keypoints", [row, half, alarm, silent])
    assert found["found points within 3 %"] == (2 / 3, 3)
    assert found["visible points found"] == (3 / 4, 4)
    assert found["visible points found within 3 %"] == (2 / 4, 4)
    assert found["hidden points marked"] == (2 / 8, 8)
    assert found["absent answered empty"] == (1 / 2, 2)


def test_points_are_compared_by_name():
    truth = points([(10, 10), (50, 50), (90, 90)], [True, True, True])
    asked = example("keypoints", truth.names, truth, area=400.0)
    turned = points([(90, 90), (10, 10), (50, 50)], [True] * 3, ("the ear", "the nose", "the tail"))
    assert measure(asked, turned)["oks"] == 1


def test_boxes():
    box = np.float32([[0, 0, 10, 10]])
    one = np.ones(1, np.float32)
    there = example("detect", ("the box",), Boxes(box, one, ("the box",), (100, 100)))
    half = Boxes(np.float32([[0, 0, 10, 6]]), one, ("the box",), (100, 100))
    row = measure(there, half)
    assert row["quality"] == pytest.approx(0.6)
    found = by_name("detect", [row])
    assert found["box AP50"] == (1.0, 1) and found["box AP"] == (0.3, 1)  # hit at .50, .55 and .60


def test_labels():
    region = np.zeros((100, 100), bool)
    region[:20, :20] = True
    names = ("a dog", "a cat")
    dog = example("classify", names, (Label("a dog"), region))
    none = example("classify", names, (Label(None), region & False))
    rows = [
        measure(dog, Label("a dog", {"a dog": 0.8, "a cat": 0.2})),
        measure(dog, Label("a cat", {"a dog": 0.2, "a cat": 0.8})),
        measure(none, Label(None, {"a dog": 0.0, "a cat": 0.0})),
    ]
    assert [r["quality"] for r in rows] == pytest.approx([0.9, 0.1, 1.0])
    assert by_name("classify", rows) == {"accuracy": (0.5, 2), "absent answered empty": (1.0, 1)}


def test_pictures():
    clean = np.full_like(PICTURE, 100)
    row = measure(example("denoise", (), clean), np.full_like(PICTURE, 99), np.full_like(PICTURE, 98))
    one = 10 * np.log10(255**2)
    found = by_name("denoise", [row])
    assert found["gain over doing nothing"] == (20.0, 1)  # an error of 1 instead of 10
    assert found["PSNR"] == (one, 1) and found["above the VAE bound"] == (20 * np.log10(2), 1)


def test_edits_are_measured_where_they_change_and_elsewhere():
    after = PICTURE.copy()
    after[:50] = 190
    edit = example("edit", ("paint the top",), after)
    answer = after.copy()
    answer[:50] -= 10
    answer[50:] += 1
    row = measure(edit, answer, after)
    found = by_name("edit", [row])
    assert found["PSNR where changed"] == (20 * np.log10(255 / 10), 1)
    assert found["there, doing nothing"] == (20 * np.log10(255 / 100), 1)
    assert found["PSNR of the rest"] == (20 * np.log10(255), 1) and found["there, the VAE bound"] == (60.0, 1)
    style = dataclasses.replace(edit, record=dataclasses.replace(edit.record, meta={"kind": "style: gray"}))
    row = measure(style, answer, after)
    assert row["rest"] is None and "PSNR of the rest" not in by_name("edit", [row])
    nothing = example("edit", ("remove the cat",), PICTURE)
    kept, spoiled = measure(nothing, PICTURE.copy()), measure(nothing, after)
    assert by_name("edit", [kept, spoiled])["absent left alone"] == (0.5, 2)


def test_reached():
    assert Figure("a", 0.85, 3, 0.85).reached is True and Figure("a", 0.84, 3, 0.85).reached is False
    assert Figure("a", 0.1, 3, 0.2, falling=True).reached is True and Figure("a", 0.1, 3).reached is None
    assert figures("segment", []) == []
