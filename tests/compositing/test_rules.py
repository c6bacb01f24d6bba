"""The edit is laid on the source; what did not change is the source."""

from __future__ import annotations

import numpy as np
import pytest

from instructdiffusion.compositing.rules import add_difference, keep_detail, keep_unchanged, replace_changed

RNG = np.random.default_rng(0)
SOURCE = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)


def blurred(picture):
    return 0.5 + (picture / 255.0 - 0.5) * 0.6  # stands for an autoencoder that loses contrast


def test_nothing_changed_gives_the_source_back():
    copy = blurred(SOURCE)
    unrest = copy + RNG.normal(0, 0.005, copy.shape)
    assert np.array_equal(keep_unchanged(SOURCE, copy, copy), SOURCE)
    assert np.abs(keep_unchanged(SOURCE, unrest, copy).astype(int) - SOURCE).max() <= 2


def test_a_change_arrives_and_the_rest_is_kept():
    copy = blurred(SOURCE)
    edited = copy.copy()
    edited[20:40, 20:40] += 0.2
    got = keep_unchanged(SOURCE, edited, copy).astype(int)
    inside = np.clip(SOURCE[22:38, 22:38].astype(int) + 51, 0, 255)
    assert np.abs(got[22:38, 22:38] - inside).max() <= 1
    outside = np.ones((64, 64), bool)
    outside[18:42, 18:42] = False
    assert np.array_equal(got[outside], SOURCE[outside])


def test_a_change_at_model_size_is_brought_to_the_source():
    large = RNG.integers(0, 256, (200, 300, 3), dtype=np.uint8)
    copy = np.full((64, 64, 3), 0.5)
    edited = copy.copy()
    edited[:, :32] -= 0.3
    got = keep_unchanged(large, edited, copy).astype(int)
    assert np.array_equal(got[:, 170:], large[:, 170:])
    assert np.abs(got[:, :130] - np.clip(large[:, :130].astype(int) - 76.5, 0, 255)).max() <= 1


def test_sizes_must_agree():
    with pytest.raises(ValueError, match="one size"):
        keep_unchanged(SOURCE, np.zeros((64, 64, 3)), np.zeros((32, 64, 3)))


def test_a_removed_thing_leaves_nothing_of_itself():
    """What the autoencoder loses of the source must not stay where the source's thing is gone."""
    copy = blurred(SOURCE)
    edited = copy.copy()
    edited[20:40, 20:40] = 0.5
    got = replace_changed(SOURCE, edited, copy, 0.06, 0.2).astype(int)
    assert np.abs(got[23:37, 23:37] - 128).max() <= 1
    assert np.array_equal(got[:16], SOURCE[:16]) and np.array_equal(got[:, 44:], SOURCE[:, 44:])


def test_weak_and_scattered_changes_are_unrest():
    copy = blurred(SOURCE)
    unrest = copy + RNG.normal(0, 0.06, copy.shape)
    assert np.array_equal(replace_changed(SOURCE, copy, copy, 0.06, 0.2), SOURCE)
    assert (replace_changed(SOURCE, unrest, copy, 0.06, 0.2) == SOURCE).mean() > 0.99


def test_a_change_of_the_whole_picture_keeps_the_source_s_detail():
    large = RNG.integers(60, 196, (256, 256, 3), dtype=np.uint8)
    copy = np.full((64, 64, 3), 0.5)
    got = replace_changed(large, copy + 0.2, copy, 0.06, 0.15).astype(int)
    assert np.abs(got - (large.astype(int) + 51)).max() <= 1


def test_a_local_change_is_brought_to_a_large_source():
    large = RNG.integers(0, 256, (200, 300, 3), dtype=np.uint8)
    copy = np.full((64, 64, 3), 0.5)
    edited = copy.copy()
    edited[10:30, 10:30] = 0.1
    got = replace_changed(large, edited, copy, 0.06, 0.2).astype(int)
    assert np.abs(got[45:80, 65:125] - 25.5).max() <= 2
    assert np.array_equal(got[:, 180:], large[:, 180:])


def detailed():
    """A picture of smooth colour with a finely striped half that an autoencoder would lose, float 0..1."""
    rows, columns = np.mgrid[:64, :64] / 63
    smooth = np.stack([rows, columns, (rows + columns) / 2], -1) * 0.5 + 0.25
    stripes = np.where(np.arange(64) % 2, 0.1, -0.1)[None, :, None] * (rows[..., None] < 0.5)
    return smooth, smooth + stripes


def error(a, b):
    return float(np.sqrt(((np.asarray(a, np.float32) / 255 - b) ** 2).mean()))


def test_a_picture_without_noise_comes_back_with_its_detail():
    smooth, _ = detailed()
    source = RNG.integers(100, 156, (64, 64, 3), dtype=np.uint8)
    source[:, 20:] = np.rint(smooth[:, 20:] * 255)  # noise nowhere, detail in less than half of the picture
    drawn = smooth.copy()  # what an autoencoder makes of it
    assert error(keep_detail(source, drawn), source / 255) <= 0.02 < 0.25 * error(source, drawn)


def test_noise_goes_and_detail_stays():
    smooth, clean = detailed()
    noisy = np.rint(
        np.clip(clean + np.random.default_rng(1).normal(0, 0.03, clean.shape), 0, 1) * 255
    ).astype(np.uint8)
    got = keep_detail(noisy, smooth)
    assert error(got, clean) < 0.75 * min(error(noisy, clean), error(smooth * 255, clean))


def test_noise_inside_a_wide_frame_goes_too():
    smooth, _ = detailed()
    clean = np.full((128, 128, 3), 1.0)
    clean[32:96, 32:96] = smooth
    noisy = clean.copy()
    noisy[32:96, 32:96] += np.random.default_rng(1).normal(0, 0.05, smooth.shape)
    noisy = np.rint(np.clip(noisy, 0, 1) * 255).astype(np.uint8)
    got = keep_detail(noisy, clean)
    assert error(got, clean) < 0.4 * error(noisy, clean)


def test_a_denoised_picture_is_brought_to_the_source_s_size():
    flat = np.full((96, 128, 3), 128, np.uint8)
    assert np.array_equal(keep_detail(flat, np.full((64, 64, 3), 128 / 255, np.float32)), flat)


def test_a_small_change_everywhere_is_added_ungated():
    copy = blurred(SOURCE).astype(np.float32)
    got = add_difference(SOURCE, copy + np.float32(0.01), copy).astype(int)
    assert np.abs(got - np.clip(SOURCE.astype(int) + 2.55, 0, 255)).max() <= 1
    with pytest.raises(ValueError, match="one size"):
        add_difference(SOURCE, copy, copy[:32])
