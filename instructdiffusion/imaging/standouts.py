"""Standouts: small places of a picture that differ in colour from most of it, where a nearer look may find a thing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .resize import LONGEST, resize_picture

SIDE = 96  # pixels of the short side at which places are searched for
BINS = (12, 24, 24)  # of lightness and the two opponent colours
SIZES = (0.08, 0.12, 0.17, 0.24)  # of the short side: things that are searched for
ROOM = 2.2  # how many times as large as the thing a window is
# A part of a thing is rarer in colour than the whole: without a weight by size windows are too small for their things.
GROWTH = 0.5


class Window(NamedTuple):
    """A square of a picture, in pixels."""

    y: int
    x: int
    side: int


def standout_windows(picture: np.ndarray, count: int) -> list[Window]:
    """Search a picture for small places of a colour that is rare in it.

    Args:
        picture: uint8 [h, w, 3].
        count: How many windows to give at most.

    Returns:
        Squares around such places, inside the picture, what stands out most first; none of a plain picture.
    """
    from scipy import ndimage

    height, width = picture.shape[:2]
    scale = SIDE / min(height, width)
    size = tuple(min(LONGEST * SIDE, max(SIDE, round(side * scale))) for side in (height, width))
    rare = _rarity(_opponent(resize_picture(picture, (size[0], size[1]))))
    places: list[tuple[float, float, float, float]] = []
    for share in SIZES:
        side = share * SIDE
        stands = ndimage.gaussian_filter(rare, side * 0.25) - ndimage.gaussian_filter(rare, side * 0.8)
        peaks = (stands == ndimage.maximum_filter(stands, max(3, int(side * 0.7)))) & (stands > 0.15)
        for y, x in np.argwhere(peaks):
            places.append((float(stands[y, x]) * (share / SIZES[0]) ** GROWTH, float(y), float(x), share))
    chosen: list[tuple[float, float, float, float]] = []
    for place in sorted(places, reverse=True):
        far = [max(abs(place[1] - c[1]), abs(place[2] - c[2])) > 0.5 * c[3] * SIDE for c in chosen]
        if all(far):
            chosen.append(place)
        if len(chosen) == count:
            break
    windows = []
    for _, y, x, share in chosen:
        side = max(1, min(height, width, round(share * ROOM * min(height, width))))
        middle = (y + 0.5) * height / size[0], (x + 0.5) * width / size[1]
        top, left = (
            min(max(0, round(c - side / 2)), whole - side) for c, whole in zip(middle, (height, width), strict=True)
        )
        windows.append(Window(top, left, side))
    return windows


def _opponent(picture: np.ndarray) -> np.ndarray:
    """Lightness 0..1 and two opponent colours, about as different as they look, float32 [h, w, 3]."""
    light = (picture / np.float32(255)) ** np.float32(2.2)
    to_xyz = np.float32([[0.433, 0.376, 0.189], [0.213, 0.715, 0.072], [0.017, 0.109, 0.872]])
    x, y, z = np.moveaxis(np.cbrt(light @ to_xyz.T + np.float32(1e-4)), 2, 0)
    return np.stack([1.16 * y - 0.16, 5 * (x - y), 2 * (y - z)], axis=2)


def _rarity(colors: np.ndarray) -> np.ndarray:
    """Minus the logarithm of the share of the picture that has about a pixel's colour, float32 [h, w]."""
    from scipy import ndimage

    bins = np.float32(BINS)
    cells = np.clip((colors - np.float32([0, -1, -1])) / np.float32([1, 2, 2]) * bins, 0, bins - 0.001).astype(np.intp)
    flat = np.ravel_multi_index(tuple(np.moveaxis(cells, 2, 0)), BINS)
    count = np.bincount(flat.ravel(), minlength=int(np.prod(BINS))).reshape(BINS).astype(np.float32)
    share = ndimage.gaussian_filter(count, 0.7).ravel()[flat] / flat.size
    rarity: np.ndarray = -np.log(share + np.float32(1e-4))
    return rarity
