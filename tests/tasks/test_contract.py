"""What every task owes: words, and decode(image, render(image, y, i), i) gives y back."""

from __future__ import annotations

import random
import re
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from instructdiffusion.evaluation.metrics.box_metrics import match_boxes
from instructdiffusion.imaging.colors import MARK_COLORS, Color
from instructdiffusion.results import Boxes, Keypoints, Label, Masks
from instructdiffusion.tasks import TASKS, Instruction, Task, get_task

NAMES = "segment refer keypoints detect classify align denoise deblur dewatermark edit".split()
JOINTS = ("the left shoulder", "the right knee", "the nose", "the left wrist", "the right ankle")
KINDS = ("a dog", "a cat", "a star", "a man")
each_task = pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))


def subjects_for(task: Task) -> Any:
    if task.max_subjects == 0:
        return None
    if task.name in ("keypoints", "align"):
        return JOINTS
    return {"classify": KINDS, "edit": "add a red star on the left"}.get(task.name, "the red star")


def picture(size: int, rng: np.random.Generator) -> np.ndarray:
    """A smooth background with one object of another colour; uint8."""
    ground = ndimage.gaussian_filter(rng.normal(0, 1, (size, size, 3)), (size / 12, size / 12, 0))
    return np.clip(rng.integers(40, 216, 3) + ground / ground.std() * 25, 0, 255).astype(np.uint8)


def blob(size: int, rng: np.random.Generator) -> np.ndarray:
    ys, xs = np.mgrid[:size, :size] + 0.5
    x, y = rng.uniform(0.2, 0.8, 2) * size
    a, b = rng.uniform(0.08, 0.25, 2) * size
    return ((xs - x) / a) ** 2 + ((ys - y) / b) ** 2 < 1


def truth(task: Task, size: int, subjects: tuple[str, ...], rng: np.random.Generator) -> Any:
    if task.name in ("segment", "refer"):
        data = np.stack([blob(size, rng) for _ in range(1 if task.name == "refer" else 3)])
        return Masks(data, np.ones(len(data)), subjects * len(data))
    if task.name in ("keypoints", "align"):
        xy = rng.uniform(0.03, 0.97, (1, len(subjects), 2)) * size
        visible = rng.random((1, len(subjects))) < 0.75
        visible[0, rng.integers(len(subjects))] = True
        return Keypoints(xy, visible, visible, subjects, (size, size))
    if task.name == "detect":
        x, y = rng.uniform(0, 0.2, 2) * size
        first = (x, y, x + 0.3 * size, y + 0.35 * size)
        second = (x + 0.2 * size, y + 0.15 * size, x + 0.55 * size, y + 0.45 * size)  # overlaps the first
        third = (0.7 * size, 0.72 * size, size, 0.95 * size)
        return Boxes([first, second, third], np.ones(3), subjects * 3, (size, size))
    if task.name == "classify":
        return Label(subjects[int(rng.integers(len(subjects)))]), blob(size, rng)
    return picture(size, rng)


def nothing(task: Task, size: int, subjects: tuple[str, ...]) -> Any:
    if task.name in ("segment", "refer"):
        return Masks.empty(size, size)
    if task.name in ("keypoints", "align"):
        return Keypoints.empty(subjects, size, size)
    if task.name == "detect":
        return Boxes.empty(size, size)
    return Label(None), np.zeros((size, size), bool)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def check_same(got: Any, want: Any, size: int) -> None:
    if isinstance(want, Masks):
        assert iou(got.union(), want.union()) >= 0.995
        assert len(got) >= 1 and set(got.labels) == set(want.labels) and got.message == ""
    elif isinstance(want, Keypoints):
        assert got.names == want.names and got.visible.tolist() == want.visible.tolist()
        error = np.linalg.norm(got.xy - want.xy, axis=-1)[want.visible] * 256 / size
        assert error.max() <= 0.3
    elif isinstance(want, Boxes):
        assert len(got) == len(want)
        assert match_boxes(got.xyxy, got.scores, want.xyxy, 0.98).all()
    elif isinstance(want, tuple):
        assert got.name == want[0].name and got.scores[got.name] > 0.8
    else:
        np.testing.assert_array_equal(got, want)


def place_apart(points: Keypoints, size: int, rng: np.random.Generator) -> Keypoints:
    """A later disc may hide part of an earlier one, not all of it."""
    while True:
        xy = rng.uniform(0.03, 0.97, points.xy.shape) * size
        gaps = np.linalg.norm(xy[0, :, None] - xy[0, None], axis=-1) + np.eye(xy.shape[1]) * size
        if gaps.min() > max(2.2, size * 10 / 256):
            return Keypoints(xy, points.visible, points.scores, points.names, points.canvas_size)


