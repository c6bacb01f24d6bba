"""Pictures to the model's size, changes back to the picture's."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from instructdiffusion.imaging.resize import (
    RESIZE_MODES,
    content_size,
    model_size,
    pad_edge,
    resize_field,
    resize_picture,
    scale_image,
    scaled_size,
)


@pytest.mark.parametrize(
    ("size", "mode", "expected"),
    [
        ((64, 64), "stretch", (64, 64)),
        ((100, 700), "stretch", (64, 64)),
        ((100, 200), "longest_edge", (32, 64)),
        ((300, 200), "longest_edge", (64, 48)),
        ((64, 64), "longest_edge", (64, 64)),
        ((2000, 20), "longest_edge", (64, 16)),
        ((64, 64), "shortest_edge", (64, 64)),
        ((999, 999), "shortest_edge", (64, 64)),
        ((768, 1024), "shortest_edge", (64, 96)),
        ((1024, 768), "shortest_edge", (96, 64)),
        ((720, 1280), "shortest_edge", (64, 128)),
        ((100, 800), "shortest_edge", (64, 512)),
        ((100, 1600), "shortest_edge", (32, 512)),
        ((8, 8000), "shortest_edge", (16, 512)),
        ((8000, 1), "shortest_edge", (512, 16)),
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
def test_model_size(size, mode, expected):
    assert model_size(size, 64, 16, mode) == expected


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


def test_unknown_mode_and_wrong_kind():
    with pytest.raises(ValueError, match="shortest_edge, longest_edge, stretch, authors"):
        model_size((64, 64), 64, 16, "crop")
    with pytest.raises(TypeError, match="whole number"):
        model_size((64, 64), 64.0, 16)


@pytest.mark.parametrize("size", [(768, 1024), (2, 3), (1280, 720), (333, 500), (61, 97), (90, 90), (40, 319)])
def test_the_picture_keeps_its_shape_within_what_the_model_sees(size):
    """Its short side at the resolution, the long one off by half a pixel at most; less than a multiple is padding."""
    content, whole = content_size(size, 64, 16), model_size(size, 64, 16)
    assert min(content) == 64 and abs(max(content) - 64 * max(size) / min(size)) <= 0.5
    assert all(0 <= w - c < 16 and w % 16 == 0 for c, w in zip(content, whole, strict=True))


def test_a_very_long_picture_is_bounded_and_keeps_its_shape():
    assert content_size((100, 800), 64, 16) == (64, 512) and content_size((100, 1600), 64, 16) == (32, 512)
    assert content_size((8, 8000), 64, 16) == (1, 512) and content_size((8000, 8), 64, 16) == (512, 1)


@pytest.mark.parametrize("mode", ["longest_edge", "stretch", "authors"])
@pytest.mark.parametrize("size", [(768, 1024), (61, 97), (8, 800)])
def test_other_modes_pad_nothing(size, mode):
    assert mode in RESIZE_MODES and content_size(size, 64, 16, mode) == model_size(size, 64, 16, mode)


def test_the_edge_is_repeated_below_and_to_the_right():
    picture = np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    padded = pad_edge(picture, (5, 6))
    assert np.array_equal(padded[:3, :4], picture) and (padded[:3, 4:] == picture[:, -1:]).all()
    assert (padded[3:] == padded[2:3]).all() and pad_edge(picture, (3, 4)) is picture


def test_the_old_name_of_a_mode_is_taken_with_a_warning():
    with pytest.warns(DeprecationWarning, match="'aspect' is now called 'longest_edge'"):
        assert model_size((100, 200), 64, 16, "aspect") == (32, 64)


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
    assert np.array_equal(scale_image(picture, 2.0), np.asarray(twice))
    assert np.abs(scale_image(picture, 0.5) - picture.reshape(20, 2, 30, 2, 3).mean((1, 3))).max() <= 1.1
    assert scale_image(picture, 1.0) is picture
    assert scaled_size((9, 1001), 0.25) == (2, 250) and scaled_size((1, 3), 0.25) == (1, 1)
