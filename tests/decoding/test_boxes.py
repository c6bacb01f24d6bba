from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from instructdiffusion.decoding import decode_boxes
from instructdiffusion.imaging.rasterize import blend, box_coverage

YELLOW = np.float32([1, 1, 0])


def painted(boxes: list, size: int = 64, seed: int = 0, noise: float = 0, blur: float = 0):
    """(source, edited) float32 with the boxes drawn one over the other."""
    rng = np.random.default_rng(seed)
    soft = ndimage.gaussian_filter(rng.normal(0, 1, (size, size, 3)), (5, 5, 0))
    source = np.clip(np.float32([0.2, 0.3, 0.5]) + soft / soft.std() * 0.06, 0, 1).astype(np.float32)
    edited = source
    for box in boxes:
        edited = blend(edited, 0.5 * box_coverage(np.float32(box), size, size), YELLOW)
    if blur:
        edited = ndimage.gaussian_filter(edited, (blur, blur, 0))
    edited = np.clip(edited + rng.normal(0, noise, edited.shape), 0, 1).astype(np.float32)
    return source, edited


def iou(a: np.ndarray, b: np.ndarray) -> float:
    sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    area = sides.prod()
    return float(area / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - area))


ARRANGEMENTS = {
    "one": [(10.3, 12.8, 40.1, 50.6)],
    "full picture": [(0, 0, 64, 64)],
    "apart": [(3.2, 4.1, 20.5, 30.2), (40, 33.3, 62.7, 60)],
    "corner over corner": [(8, 8.5, 36.2, 34), (24.4, 22, 55, 50.3)],
    "cross": [(5, 25, 58.5, 40), (24, 6.2, 41, 60)],
    "one inside the other": [(6, 6, 58, 54), (20.5, 18, 38, 36)],
    "three in a row": [(2, 10, 26, 30), (20, 16.5, 44, 38), (38, 24, 62, 50)],
}


@pytest.mark.parametrize("noise", [0.0, 0.03])
@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_arrangements(name: str, noise: float) -> None:
    boxes = np.float32(ARRANGEMENTS[name])
    for seed in range(3):
        source, edited = painted(ARRANGEMENTS[name], seed=seed, noise=noise)
        found, scores = decode_boxes(source, edited, YELLOW)
        assert len(found) == len(boxes)
        for box in boxes:
            assert max(iou(box, other) for other in found) > (0.98 if not noise else 0.95)
        assert scores.min() > 0.75 and (np.diff(scores) <= 0).all()


def test_most_random_overlaps_are_told_apart() -> None:
    good = total = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        count = int(rng.integers(2, 4))
        while True:
            corner = rng.uniform(0, 40, (count, 2))
            boxes = np.concatenate([corner, np.minimum(corner + rng.uniform(10, 28, (count, 2)), 64)], 1)
            if max(iou(a, b) for i, a in enumerate(boxes) for b in boxes[:i]) < 0.4:
                break
        source, edited = painted(boxes.tolist(), seed=seed, noise=0.02)
        found, _ = decode_boxes(source, edited, YELLOW)
        total += count
        good += sum(max((iou(box, other) for other in found), default=0) > 0.85 for box in boxes)
    assert good / total > 0.9


def test_blur_keeps_the_boxes_in_place() -> None:
    source, edited = painted(ARRANGEMENTS["apart"], noise=0.02, blur=0.7)
    found, _ = decode_boxes(source, edited, YELLOW)
    assert len(found) == 2
    for box in np.float32(ARRANGEMENTS["apart"]):
        assert max(iou(box, other) for other in found) > 0.93


def test_nothing_and_noise_give_no_boxes() -> None:
    for noise in (0.0, 0.03, 0.05):
        found, scores = decode_boxes(*painted([], noise=noise), YELLOW)
        assert found.shape == (0, 4) and scores.shape == (0,)


def test_limits() -> None:
    source, edited = painted(ARRANGEMENTS["apart"])
    assert len(decode_boxes(source, edited, YELLOW, max_boxes=1)[0]) == 1
    found, _ = decode_boxes(source, edited, YELLOW, min_area=550)
    assert len(found) == 1
    source, edited = painted([(50, 50, 64, 64)])
    found, _ = decode_boxes(source, edited, YELLOW)
    assert found[0].tolist() == pytest.approx([50, 50, 64, 64], abs=0.1) and found.max() <= 64