@each_task
@pytest.mark.parametrize("size", [64, 256])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_decode_gives_back_what_was_rendered(task: Task, size: int, kind: type) -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        image = picture(size, rng)
        image = image if kind is np.uint8 else (image / 255).astype(np.float32)
        instruction = task.instruct(subjects_for(task), picture=image, rng=random.Random(seed))
        target = truth(task, size, instruction.subjects, rng)
        if isinstance(target, Keypoints):
            target = place_apart(target, size, rng)
        before = image.copy()
        edited = task.render(image, target, instruction)
        assert edited.shape == image.shape and edited.dtype == image.dtype
        np.testing.assert_array_equal(image, before)
        want = target
        if isinstance(target, np.ndarray) and kind is not np.uint8:
            want = (target / 255.0).astype(np.float32)
        check_same(task.decode(image, edited, instruction), want, size)


@each_task
def test_absent_subject_leaves_the_picture_and_is_said(task: Task) -> None:
    if not task.perception:
        pytest.skip("the answer is the picture itself")
    image = picture(64, np.random.default_rng(1))
    instruction = task.instruct(subjects_for(task), picture=image)
    edited = task.render(image, nothing(task, 64, instruction.subjects), instruction)
    np.testing.assert_array_equal(edited, image)
    noise = np.random.default_rng(2).normal(0, 0.03, image.shape)
    for answer in (edited, np.clip(image / 255 + noise, 0, 1).astype(np.float32)):
        result = task.decode(image, answer, instruction)
        assert len(result) == 0
        assert "nothing found" in result.message and instruction.subject in result.message


@each_task
def test_class_attributes(task: Task) -> None:
    assert get_task(task.name) is task
    assert len(set(task.templates)) == len(task.templates) >= 10
    assert len(set(task.paraphrases)) == len(task.paraphrases) >= 4
    assert not set(task.templates) & set(task.paraphrases)
    assert len(task.guidance) == 2
    assert task.perception == (task.name in NAMES[:6])
    assert task.local == (task.name != "denoise")
    for template in task.templates + task.paraphrases:
        assert template == template.lower()
        assert ("{subject}" in template) == (task.max_subjects > 0)
        assert ("{color}" in template) == bool(task.palette)
        assert len(re.sub(r"\{subject\}", "", template).split()) <= 14


def test_held_out_paraphrases_use_words_that_training_sees() -> None:
    def words(texts: tuple[str, ...]) -> set[str]:
        return set(re.findall(r"[a-z]+", re.sub(r"\{\w+\}", "", " ".join(texts))))

    known = set().union(*(words(task.templates) for task in TASKS.values()))
    for task in TASKS.values():
        assert words(task.paraphrases) <= known


@each_task
def test_instructions_are_lower_case_and_short(task: Task) -> None:
    texts = set()
    for seed in range(60):
        rng = random.Random(seed)
        for held_out in (False, True):
            made = task.instruct(subjects_for(task), rng=rng, held_out=held_out)
            texts.add(made.text)
            assert made.text == made.text.lower() and not re.search(r"[\[\]{}]", made.text)
            assert len(re.findall(r"[\w']+|[^\w\s]", made.text)) <= 46
            assert all(c.name in made.text for c in made.colors)
            assert made.task == task.name and isinstance(made, Instruction)
    assert len(texts) >= len(task.templates)


@each_task
def test_instruct_is_a_function_of_its_arguments(task: Task) -> None:
    subjects = subjects_for(task)
    assert task.instruct(subjects) == task.instruct(subjects)
    assert task.instruct(subjects, rng=random.Random(3)) == task.instruct(subjects, rng=random.Random(3))
    for template_pool, held_out in ((task.templates, False), (task.paraphrases, True)):
        assert task.instruct(subjects, held_out=held_out).text.split()[-1]
        assert len(template_pool) >= 4


def test_names_are_exactly_these() -> None:
    assert list(TASKS) == NAMES
    with pytest.raises(ValueError, match="unknown task 'paint'.*segment, refer"):
        get_task("paint")


def test_colours_in_words_become_colours() -> None:
    made = TASKS["keypoints"].instruct(JOINTS[:2], ["green", Color("teal", (0, 128, 128))])
    assert [c.rgb for c in made.colors] == [(0, 255, 0), (0, 128, 128)]
    assert made.text == "put a green disc on the left shoulder and a teal disc on the right knee"
    assert TASKS["segment"].instruct("The  Red Star. ", ["Green"]).subject == "the red star"
    assert TASKS["segment"].instruct("the star", ["green"]).color == Color("green", (0, 128, 0))


