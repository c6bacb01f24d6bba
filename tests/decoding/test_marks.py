from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from instructdiffusion.decoding import find_discs
from instructdiffusion.imaging.colors import MARK_COLORS
from instructdiffusion.imaging.rasterize import blend, disc_coverage, disc_radius

COLORS = np.stack([c.array for c in MARK_COLORS])


def ground(seed: int, size: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    soft = ndimage.gaussian_filter(rng.normal(0, 1, (size, size, 3)), (size / 12, size / 12, 0))
    return np.clip(rng.uniform(0.3, 0.45, 3) + soft / soft.std() * 0.05, 0, 1).astype(np.float32)


def with_disc(picture: np.ndarray, xy: np.ndarray, color: np.ndarray) -> np.ndarray:
    h, w = picture.shape[:2]
    coverage = disc_coverage(float(xy[0]), float(xy[1]), disc_radius(h, w), np.arange(w), np.arange(h))
    return blend(picture, coverage, color)


@pytest.mark.parametrize(("h", "w", "radius"), [(256, 256, 10), (64, 64, 2.5), (32, 32, 2.2), (256, 128, 10)])
def test_radius(h: int, w: int, radius: float) -> None:
    assert disc_radius(h, w) == pytest.approx(radius)


@pytest.mark.parametrize(
    ("size", "noise", "blur", "limit"),
    [(256, 0, 0, 0.05), (64, 0, 0, 0.1), (64, 0.03, 0, 0.5), (64, 0.03, 0.7, 2.5)],
)
def test_centres(size: int, noise: float, blur: float, limit: float) -> None:
    """Errors in pixels of a picture of 256; the limit holds for 95 in 100."""
    errors, seen = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        source = ground(seed, size)
        chosen = rng.permutation(len(COLORS))[:4]
        chosen = chosen[chosen != 6]  # gray on gray shows little
        while True:
            xy = rng.uniform(0.04, 0.96, (len(chosen), 2)) * size
            gaps = np.linalg.norm(xy[:, None] - xy[None], axis=-1) + np.eye(len(xy)) * size
            if gaps.min() > 1.2 * disc_radius(size, size):
                break
        edited = source
        for point, color in zip(xy, COLORS[chosen], strict=True):
            edited = with_disc(edited, point, color)
        if blur:
            edited = ndimage.gaussian_filter(edited, (blur, blur, 0))
        edited = np.clip(edited + rng.normal(0, noise, edited.shape), 0, 1).astype(np.float32)
        found, scores = find_discs(source, edited, COLORS[chosen], disc_radius(size, size))
        errors.extend(np.linalg.norm(found - xy, axis=-1) * 256 / size)
        seen.extend(scores)
    assert np.quantile(errors, 0.95) <= limit
    assert np.mean(np.array(seen) >= 0.4) >= 0.98


def test_absent_colours_score_low() -> None:
    for seed in range(10):
        source = ground(seed, 64)
        noisy = source + np.random.default_rng(seed).normal(0, 0.03, source.shape)
        edited = with_disc(np.clip(noisy, 0, 1).astype(np.float32), np.array([20.3, 40.8]), COLORS[0])
        _, scores = find_discs(source, edited, COLORS, disc_radius(64, 64))
        assert scores[0] > 0.7 and scores[1:].max() < 0.2


def test_what_had_the_colour_before_is_no_mark() -> None:
    source = with_disc(ground(0, 64), np.array([40.0, 20.0]), COLORS[0])
    edited = with_disc(source, np.array([15.4, 50.2]), COLORS[0])
    xy, scores = find_discs(source, edited, COLORS[:1], disc_radius(64, 64))
    assert np.linalg.norm(xy[0] - [15.4, 50.2]) < 0.1 and scores[0] > 0.7
    _, scores = find_discs(source, source, COLORS[:1], disc_radius(64, 64))
    assert scores[0] < 0.1


def test_a_disc_half_hidden_or_half_outside_is_still_found() -> None:
    source = ground(3, 256)
    points = np.array([[100.25, 100.5], [110.75, 100.5], [1.5, 200.25]])
    edited = source
    for point, color in zip(points, COLORS[:3], strict=True):
        edited = with_disc(edited, point, color)
    xy, scores = find_discs(source, edited, COLORS[:3], disc_radius(256, 256))
    assert np.linalg.norm(xy - points, axis=-1).max() < 0.3 and scores.min() > 0.4
