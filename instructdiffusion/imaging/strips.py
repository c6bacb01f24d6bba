"""Strips: work on large pictures done some rows at a time, so that an interruption is noticed in its midst.

What looks at single pixels, and filters that go along single lines, give the same in parts, to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..utils.interrupts import check_interrupt

PIXELS = 2**20  # of a strip; smaller pictures are done in one


def strips(size: Sequence[int], pixels: int = PIXELS) -> Iterator[slice]:
    """Go through a picture of `size` (height, width, ...) in strips.

    Args:
        size: The shape; only its first two sides count.
        pixels: That a strip has at most, but for one row.

    Yields:
        The rows of each strip; before each, what a host has to say of an interruption is raised.
    """
    height, width = size[0], size[1]
    rows = max(1, pixels // max(1, width))
    for start in range(0, height, rows):
        check_interrupt()
        yield slice(start, min(height, start + rows))


def in_strips(work: Callable[[slice], np.ndarray], size: Sequence[int], pixels: int = PIXELS) -> np.ndarray:
    """Do pixel by pixel work on a picture of `size` (height, width, ...) strip by strip.

    Args:
        work: From rows to what comes of them, [rows, ...].
        size: The shape of the whole; only its first two sides count.
        pixels: That a strip has at most.

    Returns:
        The parts one below the other, [height, ...].
    """
    out: np.ndarray | None = None
    for rows in strips(size, pixels):
        part = work(rows)
        if rows.stop - rows.start == size[0]:
            return part
        if out is None:
            out = np.empty((size[0], *part.shape[1:]), part.dtype)
        out[rows] = part
    return work(slice(0, 0)) if out is None else out


def with_margin(rows: slice, height: int, margin: int) -> tuple[slice, slice]:
    """Widen a strip by rows around it that count for it.

    Returns:
        (the wider rows, those of them that are the strip's, counted from the first).
    """
    top = max(0, rows.start - margin)
    return slice(top, min(height, rows.stop + margin)), slice(rows.start - top, rows.stop - top)


def gaussian_filter(
    field: np.ndarray, sigma: float, mode: str = "reflect", truncate: float = 4.0
) -> np.ndarray:
    """Blur float values [h, w] or [h, w, c] along both sides, as scipy.ndimage's filter of that name does."""
    from scipy import ndimage

    def along(lines: np.ndarray, axis: int, out: np.ndarray) -> None:
        ndimage.gaussian_filter1d(lines, sigma, axis, output=out, mode=mode, truncate=truncate)

    return _filtered(field, along)


def uniform_filter(field: np.ndarray, window: int, mode: str = "reflect") -> np.ndarray:
    """The mean of float values [h, w] over a square window, as scipy.ndimage's filter of that name gives it."""
    from scipy import ndimage

    def along(lines: np.ndarray, axis: int, out: np.ndarray) -> None:
        ndimage.uniform_filter1d(lines, window, axis, output=out, mode=mode)

    return _filtered(field, along)


def _filtered(field: np.ndarray, along: Callable[[np.ndarray, int, np.ndarray], Any]) -> np.ndarray:
    """A filter of lines along the columns, then along the rows, some lines at a time."""
    out = np.empty_like(field, order="C")
    for columns in strips((field.shape[1], field.shape[0] * out[:1, :1].size)):
        along(field[:, columns], 0, out[:, columns])
    for rows in strips((field.shape[0], field.shape[1] * out[:1, :1].size)):
        along(out[rows], 1, out[rows])
    return out


def connected_to(seeds: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The connected regions (4-neighbours) of a mask that hold a seed: bool [h, w], as both of them.

    seeds lie within the mask.
    """
    from scipy import ndimage

    if not seeds.any():
        return np.zeros_like(mask)
    check_interrupt()
    labels, count = ndimage.label(mask)
    check_interrupt()
    chosen = np.zeros(count + 1, bool)
    chosen[labels[seeds]] = True
    return in_strips(lambda rows: chosen[labels[rows]], mask.shape)
