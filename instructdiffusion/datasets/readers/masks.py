"""Masks as annotations hold them: polygons and run lengths, as bool arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .problems import Flaw, number, whole


def check_segmentation(segmentation: Any, size: tuple[int, int]) -> None:
    """Flaw unless it is polygons of three points or more, or run lengths of `size` (height, width)."""
    if isinstance(segmentation, dict):
        given = segmentation.get("size")
        if not isinstance(given, (list, tuple)) or [whole(v, "a side of the mask") for v in given] != list(
            size
        ):
            raise Flaw(f"the mask is of {given} and the picture of {list(size)} (height, width)")
        run_lengths_of(segmentation.get("counts"), size)
        return
    if not isinstance(segmentation, (list, tuple)) or not segmentation:
        raise Flaw("there is neither a polygon nor a mask")
    if isinstance(segmentation[0], dict):
        for part in segmentation:
            check_segmentation(part, size)
        return
    for polygon in segmentation:
        if not isinstance(polygon, (list, tuple)) or len(polygon) % 2:
            raise Flaw("a polygon is not a list of x, y, x, y, ...")
        if len(polygon) < 6:
            raise Flaw(f"a polygon has {len(polygon) // 2} points: expected at least 3")
        for value in polygon:
            number(value, "a coordinate of a polygon")


def segmentation_mask(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """bool [h, w] of a COCO segmentation (polygons, run lengths, or a list of these): their union.

    size: (height, width). Flaw for what `check_segmentation` refuses.
    """
    check_segmentation(segmentation, size)
    if isinstance(segmentation, dict):
        return decode_run_lengths(segmentation["counts"], size)
    mask = np.zeros(size, bool)
    for part in segmentation:
        mask |= (
            decode_run_lengths(part["counts"], size) if isinstance(part, dict) else polygon_mask(part, size)
        )
    return mask


def polygon_mask(polygon: Sequence[float], size: tuple[int, int]) -> np.ndarray:
    """bool [h, w]: pixels whose centre (x + .5, y + .5) lies inside the polygon x, y, x, y, ... (even-odd).

    Every edge toggles, in each row that it crosses, all pixels right of the crossing; a pixel is inside where
    it was toggled an odd number of times.
    """
    h, w = size
    points = np.asarray(polygon, np.float64).reshape(-1, 2)
    toggles = np.zeros((h, w + 1), np.int32)
    ends = np.roll(points, -1, 0)
    for (x1, y1), (x2, y2) in zip(points, ends, strict=True):
        if y1 == y2:
            continue
        if y1 > y2:
            x1, y1, x2, y2 = x2, y2, x1, y1
        first, last = max(0, int(np.ceil(y1 - 0.5))), min(h, int(np.ceil(y2 - 0.5)))
        if first >= last:
            continue
        rows = np.arange(first, last)
        crossing = x1 + (rows + 0.5 - y1) * (x2 - x1) / (y2 - y1)
        columns = np.clip(np.ceil(crossing - 0.5), 0, w).astype(np.int64)
        toggles[rows, columns] += 1  # a row appears once an edge
    return (np.cumsum(toggles[:, :w], axis=1) & 1).astype(bool)


def run_lengths_of(counts: Any, size: tuple[int, int]) -> np.ndarray:
    """int64 [n] run lengths, zeros first, of COCO's plain list or compressed string.

    The string holds each length, less the one before the last from the fourth on, in groups of five bits,
    low ones first, a sixth bit saying that more follow. Flaw unless they add up to the picture.
    """
    if isinstance(counts, (list, tuple)):
        lengths = np.asarray([whole(v, "a run length") for v in counts], np.int64)
    elif isinstance(counts, (str, bytes)):
        lengths = _uncompressed(counts.encode() if isinstance(counts, str) else counts)
    else:
        raise Flaw(f"run lengths are a list or a string, got {type(counts).__name__}")
    area = size[0] * size[1]
    if (lengths < 0).any() or (lengths > area).any() or lengths.sum() != area:
        raise Flaw(f"run lengths add up to {int(lengths.sum())}: expected {size[0]} x {size[1]}")
    return lengths


def _uncompressed(data: bytes) -> np.ndarray:
    lengths: list[int] = []
    place = 0
    while place < len(data):
        value, shift, more = 0, 0, True
        while more:
            if place >= len(data) or not 48 <= data[place] < 112 or shift > 40:
                raise Flaw("the compressed run lengths are damaged")
            bits = data[place] - 48
            value |= (bits & 31) << shift
            more = bool(bits & 32)
            place += 1
            shift += 5
            if not more and bits & 16:
                value -= 1 << shift
        lengths.append(value + lengths[-2] if len(lengths) > 2 else value)
    return np.asarray(lengths, np.int64)


def decode_run_lengths(counts: Any, size: tuple[int, int]) -> np.ndarray:
    """bool [h, w] of COCO run lengths: column by column, zeros first."""
    lengths = run_lengths_of(counts, size)
    values = np.arange(len(lengths)) % 2 == 1
    return np.repeat(values, lengths).reshape(size[1], size[0]).T


def compress_run_lengths(lengths: Sequence[int]) -> str:
    """COCO's compressed string of run lengths: the inverse of what `run_lengths_of` reads."""
    out = bytearray()
    for place, length in enumerate(lengths):
        value = int(length) - (int(lengths[place - 2]) if place > 2 else 0)
        more = True
        while more:
            bits = value & 31
            value >>= 5
            more = value != (-1 if bits & 16 else 0)
            out.append((bits | (32 if more else 0)) + 48)
    return out.decode()
