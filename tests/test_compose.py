"""The edit is laid on the source; what did not change is the source."""

from __future__ import annotations

import numpy as np
import pytest

from instructdiffusion.compose import keep_unchanged, replace_changed

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
