"""Augmentation: the target goes where the pixels go, the words follow, and chance is only in the seed."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from scipy import ndimage

from instructdiffusion.datasets import Record, join
from instructdiffusion.datasets.augmentation import FLIP, augment, fitted, looked_at, some_joints, view_of
from instructdiffusion.datasets.views import View
from instructdiffusion.results import Boxes, Keypoints, Label, Masks
from instructdiffusion.tasks import get_task

SEEDS = range(40)
JOINTS = tuple(
    f"the {side} {part}"
    for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "ear")
    for side in ("left", "right")
)


def blob(h, w, x, y, radius):
    rows, columns = np.mgrid[:h, :w] + 0.5
    return np.hypot(columns - x, rows - y) <= radius


@lru_cache
def masked(subject="the cup", h=120, w=180, x=70, y=50, radius=20):
    image, mask = np.full((h, w, 3), 90, np.uint8), blob(h, w, x, y, radius)
    image[mask] = (250, 240, 30)
    return Record(image, (subject,), Masks(mask[None], np.ones(1), (subject,)))


@lru_cache
def boxed():
    """Two yellow boxes on gray."""
    image, boxes = np.full((150, 200, 3), 90, np.uint8), [[20, 30, 50, 70], [120, 60, 170, 100]]
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2] = (250, 240, 30)
    target = Boxes(np.float32(boxes), np.ones(2), ("the cup",) * 2, (150, 200))
    return Record(image, ("the cup",), target)


@lru_cache
def person(h=200, w=300):
    """A white dot at each joint of a person in the middle of a gray picture."""
    image = np.full((h, w, 3), 60, np.uint8)
    side = np.tile([110.0, 190.0], 7) + np.repeat(np.arange(7) * 2.0, 2)
    xy = np.stack([side, 40.0 + 8.5 * np.arange(14)], axis=1) + 0.5
    for x, y in xy:
        image[blob(h, w, x, y, 2.5)] = 255
    target = Keypoints(np.float32(xy)[None], np.ones((1, 14), bool), np.ones((1, 14)), JOINTS, (h, w))
    meta = {"box": (100, 30, 215, 160), "window": (0, 0, w, h), "half_body": 0.3}
    return Record(image, JOINTS, target, meta=meta)


@lru_cache
def pair(h=90, w=140):
    rng = np.random.default_rng(0)
    clean = ndimage.gaussian_filter(rng.uniform(0, 255, (h, w, 3)), (3, 3, 0)).astype(np.uint8)
    return Record(clean[::-1].copy(), (), clean[::-1].copy())


def yellow(image):
    return (image[..., 0].astype(int) - image[..., 2]) > 80


# Targets


def test_masks_follow_the_picture_and_are_read_back():
    task, shown = get_task("segment"), 0
    for seed in SEEDS:
        seen = augment(masked(), "segment", seed, 128)
        assert seen.image.shape == (128, 128, 3)
        truth = seen.target.union() if len(seen.target) else np.zeros((128, 128), bool)
        assert (truth != yellow(seen.image)).sum() <= 0.06 * truth.sum() + 2
        assert ("absent" in seen.tags) == (not truth.any())
        example = join(seen, task, random.Random(seed))
        read = task.decode(example.source, example.target, example.instruction)
        np.testing.assert_array_equal(read.union() if len(read) else np.zeros_like(truth), truth)
        shown += bool(truth.any())
    assert shown > 20


def test_boxes_follow_the_picture_and_are_read_back():
    task, counts = get_task("detect"), set()
    for seed in SEEDS:
        seen = augment(boxed(), "detect", seed, 128)
        read_from_pixels, n = ndimage.label(yellow(seen.image))
        assert len(seen.target) == n
        found = sorted(
            (s[1].start, s[0].start, s[1].stop, s[0].stop) for s in ndimage.find_objects(read_from_pixels)
        )
        np.testing.assert_allclose(sorted(map(tuple, seen.target.xyxy)), found, atol=1.0) if n else None
        example = join(seen, task, random.Random(seed))
        read = task.decode(example.source, example.target, example.instruction)
        assert len(read) == n
        for box in seen.target.xyxy:
            assert np.abs(read.xyxy - box).max(1).min() < 0.6
        counts.add(n)
    assert {1, 2} <= counts  # crops do remove things


def test_joints_follow_the_picture_and_are_read_back():
    task, sizes, flipped = get_task("keypoints"), set(), 0
    for seed in SEEDS:
        seen = augment(person(), "keypoints", seed, 128)
        target = seen.target
        assert 1 <= len(seen.subjects) <= 5 and seen.subjects == target.names
        for (x, y), visible in zip(target.xy[0], target.visible[0]):
            if visible and 2 < min(x, y) and max(x, y) < 126:
                assert seen.image[int(y), int(x)].min() > 130
        example = join(seen, task, random.Random(seed))
        read = task.decode(example.source, example.target, example.instruction)
        inner = target.visible[0] & (target.xy[0] > 5).all(1) & (target.xy[0] < 123).all(1)
        assert inner.any() <= len(read)
        if inner.any():
            assert np.abs(read.xy[0] - target.xy[0])[inner].max() < 0.6 and read.visible[0][inner].all()
        assert ("absent" in seen.tags) == (not target.visible.any())
        sizes.add(len(seen.subjects))
        flipped += seen.meta.get("mirrored", False)
    assert sizes == {1, 2, 3, 4, 5} and 0.2 < flipped / len(SEEDS) < 0.8


def test_a_mirrored_person_has_left_and_right_exchanged():
    """Left joints lie on the left half of the made-up picture: mirrored, the left half's are the right ones."""
    for seed in SEEDS:
        record = person()
        view = view_of(record, "keypoints", random.Random(f"augment {seed}"), 128)
        seen = augment(record, "keypoints", seed, 128)
        mirrored = seen.meta.get("mirrored", False)
        for name, xy, visible in zip(seen.target.names, seen.target.xy[0], seen.target.visible[0]):
            other = (
                name.replace("left", "?").replace("right", "left").replace("?", "right") if mirrored else name
            )
            where = view.points(record.target.xy[0, JOINTS.index(other)])
            if mirrored:
                where[0] = 128 - where[0]
            if visible:
                np.testing.assert_allclose(xy, where, atol=1e-3)


