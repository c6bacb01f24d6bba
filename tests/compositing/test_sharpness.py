"""A blurred picture is told from a sharp one, and from one that is soft in places on purpose."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from instructdiffusion.compositing.rules import add_difference, sharpen_blurred
from instructdiffusion.compositing.sharpness import blur_share, edge_width
from instructdiffusion.datasets.photographs import photographs
from instructdiffusion.datasets.synthetic.degradations import convolve
from instructdiffusion.imaging.psnr import psnr

SHARP = photographs("val", short_side=160)[0]  # the astronaut


def soften(picture: np.ndarray, sigma: float) -> np.ndarray:
    light = ndimage.gaussian_filter(picture.astype(np.float32), (sigma, sigma, 0))
    return np.rint(light).astype(np.uint8)


def bokeh() -> np.ndarray:
    """The middle of the photograph sharp, the rest out of focus."""
    rows, columns = np.mgrid[-1 : 1 : SHARP.shape[0] * 1j, -1 : 1 : SHARP.shape[1] * 1j]
    middle = ndimage.gaussian_filter((np.hypot(rows, columns) < 0.6).astype(np.float32), 2)[..., None]
    return np.rint(middle * SHARP + (1 - middle) * soften(SHARP, 4)).astype(np.uint8)


def sharpening(source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(edited, copy) of a model that sharpens whatever it gets."""
    copy = source.astype(np.float32) / 255
    return copy + 0.5 * (copy - soften(source, 2) / np.float32(255)), copy


@pytest.mark.parametrize("picture", [SHARP, bokeh()], ids=["sharp", "soft background"])
def test_a_picture_that_is_sharp_somewhere_stays(picture):
    added = psnr(add_difference(picture, *sharpening(picture)), picture)
    assert psnr(sharpen_blurred(picture, *sharpening(picture)), picture) > max(38, added + 6)


@pytest.mark.parametrize("sigma", [1, 2, 3])
def test_a_blurred_picture_gets_the_whole_difference(sigma):
    source = soften(SHARP, sigma)
    assert edge_width(source / np.float32(255)) == pytest.approx(sigma, rel=0.2)
    drawn = sharpening(source)
    np.testing.assert_array_equal(sharpen_blurred(source, *drawn), add_difference(source, *drawn))


@pytest.mark.parametrize("turned", [False, True], ids=["across", "down"])
def test_motion_along_one_axis_is_blur(turned):
    line = np.full((1, 9), 1 / 9, np.float32)
    kernel = np.pad(line, ((1, 1), (0, 0)))
    moved = convolve(SHARP, kernel.T if turned else kernel) / 255
    assert blur_share(moved) == 1


@pytest.mark.parametrize("size", [(1, 1), (2, 40), (64, 64)])
def test_a_picture_without_edges_is_not_told_from_a_blurred_one(size):
    flat = np.full((*size, 3), 0.5, np.float32)
    assert edge_width(flat) is None and blur_share(flat) == 1


def test_sizes_must_agree():
    edited, copy = sharpening(SHARP)
    with pytest.raises(ValueError, match="one size"):
        sharpen_blurred(SHARP, edited, copy[:8])