def test_a_shared_owner_is_said_once() -> None:
    made = TASKS["keypoints"].instruct(["the nose of the man", "the left ear of the man"], ["red", "blue"])
    assert made.text == "put a red disc on the nose and a blue disc on the left ear of the man"
    assert made.subjects == ("the nose of the man", "the left ear of the man")
    made = TASKS["keypoints"].instruct(["the nose of the man", "the tail of the dog"], ["red", "blue"])
    assert "nose of the man" in made.text and "tail of the dog" in made.text


@pytest.mark.parametrize(
    ("name", "subjects", "colors", "error", "words"),
    [
        ("segment", None, None, ValueError, "one subject"),
        ("segment", "  ", None, ValueError, "empty"),
        ("segment", [f"s{i}" for i in range(9)], None, ValueError, "1 to 8 subjects, got 9"),
        ("segment", ["the star", "the star"], None, ValueError, "once"),
        ("segment", ["the star", "everything but the dog"], None, ValueError, "leaves something out"),
        ("segment", "all stars except the red one", None, ValueError, "leaves something out"),
        ("refer", "everything but the dog", None, ValueError, "have segment mark"),
        ("detect", "everything except the dog", None, ValueError, "have segment mark"),
        ("segment", "the star", ["mauve"], ValueError, "unknown colour 'mauve'"),
        ("segment", "the star", ["red", "blue"], ValueError, "need 1 colours"),
        ("segment", 3, None, TypeError, r"segment: expected words, as 'the red star'; got 3 \(int\)"),
        ("segment", b"a star", None, TypeError, r"expected words.*got b'a star' \(bytes\)"),
        ("refer", {"a": 1}, None, TypeError, r"expected words.*\(dict\)"),
        ("detect", {"a", "b"}, None, TypeError, r"expected words.*\(set\)"),
        ("segment", np.zeros((9, 9, 3)), None, TypeError, r"expected words.*\(ndarray\)"),
        ("segment", [], None, ValueError, "one subject, got none: say it in words, as 'the red star'"),
        ("edit", None, None, ValueError, "one subject, got none: .*as 'add a red star on the left'"),
        ("edit", True, None, TypeError, r"got True \(bool\)"),
        ("keypoints", ["a", 3], None, TypeError, r"as 'the left shoulder', or a list of them; got 3 \(int\)"),
        ("align", [["the left eye"]], None, TypeError, r"as 'the left eye'.*got \['the left eye'\] \(list\)"),
        ("classify", [None], None, TypeError, r"expected words, as 'a dog'.*got None \(NoneType\)"),
        ("classify", iter(["a dog"]), None, TypeError, "expected words"),
        ("denoise", 3, None, TypeError, "expected no subject; got 3"),
        ("segment", "the star", 5, TypeError, r"expected a colour's name.*got 5 \(int\)"),
        ("segment", "the star", b"red", TypeError, r"got b'red' \(bytes\)"),
        ("segment", "the star", [5], TypeError, "a colour name is a string, got int"),
        ("keypoints", ["a", "a"], None, ValueError, "once"),
        ("keypoints", ["a", "b"], ["red", "red"], ValueError, "differ"),
        ("keypoints", [f"p{i}" for i in range(10)], None, ValueError, "1 to 9"),
        ("denoise", "the dog", None, ValueError, "no subject"),
        ("edit", "add a dog", ["red"], ValueError, "no colour"),
    ],
)
def test_instruct_refuses(name: str, subjects: Any, colors: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        TASKS[name].instruct(subjects, colors)


def test_an_array_of_words_is_a_list_of_them() -> None:
    made = TASKS["classify"].instruct(np.array(["a dog", "a cat"]), np.array(["red", "blue"]))
    assert made == TASKS["classify"].instruct(["a dog", "a cat"], ["red", "blue"])


@each_task
def test_render_and_decode_refuse(task: Task) -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    made = task.instruct(subjects_for(task))
    with pytest.raises((TypeError, ValueError)):
        task.render(image, "a mask", made)
    with pytest.raises(ValueError, match="differ in size"):
        task.decode(image, np.zeros((16, 16, 3), np.uint8), made)
    with pytest.raises(ValueError, match="shape"):
        task.decode(image[..., 0], image[..., 0], made)
    with pytest.raises(TypeError, match="uint8 or float"):
        task.decode(image.astype(np.int32), image, made)
    wrong = truth(task, 64, made.subjects, np.random.default_rng(0))
    with pytest.raises(ValueError):
        task.render(image, wrong, made)


def test_segment_rows_are_objects_and_refer_is_one() -> None:
    image = np.full((64, 64, 3), 200, np.uint8)
    data = np.zeros((2, 64, 64), bool)
    data[0, 5:20, 5:20] = True
    data[1, 40:48, 40:48] = True
    target = Masks(data, [1, 1], ("the stars",) * 2)
    task = TASKS["segment"]
    made = task.instruct("the stars", picture=image)
    edited = task.render(image, target, made)
    rows = task.decode(image, edited, made)
    assert [int(m.sum()) for m in rows.data] == [225, 64] and rows.scores.min() > 0.95
    assert len(task.decode(image, edited, made, per_object=False)) == 1
    refer = TASKS["refer"]
    made = refer.instruct("the star", picture=image)
    assert len(refer.decode(image, refer.render(image, target, made), made)) == 1


def test_masks_come_at_the_size_of_a_guide() -> None:
    ys, xs = np.mgrid[:256, :256]
    disc = (xs - 120) ** 2 + (ys - 130) ** 2 < 60**2
    large = np.where(disc[..., None], (220, 200, 40), (40, 60, 90)).astype(np.uint8)
    small = large.reshape(64, 4, 64, 4, 3).mean((1, 3)).astype(np.uint8)
    small_mask = disc.reshape(64, 4, 64, 4).mean((1, 3)) >= 0.5
    task = TASKS["segment"]
    made = task.instruct("the sun", picture=small)
    edited = task.render(small, Masks(small_mask[None], [1], ("the sun",)), made)
    found = task.decode(small, edited, made, guide=large)
    assert found.canvas_size == (256, 256) and iou(found.union(), disc) > 0.985


def test_keypoints_are_drawn_in_the_order_asked_for() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    task = TASKS["keypoints"]
    red, blue = MARK_COLORS[0], MARK_COLORS[2]
    made = task.instruct(["the nose", "the mouth"], [red, blue])
    both = Keypoints([[[30, 30], [31, 30]]], [[True, True]], [[1, 1]], ("the mouth", "the nose"), (64, 64))
    edited = task.render(image, both, made)
    assert edited[30, 30].tolist() == [0, 0, 255]  # the mouth was asked for last and lies on top
    with pytest.raises(ValueError, match="the ear"):
        task.render(image, both, task.instruct(["the ear"], [red]))


def test_missing_points_are_named() -> None:
    image = np.full((64, 64, 3), 120, np.uint8)
    task = TASKS["keypoints"]
    made = task.instruct(["the nose", "the tail"], ["red", "blue"])
    drawn = Keypoints([[[20.5, 30.25], [0, 0]]], [[True, False]], [[1, 0]], made.subjects, (64, 64))
    found = task.decode(image, task.render(image, drawn, made), made)
    assert found.visible.tolist() == [[True, False]]
    assert found.message == "nothing found for 'the tail'"


@pytest.mark.parametrize("name", ["segment", "refer"])
def test_a_guide_neither_fills_what_is_empty_nor_leaves_specks_and_pinholes(name, monkeypatch) -> None:
    task = TASKS[name]
    rng = np.random.default_rng(2)
    large = rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)
    small = large.reshape(64, 4, 64, 4, 3).mean((1, 3)).astype(np.uint8)
    made = task.instruct("the sun", picture=small)
    module = "instructdiffusion.tasks.mask_task.guided_mask"
    lifted = np.zeros((256, 256), np.float32)
    lifted[60:160, 60:160] = 1
    lifted[100:103, 100:103] = 0  # a pinhole, smaller than a pixel of the small picture
    lifted[200:206, 200:206] = 1  # a speck of 36 pixels: 2.25 of the small picture, where 3 count
    monkeypatch.setattr(module, lambda soft, guide: lifted)
    empty = task.decode(small, small, made, guide=large)
    assert len(empty) == 0 and empty.canvas_size == (256, 256) and "the sun" in empty.message
    mask = np.zeros((64, 64), bool)
    mask[15:40, 15:40] = True
    edited = task.render(small, Masks(mask[None], [1], ("the sun",)), made)
    whole = np.zeros((256, 256), bool)
    whole[60:160, 60:160] = True
    found = task.decode(small, edited, made, guide=large)
    assert len(found) == 1 and np.array_equal(found.union(), whole)
    assert len(task.decode(small, edited, made, guide=large, min_area=10_000)) == 0
    if name == "segment":  # counted at the small size: 2 pixels there are 32 of the large one
        assert len(task.decode(small, edited, made, guide=large, min_area=2)) == 2
