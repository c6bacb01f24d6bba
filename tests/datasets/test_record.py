"""Records and examples: what is refused, and colours that can be seen where they are drawn."""

from __future__ import annotations

import random

import numpy as np
import pytest

from instructdiffusion.color import MASK_COLORS
from instructdiffusion.datasets.record import Record, join, visible_colors
from instructdiffusion.results import Keypoints, Label, Masks
from instructdiffusion.tasks import get_task


def square(color, subjects=("the square",)):
    image = np.full((64, 64, 3), 128, np.uint8)
    image[20:40, 20:40] = color
    mask = np.zeros((1, 64, 64), bool)
    mask[0, 20:40, 20:40] = True
    return Record(image, subjects, Masks(mask, np.ones(1, np.float32), ("the square",)))


@pytest.mark.parametrize("color", MASK_COLORS, ids=lambda c: c.name)
def test_mask_color_stands_out_from_the_region(color):
    record = square(color.rgb)
    for seed in range(20):
        (chosen,) = visible_colors(record, MASK_COLORS, random.Random(seed))
        assert np.linalg.norm(chosen.array - color.array) >= 0.5


def test_colors_vary_and_are_those_of_the_example():
    record = square((255, 0, 0))
    examples = [join(record, get_task("segment"), random.Random(seed)) for seed in range(40)]
    assert len({e.instruction.color.name for e in examples}) >= 4
    assert len({e.instruction.text.replace(e.instruction.color.name, "") for e in examples}) >= 4
    for example in examples:
        assert example.instruction.color.name in example.instruction.text
        np.testing.assert_array_equal(example.source, record.image)
        assert (example.target != example.source).any(2)[record.target.union()].all()


def test_every_point_gets_its_own_visible_color():
    image = np.full((64, 64, 3), 255, np.uint8)
    image[:, 32:] = 0
    names = tuple(f"the point {i}" for i in range(5))
    xy = np.array([[[8 + 12 * i, 32] for i in range(5)]], np.float32)
    target = Keypoints(xy, np.ones((1, 5), bool), np.ones((1, 5), np.float32), names, (64, 64))
    palette = get_task("keypoints").palette
    for seed in range(30):
        colors = visible_colors(Record(image, names, target), palette, random.Random(seed))
        assert len({c.name for c in colors}) == 5
        assert all(c.name != "white" for c in colors[:2]) and all(c.name != "black" for c in colors[3:])


def test_held_out_words_are_not_those_of_training():
    record = square((255, 0, 0))
    texts = [
        {join(record, get_task("segment"), random.Random(s), held_out=h).instruction.text for s in range(80)}
        for h in (False, True)
    ]
    assert texts[0] and texts[1] and not texts[0] & texts[1]


def test_a_label_of_none_leaves_the_picture():
    image = square((255, 0, 0)).image
    record = Record(image, ("a dog", "a cat"), (Label(None, {}), np.zeros((64, 64), bool)))
    example = join(record, get_task("classify"), random.Random(0))
    np.testing.assert_array_equal(example.target, image)


@pytest.mark.parametrize(
    ("image", "subjects", "error"),
    [
        (np.zeros((8, 8, 3), np.float32), ("the dog",), TypeError),
        (np.zeros((8, 8, 4), np.uint8), ("the dog",), ValueError),
        (np.zeros((8, 8), np.uint8), ("the dog",), TypeError),
        (np.zeros((8, 8, 3), np.uint8), "the dog", TypeError),
    ],
)
def test_bad_records_are_refused(image, subjects, error):
    with pytest.raises(error):
        Record(image, subjects, None)