def test_people_are_turned_scaled_and_cut_as_the_paper_says():
    views = [view_of(person(), "keypoints", random.Random(s), 64) for s in range(400)]
    turned = [v.angle for v in views if v.angle]
    assert abs(len(turned) / 400 - 0.6) < 0.08 and max(map(abs, turned)) <= 90 and 30 < np.std(turned) < 55
    full = [v for v in views if v.center == (157.5, 95.0)]
    assert 0.6 < len(full) / 400 < 0.8  # the others are of half the body
    ratios = np.array([v.extent[0] / (1.25 * 130) for v in full])
    assert ratios.min() >= 0.65 - 1e-9 and ratios.max() <= 1.35 + 1e-9 and abs(ratios.mean() - 1) < 0.06
    plain = view_of(person(), "keypoints", None, 64)
    assert plain.angle == 0 and plain.extent == (162.5, 162.5) and plain.center == (157.5, 95.0)


@pytest.mark.parametrize(("joints", "share", "halved"), [(9, 1.0, True), (8, 1.0, False), (9, 0.0, False)])
def test_half_bodies_are_of_more_than_eight_joints_where_the_dataset_has_them(joints, share, halved):
    record = person()
    visible = np.arange(14)[None] < joints
    target = replace(record.target, visible=visible, scores=visible.astype(float))
    record = replace(record, target=target, meta={**record.meta, "half_body": share})
    views = [view_of(record, "keypoints", random.Random(seed), 64) for seed in range(40)]
    assert any(view.center != (157.5, 95.0) for view in views) == halved


