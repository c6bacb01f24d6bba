"""Views: pictures, masks, points and boxes all go where one matrix says, which references of numpy and Pillow check."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from instructdiffusion.datasets.views import View
from instructdiffusion.results import Boxes, Keypoints, Masks


def noise(h, w, smooth=0.0, seed=0):
    """Noise uint8 of all colours; `smooth`: the deviation in pixels of a Gaussian over it."""
    values = np.random.default_rng(seed).uniform(0, 255, (h, w, 3))
    if smooth:
        values = ndimage.gaussian_filter(values, (smooth, smooth, 0))
        values = np.interp(values, (values.min(), values.max()), (0, 255))
    return values.round().astype(np.uint8)


def blob(h, w, x, y, radius):
    rows, columns = np.mgrid[:h, :w] + 0.5
    return np.hypot(columns - x, rows - y) <= radius


def back(view, xy):
    """Points of the view in the picture, by complex numbers in float64 and not by the view's matrix."""
    (height, width), turn = view.size, np.exp(-1j * np.radians(view.angle))
    x = (xy[..., 0] - width / 2) * view.extent[0] / width
    y = (xy[..., 1] - height / 2) * view.extent[1] / height
    found = (x + 1j * y) * turn
    return np.stack([found.real, found.imag], -1) + view.center


def any_view(rng, h, w, turned):
    size = tuple(int(v) for v in rng.integers(1, 50, 2))
    center, extent = rng.uniform(-0.1, 1.1, 2) * (w, h), rng.uniform(1, 80, 2)
    angle = float(rng.choice([rng.uniform(-180, 180), 90, 180])) if turned else 0.0
    return View(tuple(center.tolist()), tuple(extent.tolist()), size, angle)


# Exactness


def test_a_view_of_everything_changes_nothing():
    image, mask = noise(480, 640), blob(480, 640, 200, 150, 80)
    view = View.of_window((0, 0, 640, 480), (480, 640))
    np.testing.assert_array_equal(view.picture(image), image)
    np.testing.assert_array_equal(view.mask(mask), mask)
    xy = np.array([[0.5, 0.5], [31.25, 7.75]])
    np.testing.assert_allclose(view.points(xy), xy, atol=1e-12)


@pytest.mark.parametrize(
    "window", [(10, 5, 42, 37), (0, 0, 1, 1), (299, 3, 300, 200), (-7, -3, 93, 97), (250, 150, 350, 250)]
)
def test_whole_pixel_windows_are_cuts(window):
    image, mask = noise(200, 300), noise(200, 300, seed=1)[..., 0] > 127
    (x1, y1, x2, y2), around = window, 100
    view = View.of_window(window, (y2 - y1, x2 - x1))
    place = np.s_[y1 + around : y2 + around, x1 + around : x2 + around]
    np.testing.assert_array_equal(
        view.picture(image), np.pad(image, ((around,) * 2, (around,) * 2, (0, 0)))[place]
    )
    np.testing.assert_array_equal(view.mask(mask), np.pad(mask, around)[place])


