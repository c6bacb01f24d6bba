"""Records and examples: what is refused, and colours that can be seen where they are drawn."""

from __future__ import annotations

import random

import numpy as np
import pytest

from instructdiffusion.datasets.records import Record, free_colors, join
from instructdiffusion.imaging.colors import MASK_COLORS
from instructdiffusion.results import Label, Masks
from instructdiffusion.tasks import get_task


def square(color, subjects=("the square",)):
    image = np.full((64, 64, 3), 128, np.uint8)
    image[20:40, 20:40] = color
    mask = np.zeros((1, 64, 64), bool)
    mask[0, 20:40, 20:40] = True
    return Record(image, subjects, Masks(mask, np.ones(1, np.float32), ("the square",)))


@pytest.mark.parametrize("color", MASK_COLORS, ids=lambda c: c.name)
def test_colors_stand_out_from_the_whole_picture(color):
    record = square(color.rgb)
    for seed in range(20):
        (chosen,) = free_colors(record.image, MASK_COLORS, 1, random.Random(seed))
        assert np.linalg.norm(chosen.array - color.array) >= 0.4
        assert chosen.name != "gray"  # the background's


def test_colors_do_not_give_the_answer_away():
    record = square((255, 0, 0))
    nothing = Record(record.image, record.subjects, Masks.empty(64, 64))
    for seed in range(20):
        pair = [join(r, get_task("segment"), random.Random(seed)).instruction for r in (record, nothing)]
        assert pair[0] == pair[1]


def test_colors_vary_and_are_those_of_the_example():
    record = square((255, 0, 0))
    examples = [join(record, get_task("segment"), random.Random(seed)) for seed in range(40)]
    assert len({e.instruction.color.name for e in examples}) >= 3
    assert len({e.instruction.text.replace(e.instruction.color.name, "") for e in examples}) >= 4
    for example in examples:
        assert example.instruction.color.name in example.instruction.text
        np.testing.assert_array_equal(example.source, record.image)
        assert (example.target != example.source).any(2)[record.target.union()].all()


def test_every_point_gets_its_own_color():
    image = np.full((64, 64, 3), 255, np.uint8)
    palette = get_task("keypoints").palette
    for seed in range(30):
        colors = free_colors(image, palette, 5, random.Random(seed))
        assert len({c.name for c in colors}) == 5
        assert all(c.name != "white" for c in colors)
    with pytest.raises(ValueError, match="as many colours"):
        free_colors(image, palette, len(palette) + 1, random.Random(0))


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