def test_no_disc_hides_another():
    """Joints in pairs two pixels apart: never both of a pair, unless one of them does not show anyway."""
    pairs = np.float32([[10 + 12 * n + 2 * k, 50] for n in range(7) for k in range(2)])
    visible = np.ones((1, 14), bool)
    visible[0, 1] = False
    target = Keypoints(pairs[None], visible, np.ones((1, 14)), JOINTS, (128, 128))
    record, counts, hidden = Record(np.zeros((128, 128, 3), np.uint8), JOINTS, target), set(), 0
    for seed in range(200):
        seen = some_joints(record, random.Random(seed))
        columns = [JOINTS.index(name) for name in seen.subjects]
        drawn = [column // 2 for column in columns if column != 1]
        assert len(set(drawn)) == len(drawn)
        np.testing.assert_array_equal(seen.target.xy[0], pairs[columns])
        hidden += {0, 1} <= set(columns)
        counts.add(len(columns))
    assert counts == {1, 2, 3, 4, 5} and hidden


def test_a_joint_beside_the_view_is_asked_for_and_not_drawn():
    record = person()
    record = Record(record.image, record.subjects, record.target, meta={"box": (100, 30, 140, 60)})
    seen = looked_at(record, view_of(record, "keypoints", None, 64))
    shown = seen.target.visible[0]
    assert shown.any() and not shown.all() and seen.tags == {"hidden"}
    assert (seen.target.xy[0][~shown] == 0).all()
    away = looked_at(record, View((10, 190), (16, 16), (64, 64)))
    assert away.tags == {"absent"} and not away.target.visible.any()


# Edges


@pytest.mark.parametrize("task", ["segment", "detect", "classify", "refer"])
def test_nothing_left_in_the_crop(task):
    record = boxed() if task == "detect" else masked()
    if task == "classify":
        label = Label("cup", {"cup": 1.0, "dog": 0.0})
        record = Record(record.image, ("cup", "dog"), (label, record.target.union()))
    view = View.of_window((0, 105, 15, 120), (32, 32))
    seen = looked_at(record, view)
    assert seen.tags == {"absent"}
    if task == "classify":
        assert seen.target[0].name is None and not seen.target[1].any()
    else:
        assert len(seen.target) == 0 and seen.target.canvas_size == (32, 32)
    example = join(seen, get_task(task), random.Random(0))
    np.testing.assert_array_equal(example.target, example.source)


def test_things_of_one_pixel():
    image, data = np.zeros((64, 64, 3), np.uint8), np.zeros((2, 64, 64), bool)
    image[10, 20], data[0, 10, 20] = 255, True
    data[1, 40:60, 40:60] = True
    record = Record(image, ("the dot",), Masks(data, np.ones(2), ("a", "b")))
    same = looked_at(record, View.of_window((0, 0, 64, 64), (64, 64))).target
    assert same.labels == ("a", "b") and same.data[0].sum() == 1 and same.data[0, 10, 20]
    large = looked_at(record, View.of_window((16, 6, 32, 22), (64, 64)))
    assert (
        large.target.labels == ("a",) and large.target.data[0].sum() == 16 and large.image[18, 18].min() > 200
    )
    small = looked_at(record, View.of_window((0, 0, 64, 64), (8, 8))).target
    assert small.labels in (("b",), ("a", "b"))  # kept where a centre falls on it
    only = looked_at(
        Record(image, ("the dot",), Masks(data[:1], np.ones(1), ("a",))), View((50, 50), (9, 9), (8, 8))
    )
    assert only.tags == {"absent"} and len(only.target) == 0


def test_pictures_smaller_than_the_size_and_odd_shapes():
    for h, w in ((8, 300), (300, 8), (9, 9), (33, 57)):
        for task in ("segment", "refer"):
            record = masked(h=h, w=w, x=w / 2, y=h / 2, radius=3)
            for seed in range(6):
                seen = augment(record, task, seed, 64)
                assert seen.image.shape == (64, 64, 3) and seen.target.canvas_size == (64, 64)
    with pytest.raises(ValueError, match="at least 8"):
        augment(masked(), "segment", 0, 4)


# Words


@pytest.mark.parametrize(
    ("words", "swapped"),
    [
        ("the left cup", "the right cup"),
        ("cup right of it", "cup left of it"),
        ("leftmost cup", "rightmost cup"),
    ],
)
def test_words_of_side_are_exchanged_with_the_picture(words, swapped):
    seen_both = set()
    for seed in SEEDS:
        seen = augment(masked(words, x=40), "refer", seed, 64)
        mirrored = seen.meta.get("mirrored", False)
        assert seen.subjects == ((swapped,) if mirrored else (words,)) == seen.target.labels
        x = np.nonzero(seen.target.union())[1].mean() + 0.5
        assert (x > 32) == mirrored
        np.testing.assert_allclose(
            seen.meta["view"], [[64 / 180, 0, 0], [0, 64 / 120, 0]], atol=1e-9
        )  # all of it
        seen_both.add(mirrored)
    assert seen_both == {True, False}


@pytest.mark.parametrize(
    "words", ["the sign that says stop", "player 23", "the clock", 'the cup with "A"', "the text"]
)
def test_what_a_mirror_would_make_wrong_is_not_mirrored(words):
    assert not any(augment(masked(words), "refer", s, 32).meta.get("mirrored") for s in SEEDS)


@pytest.mark.parametrize(
    "words",
    [
        *("lft guy", "guy on l", "R girl", "top rt", "lt blue", "the one rgt of it"),
        *(
            "who left",
            "the dog that left",
            "only one left standing",
            "last cup left",
            "nothing left",
            "it left",
        ),
        *("the right color", "make it right", "in the right light", "the right size", "looks right"),
        *("pizza right in front", "looking right at us", "cup left on the table", "the slice that is left"),
    ],
)
def test_words_that_may_name_no_side_are_not_mirrored(words):
    assert not any(augment(masked(words), "refer", s, 32).meta.get("mirrored") for s in SEEDS)


@pytest.mark.parametrize(
    ("words", "swapped"),
    [
        ("guy on left in red", "guy on right in red"),
        ("the one on the right behind the table", "the one on the left behind the table"),
        ("bottom right next to the door", "bottom left next to the door"),
        ("one left of the cup", "one right of the cup"),
        ("all right, left man", "all right, right man"),
    ],
)
def test_words_that_do_name_a_side_are(words, swapped):
    seen = [augment(masked(words), "refer", s, 32) for s in SEEDS]
    assert {s.subjects[0] for s in seen} == {words, swapped}
    assert all(s.meta.get("mirrored", False) == (s.subjects == (swapped,)) for s in seen)


def test_a_caption_that_may_name_no_side_is_not_mirrored():
    record = replace(masked("the cup"), caption="the last cup left")
    assert not any(augment(record, "segment", s, 32).meta.get("mirrored") for s in SEEDS)


def test_a_phrase_keeps_all_that_it_means():
    for seed in SEEDS:
        seen = augment(masked("the cup with a handle", x=150, y=100, radius=15), "refer", seed, 120)
        zoom = 120 / (np.linalg.inv(np.vstack([seen.meta["view"], [0, 0, 1]]))[0, 0] * 120)
        assert abs(seen.target.union().sum() / (zoom**2 * masked(radius=15).target.union().sum()) - 1) < 0.05


def test_colours_stay_as_they_are():
    for seed in SEEDS:
        view = augment(masked("the cup"), "segment", seed, 32).image
        assert (view == (90, 90, 90)).all(2).mean() > 0.3


# Pairs


@pytest.mark.parametrize("task", ["denoise", "deblur", "dewatermark", "edit"])
def test_both_pictures_of_a_pair_are_treated_as_one(task):
    record = pair()
    record = Record(record.image, ("make it warmer",) if task == "edit" else (), record.target)
    flipped = 0
    for seed in SEEDS:
        seen = augment(record, task, seed, 64)
        np.testing.assert_array_equal(seen.image, seen.target)
        flipped += seen.meta.get("mirrored", False)
    assert flipped == 0 if task == "dewatermark" else abs(flipped / len(SEEDS) - FLIP) < 0.25


def test_noise_is_cut_out_at_its_own_scale():
    record = pair()
    for seed in range(10):
        seen = augment(record, "denoise", seed, 64)
        out = seen.image[:, ::-1] if seen.meta.get("mirrored") else seen.image
        found = [
            (y, x)
            for y in range(27)
            for x in range(77)
            if np.array_equal(record.image[y : y + 64, x : x + 64], out)
        ]
        assert len(found) == 1


def test_edits_are_shown_whole_and_letters_unmirrored():
    record = pair()
    for words, may in (
        ("add a cat on the left", True),
        ("write hello on it", False),
        ("rotate it clockwise", False),
    ):
        mirrored = set()
        for seed in SEEDS:
            seen = augment(Record(record.image, (words,), record.target), "edit", seed, 64)
            turned = seen.meta.get("mirrored", False)
            np.testing.assert_allclose(
                np.abs(seen.meta["view"]), [[64 / 140, 0, 0], [0, 64 / 90, 0]], atol=1e-9
            )
            assert seen.subjects == (words.replace("left", "right") if turned else words,)
            mirrored.add(turned)
        assert mirrored == ({True, False} if may else {False})


# Chance


@pytest.mark.parametrize("task", ["segment", "detect", "keypoints", "deblur"])
def test_the_same_seed_gives_the_same_and_others_differ(task):
    record = {"segment": masked, "detect": boxed, "keypoints": person, "deblur": pair}[task]()
    before = record.image.copy()
    random.seed(1)
    np.random.seed(1)
    first = augment(record, task, 3, 64)
    random.seed(2)
    np.random.seed(2)
    again = augment(record, task, 3, 64)
    np.testing.assert_array_equal(first.image, again.image)
    assert first.subjects == again.subjects and first.meta == again.meta
    np.testing.assert_array_equal(record.image, before)
    assert len({augment(record, task, s, 64).image.tobytes() for s in range(12)}) > 6


def test_the_plain_view_has_no_chance_in_it():
    for record, task in (
        (masked(), "segment"),
        (boxed(), "detect"),
        (pair(), "deblur"),
        (masked("cup"), "refer"),
    ):
        a, b = fitted(record, task, 64, 0), fitted(record, task, 64, 1)
        np.testing.assert_array_equal(a.image, b.image)
        assert a.subjects == record.subjects and "mirrored" not in a.meta
