"""Masks of annotations: run lengths and polygons, against worked examples and the reference library."""

from __future__ import annotations

import numpy as np
import pytest

from instructdiffusion.datasets.readers.annotation_masks import (
    check_segmentation,
    compress_run_lengths,
    decode_run_lengths,
    polygon_mask,
    segmentation_mask,
)
from instructdiffusion.datasets.readers.problems import Flaw
from instructdiffusion.results import run_lengths


def random_mask(seed, size=(37, 53)):
    rng = np.random.default_rng(seed)
    blocks = rng.random((size[0] // 4 + 1, size[1] // 4 + 1)) < 0.4
    return np.kron(blocks, np.ones((4, 4), bool))[: size[0], : size[1]].astype(bool)


def test_run_lengths_go_down_the_columns_zeros_first():
    mask = decode_run_lengths([1, 2, 3], (2, 3))
    np.testing.assert_array_equal(mask, [[0, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(decode_run_lengths([0, 6], (2, 3)), np.ones((2, 3), bool))


@pytest.mark.parametrize("seed", range(5))
def test_plain_and_compressed_run_lengths_give_the_mask_back(seed):
    mask = random_mask(seed)
    data = run_lengths(mask)
    np.testing.assert_array_equal(segmentation_mask(data, mask.shape), mask)
    packed = {**data, "counts": compress_run_lengths(data["counts"])}
    np.testing.assert_array_equal(segmentation_mask(packed, mask.shape), mask)
    np.testing.assert_array_equal(segmentation_mask([packed], mask.shape), mask)


@pytest.mark.parametrize("seed", range(5))
def test_compressed_run_lengths_are_the_reference_librarys(seed):
    reference = pytest.importorskip("pycocotools.mask")
    mask = random_mask(seed, (120, 90))
    encoded = reference.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert compress_run_lengths(run_lengths(mask)["counts"]) == encoded["counts"].decode()
    np.testing.assert_array_equal(decode_run_lengths(encoded["counts"], mask.shape), mask)


def test_a_rectangle_covers_the_pixels_whose_centres_it_holds():
    mask = polygon_mask([1.4, 1, 4, 1, 4, 3, 1.4, 3], (5, 6))
    want = np.zeros((5, 6), bool)
    want[1:3, 1:4] = True
    np.testing.assert_array_equal(mask, want)
    assert not polygon_mask([1.6, 1.6, 2.4, 1.6, 2.4, 2.4], (5, 6)).any()


def test_polygons_may_leave_the_picture_and_cross_themselves():
    assert polygon_mask([-10, -10, 50, -10, 50, 50, -10, 50], (7, 9)).all()
    bow = polygon_mask([0, 0, 20, 20, 20, 0, 0, 20], (20, 20))
    assert bow[10, 1] and bow[10, 18] and not bow[2, 10] and not bow[17, 10]
    # A square within a square, gone round twice: even-odd leaves a hole.
    ring = polygon_mask([0, 0, 20, 0, 20, 20, 0, 20, 0, 0, 5, 5, 15, 5, 15, 15, 5, 15, 5, 5], (20, 20))
    assert ring[2, 10] and not ring[10, 10]


@pytest.mark.parametrize("seed", range(5))
def test_polygons_agree_with_the_reference_library(seed):
    reference = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 24))
    radius = rng.uniform(25, 60, 24)
    points = np.stack([80 + radius * np.cos(angles), 70 + radius * np.sin(angles)], 1).ravel().tolist()
    want = reference.decode(reference.merge(reference.frPyObjects([points], 140, 160))).astype(bool)
    got = segmentation_mask([points], (140, 160))
    assert (got & want).sum() / (got | want).sum() > 0.97


def test_one_part_that_holds_a_pixel_is_enough():
    assert segmentation_mask([[1, 1, 5, 5, 9, 9], [2, 2, 6, 2, 6, 6, 2, 6]], (10, 10)).sum() == 16


@pytest.mark.parametrize("seed", range(8))
def test_polygons_agree_with_a_point_at_a_time(seed):
    """Each pixel's centre by itself: inside where a ray to its left crosses an odd number of edges."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-8, 30, (rng.integers(3, 12), 2))
    if seed % 2:
        points = np.rint(points * 2) / 2  # corners on centres and edges of pixels
    want = np.zeros((21, 23), bool)
    for row, column in np.ndindex(want.shape):
        x, y = column + 0.5, row + 0.5
        for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, 0)):
            if (y1 <= y) != (y2 <= y) and x1 + (y - y1) * (x2 - x1) / (y2 - y1) <= x:
                want[row, column] ^= True
    np.testing.assert_array_equal(polygon_mask(points.ravel().tolist(), want.shape), want)


def test_several_polygons_are_one_mask():
    mask = segmentation_mask([[0, 0, 4, 0, 4, 4, 0, 4], [2, 2, 8, 2, 8, 8, 2, 8]], (10, 10))
    assert mask[:4, :4].all() and mask[2:8, 2:8].all() and mask.sum() == 16 + 36 - 4


def test_stubs_beside_a_whole_polygon_are_counted():
    square = [2, 2, 6, 2, 6, 6, 2, 6]
    for stub in ([], [1, 1], [1, 1, 5, 5]):
        assert check_segmentation([square, stub], (10, 10)) == 1
        assert segmentation_mask([stub, square], (10, 10)).sum() == 16
    assert check_segmentation([square], (10, 10)) == 0
    assert check_segmentation({"size": [10, 10], "counts": [0, 100]}, (10, 10)) == 0


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ([[1, 1, 5, 5]], "2 points"),
        ([[1, 1, 5, 5, float("nan"), 3]], "finite"),
        ([[1, 1, 5, 5, 3]], "x, y"),
        ([["1", 1, 5, 5, 3, 3]], "expected a number"),
        ([], "neither"),
        (None, "neither"),
        ({"size": [10, 12], "counts": [120]}, "the picture of"),
        ({"size": [10, 10], "counts": [90]}, "add up to 90"),
        ({"size": [10, 10], "counts": [150, -50]}, "add up"),
        ({"size": [10, 10], "counts": "\x01\x02"}, "damaged"),
        ({"size": [10, 10], "counts": "o"}, "damaged"),
        ({"size": [10, 10], "counts": None}, "a list or a string"),
        ({"counts": [100]}, "the picture of"),
        ({"size": [10, 10]}, "no counts"),
        ([{"size": [10, 10], "counts": [0, 100]}, [1, 1, 5]], "x, y"),
        ([[2, 2, 6, 2, 6, 6, 2, 6], [1, float("nan")]], "finite"),
        ([[1, 1, 5, 5, 9, 9]], "no pixel"),
        ([[1, 4, 5, 4, 9, 4]], "no pixel"),
        ([[11, 1, 15, 1, 15, 5], [-9, 1, -5, 1, -5, 5]], "no pixel"),
        ([[1.6, 1.6, 2.4, 1.6, 2.4, 2.4]], "no pixel"),  # between the centres of pixels
        ({"size": [10, 10], "counts": [100]}, "no pixel"),
        ([{"size": [10, 10], "counts": [100, 0]}], "no pixel"),
    ],
)
def test_broken_ones_are_refused(segmentation, reason):
    with pytest.raises(Flaw, match=reason):
        check_segmentation(segmentation, (10, 10))
    with pytest.raises(Flaw, match=reason):
        segmentation_mask(segmentation, (10, 10))
