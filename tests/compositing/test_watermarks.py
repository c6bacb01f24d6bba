"""A watermark is taken out; what only looks like one to the model stays."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from instructdiffusion.compositing.watermarks import keep_unmarked
from instructdiffusion.datasets.photographs import photographs
from instructdiffusion.datasets.synthetic.degradations import watermark
from instructdiffusion.imaging.psnr import psnr

CLEAN = photographs("val", short_side=160)[0]


def text_page() -> np.ndarray:
    picture = Image.new("RGB", (160, 160), (250, 250, 244))
    for y in range(6, 150, 18):
        ImageDraw.Draw(picture).text((8, y), "The boat came in before.", fill=(25, 25, 25))
    return np.asarray(picture)


def test_unrest_of_the_model_is_undone():
    soft = ndimage.gaussian_filter(CLEAN.astype(np.float32), (0.4, 0.4, 0))
    grain = ndimage.gaussian_filter(np.random.default_rng(0).normal(0, 25, CLEAN.shape), (1, 1, 0))
    drawn = np.clip(soft + grain, 0, 255).astype(np.uint8)
    assert psnr(drawn, CLEAN) < 33
    np.testing.assert_array_equal(keep_unmarked(CLEAN, drawn), CLEAN)


def test_a_page_keeps_its_text():
    page = text_page()
    paper = np.full_like(page, (250, 250, 244))
    np.testing.assert_array_equal(keep_unmarked(page, paper), page)


@pytest.mark.parametrize("seed", range(6))
def test_a_mark_goes(seed):
    marked = watermark(random.Random(seed), CLEAN).picture
    np.testing.assert_array_equal(keep_unmarked(marked, CLEAN), CLEAN)


def test_a_mark_on_plain_paper_goes():
    paper = np.full((160, 160, 3), 245, np.uint8)
    marked = paper.copy()
    marked[40:60, 20:140] = 150
    np.testing.assert_array_equal(keep_unmarked(marked, paper), paper)


def test_parts_of_a_large_picture_are_judged_one_by_one():
    """Text in one corner stays, a mark in the other goes."""
    source, cleaned = (np.full((800, 800, 3), 240, np.uint8) for _ in range(2))
    source[10:150:6, 10:150] = 20
    source[700:730, 660:780] = 170
    got = keep_unmarked(source, cleaned)
    np.testing.assert_array_equal(got[:75, :75], source[:75, :75])
    np.testing.assert_array_equal(got[690:, 650:], cleaned[690:, 650:])


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (40, 40)])
def test_any_size_has_an_answer(size):
    source = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    assert keep_unmarked(source, 255 - source).shape == source.shape
    np.testing.assert_array_equal(keep_unmarked(source, source), source)
