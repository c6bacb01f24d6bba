"""Scenes of any shape and things of any size: nothing stretched, words true, squares as they always were."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import pytest

from instructdiffusion.datasets import join
from instructdiffusion.datasets.synthetic import EXTENT_TASKS, SCENE_TASKS, ratio_size, scene_record
from instructdiffusion.datasets.synthetic.backgrounds import PATTERNS, Background, _field
from instructdiffusion.datasets.synthetic.canvas import Canvas
from instructdiffusion.datasets.synthetic.compose import canonical_item, paint
from instructdiffusion.datasets.synthetic.degradations import watermark
from instructdiffusion.datasets.synthetic.examples import make_example
from instructdiffusion.datasets.synthetic.layout import Draw
from instructdiffusion.datasets.synthetic.phrases import Phrase, denotes
from instructdiffusion.evaluation.metrics import match_boxes
from instructdiffusion.results import Boxes, Keypoints, Label, Masks
from instructdiffusion.tasks import get_task

WIDE, TALL = (64, 128), (114, 64)
# Words, places and how light the picture is, of eight square scenes a task before scenes of other shapes were there.
SQUARES = {
    "segment": "68d646118a01",
    "refer": "0de8a83258af",
    "keypoints": "b0c13b592d8f",
    "detect": "c564cfac29ad",
    "classify": "624f2d11d15a",
    "align": "c6ec0991c3e4",
    "denoise": "44ab91f921d8",
    "deblur": "d9690194744b",
    "dewatermark": "6ef151b71c10",
    "edit": "5c90ee51e317",
}  # fmt: skip


def told(task: str, size) -> str:
    lines = []
    for seed in range(8):
        example = make_example(task, seed, split="test", size=size, level=seed % 2)
        record = example.record
        lines.append(f"{example.instruction.text} {record.caption} {sorted(record.tags)}")
        target = record.target
        if isinstance(target, Keypoints):
            lines.append(str(np.round(target.xy, 1).tolist()))
        elif isinstance(target, (Boxes, Masks)):
            boxes = target if isinstance(target, Boxes) else target.boxes()
            lines.append(str(np.round(boxes.xyxy).tolist()))
        lines.append(str([round(float(p.mean())) for p in (example.source, example.target)]))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


@pytest.mark.parametrize("task", SCENE_TASKS)
def test_squares_are_as_they_were(task):
    assert told(task, 64) == told(task, (64, 64)) == SQUARES[task]


@pytest.mark.parametrize(
    ("ratio", "size"),
    [("1:1", (64, 64)), ("4:3", (64, 85)), ("16:9", (64, 114)), ("9:16", (114, 64)), ("2:1", (64, 128))],
)
def test_the_shorter_side_is_kept(ratio, size):
    assert ratio_size(ratio, 64) == size
    assert Canvas.of(size).short == 64 and Canvas.of(size).scale == 1


@pytest.mark.parametrize("ratio", ["", "wide", "16x9", "0:1", "5:1", "1:5", "-4:3", "1.5:1"])
def test_what_is_no_ratio_is_refused(ratio):
    with pytest.raises(ValueError, match="expected a ratio of width to height"):
        ratio_size(ratio, 64)


@pytest.mark.parametrize("size", [31, (31, 64), (128, 8)])
def test_a_side_too_short_is_refused(size):
    with pytest.raises(ValueError, match="at least 32 pixels"):
        scene_record("segment", 0, size=size)


@pytest.mark.parametrize("size", [WIDE, TALL, (100, 133)])
@pytest.mark.parametrize("task", SCENE_TASKS)
def test_tasks_read_back_what_records_of_any_shape_say(task, size):
    wrong = []
    for seed in range(24):
        record = scene_record(task, seed, split="test", size=size, level=3 if seed % 2 else 1)
        example = join(record, get_task(task), random.Random(seed))
        assert example.source.shape == example.target.shape == (*size, 3)
        truth = record.target
        if isinstance(truth, np.ndarray):
            assert truth.shape == (*size, 3)
            continue
        found = get_task(task).decode(example.source, example.target, example.instruction)
        if isinstance(found, Label):
            same = found.name == truth[0].name and truth[1].shape == size
        elif isinstance(found, Masks):
            a, b = found.union(), truth.union()
            same = (a & b).sum() >= 0.99 * (a | b).sum() and truth.canvas_size == size
        elif isinstance(found, Boxes):
            same = len(found) == len(truth) and bool(
                match_boxes(found.xyxy, found.scores, truth.xyxy, 0.9).all()
            )
        else:
            assert truth.canvas_size == size
            visible = found.visible[0] if len(found) else np.zeros(len(found.names), bool)
            same = (visible == truth.visible[0]).all()
            if same and visible.any():
                same = np.linalg.norm(found.xy[0] - truth.xy[0], axis=1)[visible].max() <= 1.0
        if not same:
            wrong.append(seed)
    assert len(wrong) <= 1, wrong


@pytest.mark.parametrize("size", [WIDE, TALL])
def test_objects_keep_their_size_and_shape_and_stand_all_over(size):
    """As many units long as on a square; their places reach into both ends of the longer side."""
    back = Background(np.full((*size, 3), 128, np.float32), "gray background")
    mask = paint(back, [canonical_item("circle", "red", 30.0).moved(40, 32)]).masks[0]
    ys, xs = np.nonzero(mask)
    assert (np.ptp(ys) + 1, np.ptp(xs) + 1) == (30, 30)
    places, long = [], int(np.argmax(size))
    for seed in range(60):
        draw = Draw(random.Random(seed), 1, size, "train", False)
        placed = draw.place(draw.crowd(3))
        assert len(placed) >= 2
        for item in placed:
            x1, y1, x2, y2 = item.box
            assert x1 >= 0 and y1 >= 0 and x2 <= size[1] and y2 <= size[0]
            places.append((item.y, item.x)[long])
    ends = np.histogram(places, 4, (0, max(size)))[0]
    assert ends.min() > len(places) / 10


@pytest.mark.parametrize("kind", sorted(set(PATTERNS)))
@pytest.mark.parametrize("size", [WIDE, TALL])
def test_patterns_cover_the_picture_and_go_on_as_on_a_square(kind, size):
    field = _field(kind, 1, Canvas.of(size))
    assert field.shape == (*size, 1) and field.min() >= 0 and field.max() <= 1
    halves = np.array_split(field, 2, axis=int(np.argmax(size)))
    if kind in ("striped", "checkered", "dotted"):
        square = _field(kind, 1, Canvas.of(64))
        assert np.allclose(field[:64, :64], square, atol=1e-5)
    if kind != "horizon" or size == WIDE:
        assert all(np.ptp(half) > 0.2 for half in halves)


def test_the_top_of_a_tall_picture_is_its_upper_half():
    canvas = Canvas.of((128, 64))
    items = [canonical_item("star", "red", 14.0).moved(32, y) for y in (40, 90)]
    assert denotes(Phrase("star", side="topmost"), items, canvas) == [0]
    assert denotes(Phrase("star", side="topmost"), items) is None  # on a square it would be below the middle
    wide = [canonical_item("star", "red", 14.0).moved(x, 20) for x in (70, 120)]
    assert denotes(Phrase("star", side="leftmost"), wide, Canvas.of(WIDE)) == [0]


@pytest.mark.parametrize("size", [WIDE, TALL])
def test_added_things_stand_where_the_words_say(size):
    shown = set()
    for seed in range(160):
        record = scene_record("edit", seed, size=size, level=0)
        words = record.subjects[0]
        if record.meta["kind"] != "add":
            continue
        ys, xs = np.nonzero(record.meta["changed"])
        x, y = (xs.min() + xs.max()) / 2 / size[1], (ys.min() + ys.max()) / 2 / size[0]
        for word, at, low in (("left", x, True), ("right", x, False), ("top", y, True), ("bottom", y, False)):
            if f" {word}" in words:
                assert at < 0.4 if low else at > 0.6, words
                shown.add(word)
        if "middle" in words:
            assert abs(x - 0.5) < 0.06 and abs(y - 0.5) < 0.06
    assert shown == {"left", "right", "top", "bottom"}


def test_marks_of_one_size_reach_over_wide_pictures():
    """Letters are as large as on a square, and what is tiled covers both ends."""
    ends = 0
    for seed in range(60):
        record = scene_record("dewatermark", seed, size=(64, 160), level=0)
        mask = record.meta["mask"]
        assert mask.any()
        if record.meta["kind"] == "watermark: tiled text":
            assert mask[:, :50].any() and mask[:, -50:].any()
            ends += 1
    assert ends > 3
    flat = np.full((160, 64, 3), 90, np.uint8)
    assert all(watermark(random.Random(seed), flat).mask.any() for seed in range(20))


@pytest.mark.parametrize("extent", [0.06, 0.22, 0.69, 0.95])
@pytest.mark.parametrize("task", EXTENT_TASKS)
def test_the_thing_asked_for_is_as_large_as_told(task, extent):
    others = 0
    for seed in range(15):
        record = scene_record(task, seed, split="test", size=256, extent=extent)
        target = record.target
        assert len(target) == 1 and "absent" not in record.tags
        x1, y1, x2, y2 = (target if isinstance(target, Boxes) else target.boxes()).xyxy[0]
        assert max(x2 - x1, y2 - y1) == pytest.approx(256 * extent, abs=4)
        others += " and " in record.caption
    assert others >= 12 if extent < 0.5 else others < 15
    same = [scene_record(task, 3, split="test", size=64, extent=extent).subjects for _ in range(2)]
    assert same[0] == same[1]


def test_an_extent_is_for_tasks_that_have_one():
    for given in ({"task": "edit", "extent": 0.5}, {"task": "segment", "extent": 1.2},
                  {"task": "segment", "extent": 0.5, "absent": True}):  # fmt: skip
        with pytest.raises(ValueError, match="expected an `extent` from .05 to .95"):
            scene_record(given.pop("task"), 0, **given)
