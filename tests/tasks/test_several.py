"""Several subjects: a color, a row and a label each, and the whole read back from one picture."""

from __future__ import annotations

import random

import numpy as np
import pytest
from scipy import ndimage

from instructdiffusion.compositing.rules import join_drawings
from instructdiffusion.evaluation.metrics.box_metrics import match_boxes
from instructdiffusion.results import Boxes, Masks
from instructdiffusion.tasks import TASKS, Instruction

SUBJECTS = ("the star", "the dog", "the red car")


def picture(size: int, rng: np.random.Generator) -> np.ndarray:
    ground = ndimage.gaussian_filter(rng.normal(0, 1, (size, size, 3)), (size / 12, size / 12, 0))
    return np.clip(rng.integers(60, 196, 3) + ground / ground.std() * 20, 0, 255).astype(np.uint8)


def discs(size: int, rng: np.random.Generator, count: int) -> np.ndarray:
    """Discs in columns of their own."""
    ys, xs = np.mgrid[:size, :size] + 0.5
    column = size / count
    rows = []
    for i in range(count):
        radius = rng.uniform(0.2, 0.42) * column
        x, y = (i + 0.5) * column, rng.uniform(0.25, 0.75) * size
        rows.append((xs - x) ** 2 + (ys - y) ** 2 < radius**2)
    return np.stack(rows)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


@pytest.mark.parametrize("name", ["segment", "refer", "detect"])
def test_a_line_and_a_color_for_every_subject(name: str) -> None:
    task = TASKS[name]
    made = task.instruct(SUBJECTS, ["red", "blue", "green"])
    lines = made.text.split("\n")
    singles = [task.instruct(s, [c]) for s, c in zip(SUBJECTS, ("red", "blue", "green"), strict=True)]
    assert lines == [s.text for s in singles]
    assert list(task.questions(made)) == singles
    drawn = task.instruct(SUBJECTS, rng=random.Random(3), picture=picture(32, np.random.default_rng(0)))
    assert len({c.rgb for c in drawn.colors}) == 3 and len(drawn.text.split("\n")) == 3


def test_the_questions_of_other_instructions_are_they_themselves() -> None:
    for name, subjects in (
        ("segment", "the star"),
        ("keypoints", ("the nose", "the chin")),
        ("denoise", None),
    ):
        made = TASKS[name].instruct(subjects)
        assert TASKS[name].questions(made) == (made,)
    colors = TASKS["segment"].instruct(SUBJECTS[:2]).colors
    with pytest.raises(ValueError, match="a line of text and a color each, got 1 and 2"):
        TASKS["segment"].questions(Instruction("mark both", "segment", SUBJECTS[:2], colors))


@pytest.mark.parametrize("size", [64, 256])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
@pytest.mark.parametrize("name", ["segment", "refer", "detect"])
def test_decode_gives_back_what_was_rendered(name: str, size: int, kind: type) -> None:
    task = TASKS[name]
    for seed in range(6):
        rng = np.random.default_rng(seed)
        image = picture(size, rng)
        image = image if kind is np.uint8 else (image / 255).astype(np.float32)
        made = task.instruct(SUBJECTS, picture=image, rng=random.Random(seed))
        masks = Masks(discs(size, rng, 3), np.ones(3), SUBJECTS)
        target = masks.boxes() if name == "detect" else masks
        edited = task.render(image, target, made)
        assert edited.dtype == image.dtype
        got = task.decode(image, edited, made)
        assert got.labels == SUBJECTS and got.message == ""
        if isinstance(got, Boxes):
            assert match_boxes(got.xyxy, got.scores, target.xyxy, 0.97).all()
        else:
            assert min(iou(a, b) for a, b in zip(got.data, target.data, strict=True)) >= 0.99


@pytest.mark.parametrize("name", ["segment", "refer", "detect"])
def test_what_is_not_there_is_named_and_the_others_are_found(name: str) -> None:
    task, rng = TASKS[name], np.random.default_rng(5)
    image = picture(96, rng)
    masks = Masks(discs(96, rng, 3), np.ones(3), SUBJECTS)[[0, 2]]
    made = task.instruct(SUBJECTS, picture=image)
    got = task.decode(image, task.render(image, masks.boxes() if name == "detect" else masks, made), made)
    assert got.labels == ("the star", "the red car")
    assert got.message == "nothing found for 'the dog'"
    nothing = task.decode(image, image, made)
    assert len(nothing) == 0 and all(f"'{s}'" in nothing.message for s in SUBJECTS)


def test_boxes_that_overlap_come_back_whole() -> None:
    task, image = TASKS["detect"], picture(128, np.random.default_rng(1))
    wanted = [[10, 10, 80, 90], [60, 60, 118, 120], [20, 30, 50, 60]]  # a corner hidden, and one in another
    made = task.instruct(SUBJECTS, picture=image)
    got = task.decode(image, task.render(image, Boxes(wanted, np.ones(3), SUBJECTS, (128, 128)), made), made)
    assert got.labels == SUBJECTS
    np.testing.assert_allclose(got.xyxy, np.float32(wanted), atol=1.0)


def test_where_drawings_overlap_the_smaller_lies_on_top() -> None:
    copy = np.full((40, 40, 3), 0.5, np.float32)
    large, small = copy.copy(), copy.copy()
    large[5:35, 5:35] = (1, 0, 0)
    small[10:20, 10:20] = (0, 0, 1)
    for drawings in ([large, small], [small, large]):
        joined = join_drawings(copy, drawings)
        assert (joined[10:20, 10:20] == (0, 0, 1)).all() and (joined[30, 30] == (1, 0, 0)).all()
        assert (joined[0, 0] == 0.5).all()


def test_a_label_that_was_not_asked_for_is_refused() -> None:
    task, image = TASKS["segment"], picture(32, np.random.default_rng(0))
    target = Masks(discs(32, np.random.default_rng(0), 1), np.ones(1), ("the moon",))
    with pytest.raises(ValueError, match="'the moon' is none of"):
        task.render(image, target, task.instruct(SUBJECTS))


@pytest.mark.parametrize(
    ("words", "subjects"),
    [
        ("everything but the dog", ("the dog",)),
        ("all except the dog", ("the dog",)),
        ("Everything except for my dog.", ("the dog",)),
        ("everything that is not the dog", ("the dog",)),
        ("everything but the dog and the cat", ("the dog", "the cat")),
    ],
)
def test_everything_but_is_one_mask_of_the_rest(words: str, subjects: tuple[str, ...]) -> None:
    task, rng = TASKS["segment"], np.random.default_rng(2)
    image = picture(96, rng)
    made = task.instruct(words, picture=image)
    assert made.subjects == subjects and made.complement
    assert not any(q.complement for q in task.questions(made))
    things = discs(96, rng, len(subjects))
    label = "everything but " + " and ".join(subjects)
    parts = task.questions(made)
    drawn = join_drawings(
        image,
        [
            task.render(image, Masks(t[None], [1], (s,)), p)
            for t, s, p in zip(things, subjects, parts, strict=True)
        ],
    )
    got = task.decode(image, drawn, made)
    assert got.labels == (label,) and iou(got.data[0], ~things.any(0)) > 0.99
    if len(subjects) == 1:  # the contract
        assert iou(task.decode(image, task.render(image, got, made), made).data[0], got.data[0]) > 0.99
    nothing = task.decode(image, image, made)
    assert len(nothing) == 0 and "nothing found for 'the dog'" in nothing.message
