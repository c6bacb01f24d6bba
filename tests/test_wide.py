"""Pictures of other shapes than squares, asked of the model that ships."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from instructdiffusion import InstructDiffusion
from instructdiffusion.datasets.synthetic import ratio_size
from instructdiffusion.datasets.synthetic.examples import make_example
from instructdiffusion.inference.located import spatial_phrase
from instructdiffusion.inference.options import SamplingOptions
from instructdiffusion.inference.request import Request
from instructdiffusion.tasks import get_task


@pytest.fixture(scope="module")
def tiny() -> InstructDiffusion:
    return InstructDiffusion.from_pretrained("tiny", device="cpu")


def disc(height: int, width: int, y: int, x: int, r: int) -> tuple[np.ndarray, np.ndarray]:
    """(a red disc on light grey uint8 [h, w, 3], its mask)."""
    rows, columns = np.mgrid[:height, :width]
    mask = (rows - y) ** 2 + (columns - x) ** 2 <= r**2
    return np.where(mask[..., None], (220, 30, 30), 235).astype(np.uint8), mask


@pytest.mark.parametrize("size", [(256, 256), (192, 256), (256, 384), (144, 256), (256, 144), (128, 256)])
def test_a_circle_is_found_in_a_picture_of_any_shape(tiny: InstructDiffusion, size: tuple[int, int]) -> None:
    """Squeezed to a square, as pictures were before, it is no circle: at 3:2 it was never found."""
    short, (height, width) = min(size), size
    cases = [disc(*size, *place, short // 5) for place in ((height // 3, width // 4), (height // 2, 3 * width // 5))]
    answers = tiny.segment([picture for picture, _ in cases], "the red circle")
    for (_, mask), answer in zip(cases, answers, strict=True):
        found = answer.result.union()
        assert found.shape == size
        assert (found & mask).sum() / (found | mask).sum() > 0.9


PLACES = {
    "on the left": (0.2, 0.5),
    "in the middle": (0.5, 0.5),
    "on the right": (0.8, 0.5),
    "at the top": (0.5, 0.2),
    "in the bottom right corner": (0.8, 0.8),
}


@pytest.mark.parametrize("size", [(144, 256), (256, 144), (128, 256)])
def test_one_whole_thing_is_added_where_the_words_say(tiny: InstructDiffusion, size: tuple[int, int]) -> None:
    """Drawn on the whole canvas, as before, 16:9 had two hearts joined by a smear, or one cut off at the edge."""
    height, width = size
    plain = np.full((*size, 3), 235, np.uint8)
    words = [f"add a red heart {place}" for place in PLACES]
    answers = tiny.run(words, [plain] * len(words), task="edit", seed=3)
    for (place, (x, y)), answer in zip(PLACES.items(), answers, strict=True):
        picture = answer.picture.astype(int)
        assert picture.shape == plain.shape
        labels, _ = ndimage.label(np.abs(picture - 235).max(2) > 70)
        areas = np.bincount(labels.ravel())[1:]
        (one,) = np.flatnonzero(areas > 0.012 * min(size) ** 2) + 1
        rows, columns = np.nonzero(labels == one)
        assert 0 < rows.min() and rows.max() < height - 1 and 0 < columns.min() and columns.max() < width - 1
        assert 0.6 < np.ptp(rows) / np.ptp(columns) < 1.6, place
        middle = (rows.min() + rows.max()) / 2 - y * height, (columns.min() + columns.max()) / 2 - x * width
        assert np.abs(middle).max() < 0.08 * min(size), place


def test_what_lies_outside_of_the_square_stays_as_it_is(tiny: InstructDiffusion) -> None:
    source = np.random.default_rng(0).integers(0, 256, (12, 32, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    answer = tiny.edit(source, "add a red heart on the left", seed=1)
    left, side = round(0.2 * (512 - 192)), 192
    changed = (answer.picture != source).any(2).any(0)
    assert changed[left : left + side].any()
    assert not changed[: left - 8].any() and not changed[left + side + 8 :].any()


@pytest.mark.parametrize("seed", [60009, 60040, 60044, 60047])  # "the flower left of the small ring", ...
def test_what_a_relation_means_is_found_on_long_canvases(tiny: InstructDiffusion, seed: int) -> None:
    """Asked as a whole, as in a square, none of these is found."""
    example = make_example("refer", seed, split="test", size=ratio_size("16:9", 96))
    truth = example.record.target.union()
    answer = tiny.run(example.instruction, example.source)
    found = answer.result.union()
    assert (found & truth).sum() / (found | truth).sum() > 0.9
    # it is one drawing, which is read the same by whoever gets the picture
    again = get_task("refer").decode(example.source, answer.picture, example.instruction).union()
    assert (again & truth).sum() / (again | truth).sum() > 0.8


@pytest.mark.parametrize("seed", [30, 127, 18])  # "the rightmost apple", "the heart at the bottom", "the moon left ..."
def test_of_two_that_a_phrase_points_out_one_is_kept(tiny: InstructDiffusion, seed: int) -> None:
    example = make_example("refer", seed, split="test", size=ratio_size("2:1", 256))
    truth = example.record.target.union()
    found = tiny.run(example.instruction, example.source, seed=seed).result.union()
    assert (found & truth).sum() / (found | truth).sum() > 0.85


def test_phrases_are_asked_as_a_whole_in_squares_and_where_one_look_is_wanted(tiny: InstructDiffusion) -> None:
    wide = make_example("refer", 60009, split="test", size=ratio_size("16:9", 96))
    square = make_example("refer", 60009, split="test", size=96)
    job = tiny.job("refer", SamplingOptions(resolution=64))
    assert spatial_phrase(job, Request(wide.instruction, wide.source, 0)) is not None
    assert spatial_phrase(job, Request(square.instruction, square.source, 0)) is None
    truth = wide.record.target.union()
    once = tiny.run(wide.instruction, wide.source, scales=(1,), windows=0).result.union()
    assert not (once & truth).any()
