from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from instructdiffusion.decoding import (
    blend_fraction,
    decode_category,
    decode_mask,
    guided_mask,
    split_components,
)
from instructdiffusion.imaging.colors import MASK_COLORS, far_colors
from instructdiffusion.imaging.rasterize import tint


def scene(seed: int, size: int = 64) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(source float32, mask, colour)."""
    rng = np.random.default_rng(seed)
    ground = ndimage.gaussian_filter(rng.normal(0, 1, (size, size, 3)), (5, 5, 0))
    source = np.clip(rng.uniform(0.1, 0.9, 3) + ground / ground.std() * 0.12, 0, 1).astype(np.float32)
    ys, xs = np.mgrid[:size, :size] + 0.5
    x, y, r = *(rng.uniform(0.3, 0.7, 2) * size), rng.uniform(0.12, 0.28) * size
    mask = (xs - x) ** 2 + (ys - y) ** 2 < r * r
    source[mask] = rng.uniform(0, 1, 3)
    return source, mask, far_colors(source)[0].array


def spoiled(picture: np.ndarray, seed: int, noise: float, blur: float) -> np.ndarray:
    soft = ndimage.gaussian_filter(picture, (blur, blur, 0)) if blur else picture
    noisy = soft + np.random.default_rng(seed + 100).normal(0, noise, picture.shape)
    return np.clip(noisy, 0, 1).astype(np.float32)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


@pytest.mark.parametrize(
    ("noise", "blur", "mean", "worst"), [(0, 0, 0.999, 0.995), (0.03, 0, 0.99, 0.93), (0.03, 0.7, 0.97, 0.8)]
)
def test_masks_survive_noise_and_blur(noise: float, blur: float, mean: float, worst: float) -> None:
    scores = []
    for seed in range(25):
        source, mask, color = scene(seed)
        edited = spoiled(tint(source, mask, color, 0.5), seed, noise, blur)
        # The reconstruction of the source has the same blur as the answer, and no noise of its own.
        found, _ = decode_mask(spoiled(source, seed, 0, blur), edited, color)
        scores.append(iou(found, mask))
    assert np.mean(scores) >= mean and min(scores) >= worst


def test_share_follows_the_formula() -> None:
    source = np.full((16, 16, 3), 0.2, np.float32)
    color = MASK_COLORS[4].array
    share = np.linspace(0, 1, 16, dtype=np.float32)[None].repeat(16, 0)
    edited = source + (0.5 * share)[..., None] * (color - source)
    found, explained = blend_fraction(source, edited, color)
    np.testing.assert_allclose(found, share, atol=0.01)
    assert explained.min() > 0.99


def test_other_changes_do_not_count() -> None:
    """A region turned to another colour, and brightness that drifts, are no mask."""
    for seed in range(10):
        source, mask, _ = scene(seed)
        source = source * 0.5 + 0.25
        changed = tint(source, mask, np.float32([0, 1, 0]), 0.6)
        found, soft = decode_mask(source, changed, np.float32([1, 0, 1]))
        assert not found.any() and soft.max() < 0.5
        found, _ = decode_mask(source, np.clip(source + 0.06, 0, 1), np.float32([0, 0, 1]))
        assert not found.any()


def test_a_stripe_of_the_masks_own_colour_is_filled_by_its_neighbours() -> None:
    source = np.full((64, 64, 3), 0.8, np.float32)
    mask = np.zeros((64, 64), bool)
    mask[16:48, 16:48] = True
    source[30:33, :] = (1, 0, 0)
    found, _ = decode_mask(source, tint(source, mask, np.float32([1, 0, 0]), 0.5), np.float32([1, 0, 0]))
    assert iou(found, mask) > 0.97


def test_small_regions_go_and_min_area_is_obeyed() -> None:
    source = np.full((64, 64, 3), 0.3, np.float32)
    mask = np.zeros((64, 64), bool)
    mask[10:30, 10:30] = True
    mask[50, 50:52] = True
    color = np.float32([1, 1, 0])
    edited = tint(source, mask, color, 0.5)
    assert not decode_mask(source, edited, color)[0][50, 50]
    assert decode_mask(source, edited, color, min_area=1)[0][50, 50]
    assert not decode_mask(source, edited, color, min_area=500)[0].any()
    with pytest.raises(ValueError, match="threshold"):
        decode_mask(source, edited, color, threshold=1.5)


def test_components_come_largest_first() -> None:
    mask = np.zeros((10, 10), bool)
    mask[0, 0] = mask[5:9, 5:9] = True
    parts = split_components(mask)
    assert [int(p.sum()) for p in parts] == [16, 1]
    assert split_components(np.zeros((4, 4), bool)) == []


@pytest.mark.parametrize("noise", [0.0, 0.03])
@pytest.mark.parametrize("gain", [1.0, 0.85])
def test_categories_are_told_apart(noise: float, gain: float) -> None:
    """All eight colours compete, gray, white and black too, also when painted a little too faintly."""
    colors = np.stack([c.array for c in MASK_COLORS])
    right = total = 0
    for seed in range(15):
        source, mask, _ = scene(seed)
        for index in range(len(colors)):
            if np.linalg.norm(source[mask] - colors[index], axis=-1).mean() < 0.5:
                continue  # a colour on itself shows nothing
            edited = spoiled(tint(source, mask, colors[index], 0.5 * gain), seed, noise, 0)
            scores = decode_category(source, edited, colors)
            total += 1
            right += int(np.argmax(scores)) == index and scores.max() > 0
            assert 0 <= scores.sum() <= 1.001
    assert total > 80 and right / total > (0.99 if gain == 1 else 0.93)


def test_no_category_in_noise_or_in_a_strange_colour() -> None:
    colors = np.stack([c.array for c in MASK_COLORS[:2]])
    for seed in range(10):
        source, mask, _ = scene(seed)
        assert not decode_category(source, spoiled(source, seed, 0.03, 0), colors).any()
    source = np.full((32, 32, 3), 0.5, np.float32)
    mask = np.zeros((32, 32), bool)
    mask[8:24, 8:24] = True
    assert not decode_category(source, tint(source, mask, np.float32([0, 1, 0]), 0.5), colors).any()


def test_guided_upsampling_follows_the_pictures_edge() -> None:
    ys, xs = np.mgrid[:240, :320]
    truth = xs + 0.6 * ys < 230
    large = np.where(truth[..., None], 0.8, 0.3).astype(np.float32).repeat(3, -1)
    large += np.random.default_rng(0).normal(0, 0.02, large.shape).astype(np.float32)
    small = truth.reshape(60, 4, 80, 4).mean((1, 3)).astype(np.float32)
    found = guided_mask((small >= 0.5).astype(np.float32), large)
    assert found.shape == (240, 320) and found.dtype == np.float32
    assert iou(found >= 0.5, truth) > 0.99
    plain = np.asarray((small >= 0.5).repeat(4, 0).repeat(4, 1))
    assert iou(found >= 0.5, truth) > iou(plain, truth)
    assert (guided_mask(np.zeros((60, 80), np.float32), large) == 0).all()


def test_the_guide_sharpens_a_mask_of_its_own_size() -> None:
    from scipy import ndimage

    truth = np.zeros((64, 64), bool)
    truth[20:44, 15:50] = True
    picture = np.where(truth[..., None], 0.8, 0.3).astype(np.float32).repeat(3, -1)
    picture += np.random.default_rng(0).normal(0, 0.02, picture.shape).astype(np.float32)
    blurred = ndimage.shift(ndimage.gaussian_filter(truth.astype(np.float32), 1.5), (0.8, -0.8))
    assert iou(blurred >= 0.5, truth) < 0.95
    assert iou(guided_mask(blurred, picture) >= 0.5, truth) > 0.98
