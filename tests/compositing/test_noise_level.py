"""Noise of every kind is told from detail, by the picture and what a model made of it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from instructdiffusion.compositing import noise_level as module
from instructdiffusion.compositing.noise_level import (
    WHITE_SHARES,
    estimate_noise,
    find_impulses,
    split_bands,
    white_variance,
)
from instructdiffusion.compositing.rules import keep_detail
from instructdiffusion.datasets.photographs import photograph
from instructdiffusion.imaging.psnr import psnr

CLEAN = photograph("astronaut.png")[:192, 120:312]


def soft(picture: np.ndarray, sigma: float = 1.0) -> np.ndarray:
    """What a model that loses detail draws of a clean picture, float 0..1."""
    return ndimage.gaussian_filter(picture.astype(np.float32) / 255, (sigma, sigma, 0))


def to_bytes(light: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(light, 0, 255)).astype(np.uint8)


def enlarged(picture: np.ndarray) -> np.ndarray:
    planes = [Image.fromarray(np.float32(p)) for p in np.moveaxis(picture, 2, 0)]
    twice = [p.resize((2 * p.width, 2 * p.height), Image.Resampling.BICUBIC) for p in planes]
    return np.stack([np.asarray(p) for p in twice], axis=2)


def jpeg(quality: int) -> tuple[np.ndarray, np.ndarray]:
    file = io.BytesIO()
    Image.fromarray(CLEAN).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)), CLEAN


def coarse() -> tuple[np.ndarray, np.ndarray]:
    grain = np.random.default_rng(0).normal(0, 25, (96, 96, 3))
    return to_bytes(CLEAN + enlarged(grain)), CLEAN


def upscaled() -> tuple[np.ndarray, np.ndarray]:
    small = CLEAN[::2, ::2].astype(np.float32)
    spoiled = to_bytes(small + np.random.default_rng(0).normal(0, 25, small.shape))
    return to_bytes(enlarged(spoiled)), to_bytes(enlarged(small))


def salted() -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(0).random((192, 192, 1))
    return np.where(chance < 0.025, 0, np.where(chance > 0.975, 255, CLEAN)).astype(np.uint8), CLEAN


def white(sigma: float) -> tuple[np.ndarray, np.ndarray]:
    return to_bytes(CLEAN + np.random.default_rng(0).normal(0, sigma, CLEAN.shape)), CLEAN


def text_page() -> np.ndarray:
    picture = Image.new("RGB", (192, 192), "white")
    for y in range(6, 190, 22):
        ImageDraw.Draw(picture).text((8, y), "The boat came in before the tide.", fill=(20, 20, 20))
    return np.asarray(picture)


@pytest.mark.parametrize(
    ("spoil", "worth"), [(lambda: jpeg(10), 0.5), (coarse, 3), (upscaled, 3), (salted, 12)],
    ids=["JPEG", "coarse", "upscaled", "salt and pepper"],
)  # fmt: skip
def test_noise_that_is_not_white_goes(spoil, worth):
    """By white noise alone these come back as they were, to .3 dB."""
    noisy, clean = spoil()
    got = keep_detail(noisy, soft(clean))
    assert psnr(got, clean) > psnr(noisy, clean) + worth


@pytest.mark.parametrize("sigma", [5, 15, 25])
def test_white_noise_is_taken_for_nothing_else(sigma):
    noisy, clean = white(sigma)
    noise = estimate_noise(noisy / np.float32(255), soft(clean))
    assert noise.white == white_variance(noisy / np.float32(255)) == pytest.approx((sigma / 255) ** 2, rel=0.45)
    assert not any(noise.coarse) and not noise.blocks and find_impulses(noisy, soft(clean)) is None


@pytest.mark.parametrize("picture", [CLEAN, text_page()], ids=["photograph", "page"])
def test_a_clean_picture_stays(picture):
    assert psnr(keep_detail(picture, soft(picture, 1.5)), picture) > 40


def test_what_impulses_hide_is_told_from_their_neighbours():
    noisy, clean = salted()
    hit = find_impulses(noisy, soft(clean))
    spoiled = (noisy != clean).any(axis=2)
    assert hit is not None and (hit & spoiled).sum() > 0.9 * spoiled.sum()
    assert (hit & ~spoiled).sum() < 0.02 * spoiled.sum()


def test_a_mosaic_is_no_jpeg():
    board = np.kron(np.random.default_rng(0).integers(60, 200, (16, 16)), np.ones((8, 8), int))
    board = np.repeat(board[..., None], 3, axis=2).astype(np.uint8)
    for drawn in (board / np.float32(255), soft(board, 0.5)):
        assert estimate_noise(board / np.float32(255), drawn).blocks == 0


def test_bands_add_up_and_hold_their_shares_of_white_noise():
    field = np.random.default_rng(0).normal(size=(512, 512, 3)).astype(np.float32)
    bands = split_bands(field)
    np.testing.assert_allclose(sum(bands), field, atol=1e-5)
    for band, share in zip(bands, WHITE_SHARES, strict=False):
        assert band.var() == pytest.approx(share, rel=0.05)


def test_a_large_picture_is_measured_by_a_part_of_it(monkeypatch):
    noisy, clean = white(20)
    whole = estimate_noise(noisy / np.float32(255), soft(clean)).white
    monkeypatch.setattr(module, "_SAMPLE", 20_000)
    assert len(module._sample(noisy)) == 64
    assert estimate_noise(noisy / np.float32(255), soft(clean)).white == pytest.approx(whole, rel=0.2)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (9, 40)])
def test_small_pictures_have_an_answer(size):
    source = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    assert keep_detail(source, soft(source)).shape == source.shape
