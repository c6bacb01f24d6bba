"""Pictures to the model's size, changes back to the picture's."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from instructdiffusion.resize import model_size, resize_field, resize_picture, zoom_picture, zoomed


@pytest.mark.parametrize(
    ("size", "fit", "expected"),
    [
        ((64, 64), "stretch", (64, 64)),
        ((100, 700), "stretch", (64, 64)),
        ((100, 200), "aspect", (32, 64)),
        ((300, 200), "aspect", (64, 48)),
        ((64, 64), "aspect", (64, 64)),
        ((2000, 20), "aspect", (64, 16)),
        ((64, 64), "authors", (64, 64)),
        ((300, 200), "authors", (64, 48)),
        ((200, 300), "authors", (48, 64)),
        (
            (96, 1000),
            "authors",
            (16, 160),
        ),  # the shorter side goes up to a multiple, and takes the longer along
    ],
)
def test_model_size(size, fit, expected):
    assert model_size(size, 64, 16, fit) == expected


@pytest.mark.parametrize("resolution", [63, 8, 0, -64, 70])
def test_a_resolution_that_does_not_fit_is_refused(resolution):
    with pytest.raises(ValueError, match="multiple of 16"):
        model_size((64, 64), resolution, 16)


def test_the_authors_sizes_are_those_of_the_published_rule():
    """Written out as the published inference code has it, for pictures of all shapes at 512 and multiples of 64."""
    import math

    for width, height in np.random.default_rng(0).integers(40, 3000, (500, 2)).tolist():
        factor = 512 / max(width, height)
        factor = math.ceil(min(width, height) * factor / 64) * 64 / min(width, height)
        theirs = int((width * factor) // 64) * 64, int((height * factor) // 64) * 64
        ours = model_size((height, width), 512, 64, "authors")
        rounds = any(abs(side * factor / 64 - round(side * factor / 64)) < 1e-9 for side in (width, height))
        assert ours == theirs[::-1] or rounds  # a hair below a multiple is the multiple here
        assert min(ours) == min(theirs) or rounds


def test_unknown_fit_and_wrong_kind():
    with pytest.raises(ValueError, match="stretch, aspect"):
        model_size((64, 64), 64, 16, "crop")
    with pytest.raises(TypeError, match="whole number"):
        model_size((64, 64), 64.0, 16)


def test_shrinking_averages_areas():
    picture = np.random.default_rng(0).integers(0, 256, (128, 192, 3), dtype=np.uint8)
    means = picture.reshape(64, 2, 64, 3, 3).mean((1, 3))
    assert np.abs(resize_picture(picture, (64, 64)) - means).max() <= 1.1


@pytest.mark.parametrize("size", [(64, 64), (31, 200), (10, 10), (200, 31)])
def test_a_flat_picture_stays_flat(size):
    flat = np.full((50, 70, 3), 77, np.uint8)
    got = resize_picture(flat, size)
    assert got.shape == (*size, 3) and (got == 77).all()


def test_fields_keep_their_sign_place_and_range():
    field = np.zeros((16, 16, 3), np.float32)
    field[4:8, 8:12] = (-0.5, 0.25, 0)
    big = resize_field(field, (160, 80))
    assert big.shape == (160, 80, 3)
    assert np.isclose(big.min(), -0.5) and np.isclose(big.max(), 0.25)
    ys, xs = np.nonzero(big[..., 1] > 0.125)
    assert abs(ys.mean() + 0.5 - 60) < 1 and abs(xs.mean() + 0.5 - 50) < 1


def test_fields_that_shrink_to_a_whole_part_are_averaged_over_areas():
    field = np.random.default_rng(0).normal(size=(128, 96, 3)).astype(np.float32)
    means = field.reshape(64, 2, 32, 3, 3).mean((1, 3))
    assert np.abs(resize_field(field, (64, 32)) - means).max() < 1e-5


@pytest.mark.parametrize("size", [(48, 40), (64, 33), (31, 64)])
def test_fields_shrink_without_aliasing(size):
    """Stripes of one pixel come back grey, whatever the ratio."""
    stripes = np.broadcast_to(np.float32([[[1.0]], [[-1.0]]] * 64), (128, 128, 3))
    for field in (stripes, stripes.transpose(1, 0, 2)):
        shrunk = resize_field(field, size)
        assert shrunk.shape == (*size, 3) and np.abs(shrunk[2:-2, 2:-2]).max() < 0.25


def test_zooming_is_bicubic_up_and_averages_areas_down():
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    twice = Image.fromarray(picture).resize((120, 80), Image.Resampling.BICUBIC)
    assert np.array_equal(zoom_picture(picture, 2.0), np.asarray(twice))
    assert np.abs(zoom_picture(picture, 0.5) - picture.reshape(20, 2, 30, 2, 3).mean((1, 3))).max() <= 1.1
    assert zoom_picture(picture, 1.0) is picture
    assert zoomed((9, 1001), 0.25) == (2, 250) and zoomed((1, 3), 0.25) == (1, 1)
