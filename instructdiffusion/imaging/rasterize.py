"""How answers are drawn: half-transparent tints, discs and rectangles with soft edges.

Drawing and reading back share these functions, so that what one writes the other finds. Pixel (column i,
row j) is the square i..i+1, j..j+1; its centre is (i + .5, j + .5).
"""

from __future__ import annotations

import numpy as np

DISC_RADIUS = 10 / 256  # of the longer side (the paper's)
SMALLEST_RADIUS = 2.2  # pixels; a smaller disc is lost in a small model's autoencoder


def disc_radius(h: int, w: int) -> float:
    """Radius in pixels of a mark on a picture of (h, w): 10 at 256, at least 2.2."""
    return max(SMALLEST_RADIUS, max(h, w) * DISC_RADIUS)


def disc_coverage(x: float, y: float, radius: float, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Coverage 0..1, float32 [rows, columns], of a disc at (x, y): clip(radius + .5 - distance, 0, 1)."""
    dx = columns.astype(np.float32) + np.float32(0.5 - x)
    dy = rows.astype(np.float32) + np.float32(0.5 - y)
    distance = np.sqrt(dx[None] * dx[None] + (dy * dy)[:, None])
    return np.clip(np.float32(radius + 0.5) - distance, 0, 1)


def span_coverage(low: float, high: float, size: int) -> np.ndarray:
    """float32 [size]: how much of each unit cell lies between low and high."""
    cells = np.arange(size, dtype=np.float32)
    return np.clip(np.minimum(cells + 1, high) - np.maximum(cells, low), 0, 1).astype(np.float32)


def box_coverage(box: np.ndarray, h: int, w: int) -> np.ndarray:
    """Coverage 0..1, float32 [h, w], of the box x1, y1, x2, y2."""
    x1, y1, x2, y2 = (float(v) for v in box)
    return span_coverage(y1, y2, h)[:, None] * span_coverage(x1, x2, w)[None]


def blend(picture: np.ndarray, weight: np.ndarray | float, color: np.ndarray) -> np.ndarray:
    """(1 - weight) picture + weight color, in the kind (uint8 or float) of the picture.

    weight: float broadcastable to [h, w]; color: float32 [3] in 0..1.
    """
    amount = np.asarray(weight, np.float32)[..., None]
    if picture.dtype == np.uint8:
        mixed = picture + amount * (color * np.float32(255) - picture)
        return (mixed + np.float32(0.5)).astype(np.uint8)
    return (picture + amount * (color - picture)).astype(picture.dtype)


def tint(picture: np.ndarray, mask: np.ndarray, color: np.ndarray, alpha: float) -> np.ndarray:
    """A copy of the picture with `color` at opacity alpha where mask (bool [h, w]) is set."""
    painted = picture.copy()
    if mask.any():
        painted[mask] = blend(picture[mask], alpha, color)
    return painted


def as_float(picture: np.ndarray) -> np.ndarray:
    """The picture as float32 in 0..1."""
    if picture.dtype == np.uint8:
        return picture.astype(np.float32) * np.float32(1 / 255)
    return picture.astype(np.float32, copy=False)
