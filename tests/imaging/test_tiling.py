"""Tiles cover a picture and blend back into it without seams."""

from __future__ import annotations

import numpy as np
import pytest

from instructdiffusion.imaging.tiling import Blend, pad_for_tiles, plan_tiles, tile_starts, window


@pytest.mark.parametrize("length", [64, 68, 96, 112, 116, 256, 500, 1000])
@pytest.mark.parametrize(("tile", "overlap", "grid"), [(64, 16, 4), (64, 32, 8), (32, 8, 4)])
def test_tiles_cover_an_axis(length, tile, overlap, grid):
    length = -(-length // grid) * grid
    starts = tile_starts(length, tile, overlap, grid)
    assert starts[0] == 0 and starts[-1] == length - tile
    assert all(s % grid == 0 for s in starts)
    gaps = np.diff(starts)
    assert (gaps > 0).all() and (gaps <= tile - overlap + grid).all()
    assert len(starts) <= 1 + np.ceil((length - tile) / (tile - overlap))


@pytest.mark.parametrize("bad", [(60, 64, 16, 4), (66, 64, 16, 4), (128, 64, 60, 4), (128, 64, -1, 4)])
def test_what_cannot_be_tiled_is_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        tile_starts(*bad)


@pytest.mark.parametrize("size", [(9, 200), (64, 64), (65, 63), (301, 67)])
def test_pictures_are_mirrored_to_whole_tiles(size):
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    padded = pad_for_tiles(picture, 64, 4)
    assert min(padded.shape[:2]) >= 64 and padded.shape[0] % 4 == padded.shape[1] % 4 == 0
    assert np.array_equal(padded[: size[0], : size[1]], picture)
    if size[1] == 63:
        assert np.array_equal(padded[:65, 63], picture[:, 61])


def test_windows_that_overlap_add_up_to_one():
    weights = window(64, 16)[32]
    assert np.allclose(weights[-16:] + weights[:16], 1, atol=1e-6)
    assert (weights[16:-16] == 1).all() and (weights > 0).all()
    assert np.abs(np.diff(weights)).max() < 0.11


def lay(picture, tile, overlap, grid, change=lambda values, place: values):
    canvas = Blend(picture.shape[:2], tile, overlap)
    for place in plan_tiles([picture.shape[:2]], tile, overlap, grid):
        values = picture[place.y : place.y + tile, place.x : place.x + tile]
        canvas.add(place.y, place.x, change(values, place))
    return canvas.result()


def test_tiles_that_agree_give_the_picture_back():
    picture = np.random.default_rng(1).random((152, 200, 3), dtype=np.float32)
    assert np.abs(lay(picture, 64, 16, 4) - picture).max() < 1e-5


def test_tiles_that_disagree_leave_no_seam():
    """Tiles of different brightness on a flat picture: the steps from pixel to pixel stay small."""
    flat = np.full((152, 200, 3), 0.5, np.float32)
    rng = np.random.default_rng(2)
    result = lay(flat, 64, 16, 4, lambda values, place: values + np.float32(rng.uniform(-0.1, 0.1)))
    hard = 0.2  # the step that tiles laid edge to edge could show
    assert max(np.abs(np.diff(result, axis=0)).max(), np.abs(np.diff(result, axis=1)).max()) < hard / 8


def test_an_uncovered_canvas_is_noticed():
    canvas = Blend((64, 128), 64, 16)
    canvas.add(0, 0, np.zeros((64, 64, 3), np.float32))
    with pytest.raises(ValueError, match="no tile"):
        canvas.result()


def test_tiles_of_several_pictures_are_listed_picture_by_picture():
    tiles = plan_tiles([(64, 64), (64, 128)], 64, 16, 4)
    assert [t.picture for t in tiles] == [0, 1, 1, 1] and tiles[-1].x == 64