@pytest.mark.parametrize("angle", [90, 180, -90])
def test_quarter_turns_turn_whole_pixels(angle):
    """Clockwise as one looks at it; numpy counts the other way."""
    image, mask = noise(64, 64), noise(64, 64, seed=1)[..., 0] > 127
    view = View((32, 32), (64, 64), (64, 64), angle)
    np.testing.assert_array_equal(view.mask(mask), np.rot90(mask, -angle // 90))
    np.testing.assert_array_equal(view.picture(image), np.rot90(image, -angle // 90))


def test_masks_are_enlarged_pixel_by_pixel():
    mask = np.random.default_rng(0).random((3, 16, 16)) < 0.5
    view = View.of_window((0, 0, 16, 16), (48, 48))
    np.testing.assert_array_equal(view.mask(mask), mask.repeat(3, 1).repeat(3, 2))


@pytest.mark.parametrize("turned", [False, True])
def test_each_pixel_of_a_mask_is_the_one_that_its_centre_falls_on(turned):
    rng, shown = np.random.default_rng(2), 0
    for _ in range(150):
        h, w = (int(v) for v in rng.integers(1, 60, 2))
        data, view = rng.random((2, h, w)) < 0.5, any_view(rng, h, w, turned)
        rows, columns = np.mgrid[: view.size[0], : view.size[1]] + 0.5
        x, y = np.moveaxis(np.floor(back(view, np.stack([columns, rows], -1)) + 1e-9).astype(int), -1, 0)
        inside = (x >= 0) & (y >= 0) & (x < w) & (y < h)
        np.testing.assert_array_equal(view.mask(data), data[:, y.clip(0, h - 1), x.clip(0, w - 1)] & inside)
        shown += inside.any()
    assert shown > 100


@pytest.mark.parametrize("times", [2, 4, 6])
def test_centres_on_edges_between_pixels_tear_nothing_apart(times):
    """Made smaller by an even factor every centre lies on an edge: always the right and lower pixel is the one."""
    for h, w in ((480, 720), (300, 420)):
        mask = np.random.default_rng(0).random((h, w)) < 0.5
        seen = View.of_window((0, 0, w, h), (h // times, w // times)).mask(mask)
        np.testing.assert_array_equal(seen, mask[times // 2 :: times, times // 2 :: times])


def test_points_and_boxes_go_by_the_matrix():
    rng = np.random.default_rng(3)
    for number in range(60):
        view, xy = any_view(rng, 400, 600, number % 2 > 0), rng.uniform(-50, 700, (3, 5, 2))
        moved = view.points(xy)
        assert moved.dtype == np.float64 and moved.shape == xy.shape
        np.testing.assert_allclose(back(view, moved), xy, atol=1e-5)
        np.testing.assert_array_equal(view.points(xy[0, 0]), moved[0, 0])
        np.testing.assert_array_equal(view.points(xy[::-1]), moved[::-1])
        if not view.angle:
            low, size = rng.uniform(0, 300, (4, 2)), rng.uniform(1, 50, (4, 2))
            boxes = np.float32(np.concatenate([low, low + size], 1))
            scale = np.divide(view.size[::-1], view.extent)
            corner = np.subtract(view.center, np.divide(view.extent, 2))
            expected = (boxes - np.tile(corner, 2)) * np.tile(scale, 2)
            np.testing.assert_allclose(view.boxes(boxes), expected, rtol=1e-6, atol=1e-4)
    view = View((5, 5), (4, 4), (8, 8))
    assert view.points(np.zeros((0, 2))).shape == (0, 2) and view.boxes(np.zeros((0, 4))).shape == (0, 4)


# One for all


@pytest.mark.parametrize("angle", [0, 1e-3, 30, -75, 90, 180])
@pytest.mark.parametrize("extent", [(30, 30), (60.5, 60.5), (150, 110.25), (400, 400)])
def test_points_and_masks_go_where_the_pixels_go(angle, extent):
    h, w, spot = 400, 420, (212.3, 201.8)
    image = np.zeros((h, w, 3), np.uint8)
    mask = blob(h, w, *spot, extent[1] / 6)
    image[mask] = 255
    view = View((210.25, 200.5), extent, (64, 64), angle)
    seen, drawn = view.picture(image)[..., 0] / 255.0, view.mask(mask)
    rows, columns = np.mgrid[:64, :64] + 0.5
    center = np.array([(seen * columns).sum(), (seen * rows).sum()]) / seen.sum()
    disc = np.array([np.nonzero(mask)[1].mean(), np.nonzero(mask)[0].mean()]) + 0.5
    np.testing.assert_allclose(center, view.points(disc), atol=0.03)
    assert abs(drawn.sum() - seen.sum()) < 0.03 * seen.sum() + 4
    assert ((seen > 0.5) != drawn).sum() <= 0.06 * drawn.sum() + 4  # the edge only


@pytest.mark.parametrize("angle", [0, 20])
def test_a_record_s_target_and_its_picture_are_seen_alike(angle):
    """Of a pair both pictures; of boxes, joints and masks the coloured pixels."""
    image = np.zeros((90, 120, 3), np.uint8)
    image[30:60, 40:80] = 255
    view = View((61.5, 44.25), (100.5, 77.25), (96, 128), angle)
    picture = view.picture(image)
    np.testing.assert_array_equal(view.target(image), picture)
    masks = Masks(image[None, ..., 0] > 0, np.ones(1), ("it",))
    assert (view.target(masks).data[0] != (picture[..., 0] > 127)).mean() < 0.01
    corners = np.float32([[[40, 30], [80, 60]]])
    joints = Keypoints(corners, np.ones((1, 2), bool), np.ones((1, 2)), ("one", "other"), (90, 120))
    xy = view.target(joints).xy[0]
    for (x, y), toward in zip(xy, (xy[::-1] - xy) / np.hypot(*(xy[1] - xy[0])) * 4):
        (u, v), (s, t) = (x, y) + toward, (x, y) - toward
        assert picture[int(v), int(u)].min() > 200 and picture[int(t), int(s)].max() < 50
    if not angle:
        boxes = Boxes(corners.reshape(1, 4), np.ones(1), ("it",), (90, 120))
        np.testing.assert_allclose(view.target(boxes).xyxy[0], xy.ravel(), atol=1e-4)


# Pictures


@pytest.mark.parametrize("window", [(0, 0, 320, 240), (40, 10, 300, 230), (40.5, 9.75, 301.25, 230)])
def test_pictures_are_made_smaller_as_pillow_does_it(window):
    """To the bit or nearly, of whole pixels; else it takes a second step, by less than a pixel."""
    image, size = noise(240, 320, 1.0), (48, 64)
    seen = View.of_window(window, size).picture(image)
    whole = all(v == int(v) for v in window)
    picture = Image.fromarray(image).crop(window) if whole else Image.fromarray(image)
    expected = picture.resize(size[::-1], Image.Resampling.BICUBIC, None if whole else window)
    difference = np.abs(seen - np.int64(expected))
    assert difference.max() <= (1 if whole else 15) and difference.mean() < (0.02 if whole else 2)


@pytest.mark.parametrize(("angle", "extent"), [(0, 40.5), (30, 40), (-100, 64), (75, 80)])
def test_pictures_are_turned_and_enlarged_as_pillow_does_it(angle, extent):
    image, view = noise(100, 120, 4.0), View((60.25, 50.5), (extent,) * 2, (80, 80), angle)
    expected = Image.fromarray(image).transform(
        (80, 80), Image.Transform.AFFINE, view.inverse.ravel().tolist(), Image.Resampling.BICUBIC
    )
    inside = View((60.25, 50.5), (extent,) * 2, (80, 80), angle).mask(blob(100, 120, 60, 50, 46))
    assert inside.mean() > 0.7
    assert np.abs(view.picture(image) - np.int64(expected))[inside].max() <= 3


@pytest.mark.parametrize(
    "view",
    [
        View((256, 256), (512, 512), (64, 64)),
        View((256.3, 250.7), (400.5, 380.5), (50, 51)),
        View((256, 256), (300, 300), (37, 37), 33),
    ],
)
def test_what_is_too_fine_for_a_view_is_even_gray_in_it(view):
    board = np.repeat((np.indices((512, 512)).sum(0) % 2 * 255)[..., None], 3, 2).astype(np.uint8)
    assert np.abs(view.picture(board) - 127.5).max() <= 1


def test_what_lies_beside_the_picture_is_black_and_in_no_mask():
    image, mask = np.full((20, 20, 3), 200, np.uint8), np.ones((20, 20), bool)
    for angle in (0, 45):
        view = View((0, 0), (40, 40), (40, 40), angle)
        seen, drawn = view.picture(image), view.mask(mask)
        assert seen[2, 2].max() == 0 and not drawn[2, 2]
        assert seen[22 + 6 * (angle > 0), 22 - 2 * (angle > 0)].min() > 190
        assert 340 < drawn.sum() < 460
        assert (seen[drawn] > 80).all() and (seen[~drawn] < 120).all()
    far = View((500, -300), (20, 20), (8, 8), 45)
    assert not far.picture(image).any() and not far.mask(mask).any()


@pytest.mark.parametrize("size", [(7, 5), (20, 30), (100, 64), (1, 1)])
def test_an_even_picture_is_even_to_its_rim(size):
    for h, w in ((20, 30), (1, 30), (33, 1), (300, 2)):
        image, mask = np.full((h, w, 3), (200, 30, 90), np.uint8), np.ones((h, w), bool)
        view = View.of_window((0, 0, w, h), size)
        assert (view.picture(image) == (200, 30, 90)).all() and view.mask(mask).all()


def test_turned_boxes_and_empty_views_are_refused():
    with pytest.raises(ValueError, match="cannot be turned"):
        View((5, 5), (10, 10), (8, 8), 20).boxes(np.float32([[1, 1, 2, 2]]))
    for extent in ((0, 5), (float("nan"), 5)):
        with pytest.raises(ValueError, match="above 0"):
            View((5, 5), extent, (8, 8))
