"""Masks as annotations hold them: polygons and run lengths, as bool arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .problems import Flaw, number, whole

STUBS = "polygons of fewer than 3 points are passed over, beside whole ones of the same thing"
_EMPTY = "the mask holds no pixel of the picture"


def check_segmentation(segmentation: Any, size: tuple[int, int]) -> int:
    """Flaw unless it is polygons, or run lengths of `size` (height, width), and holds a pixel of the picture.

    Points in a line, polygons beside the picture and run lengths of zeros alone hold none: such a thing cannot be
    drawn, and is not to be asked for as if it showed. Returns how many polygons of fewer than three points stand
    beside whole ones: COCO has such stubs, they enclose nothing, and its own tools draw none either.
    """
    parts = _parts(segmentation, size)
    holds = [_holds_pixel(part, size) for part in parts]  # a flaw of any is one of the whole
    if True not in holds:
        raise Flaw(_EMPTY)
    return len(segmentation) - len(parts) if isinstance(segmentation, (list, tuple)) else 0


def segmentation_mask(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """bool [h, w] of a COCO segmentation (polygons, run lengths, or a list of these): their union.

    size: (height, width). Flaw for what `check_segmentation` refuses.
    """
    mask = np.zeros(size, bool)
    for part in _parts(segmentation, size):
        mask |= (
            decode_run_lengths(part["counts"], size) if isinstance(part, dict) else polygon_mask(part, size)
        )
    if not mask.any():
        raise Flaw(_EMPTY)
    return mask


def _parts(segmentation: Any, size: tuple[int, int]) -> list[Any]:
    """The polygons of three points or more, or the objects with run lengths, of a segmentation.

    Flaw for what is neither, and where there are only polygons of fewer points.
    """
    if isinstance(segmentation, dict):
        segmentation = [segmentation]
    if not isinstance(segmentation, (list, tuple)) or not segmentation:
        raise Flaw("there is neither a polygon nor a mask")
    for part in segmentation:
        if isinstance(part, dict):
            stated_size = part.get("size")
            sides = stated_size if isinstance(stated_size, (list, tuple)) else ()
            if [whole(v, "a side of the mask") for v in sides] != list(size):
                raise Flaw(f"the mask is of {stated_size} and the picture of {list(size)} (height, width)")
            if "counts" not in part:
                raise Flaw("the mask has no counts")
            continue
        if not isinstance(part, (list, tuple)) or len(part) % 2:
            raise Flaw("a polygon is not a list of x, y, x, y, ...")
        for value in part:
            number(value, "a coordinate of a polygon")
    whole_parts = [part for part in segmentation if isinstance(part, dict) or len(part) >= 6]
    if not whole_parts:
        raise Flaw(f"a polygon has {len(segmentation[0]) // 2} points: expected at least 3")
    return whole_parts


def _holds_pixel(part: Any, size: tuple[int, int]) -> bool:
    """Whether a part of a segmentation holds a pixel of the picture."""
    if isinstance(part, dict):
        return bool(run_lengths_of(part["counts"], size)[1::2].any())
    return bool(_drawn(part, size)[2].any())


def polygon_mask(polygon: Sequence[float], size: tuple[int, int]) -> np.ndarray:
    """bool [h, w]: pixels whose centre (x + .5, y + .5) lies inside the polygon x, y, x, y, ... (even-odd).

    Every edge toggles, in each row that it crosses, all pixels right of the crossing; a pixel is inside where
    it was toggled an odd number of times.
    """
    top, left, part = _drawn(polygon, size)
    mask = np.zeros(size, bool)
    mask[top : top + part.shape[0], left : left + part.shape[1]] = part
    return mask


def _drawn(polygon: Sequence[float], size: tuple[int, int]) -> tuple[int, int, np.ndarray]:
    """(top, left, bool [h, w]): `polygon_mask` within the rectangle of the polygon, which holds all of it."""
    points = np.asarray(polygon, np.float64).reshape(-1, 2)
    low, high = points.min(0), points.max(0)
    left, right = (int(np.clip(np.ceil(v - 0.5), 0, size[1])) for v in (low[0], high[0]))
    top, bottom = (int(np.clip(np.ceil(v - 0.5), 0, size[0])) for v in (low[1], high[1]))
    ends = np.roll(points, -1, 0)
    down = (points[:, 1] <= ends[:, 1])[:, None]
    (x1, y1), (x2, y2) = np.where(down, points, ends).T, np.where(down, ends, points).T
    first = np.clip(np.ceil(y1 - 0.5), top, bottom).astype(np.int64)
    crossed = np.clip(np.ceil(y2 - 0.5), top, bottom).astype(np.int64) - first  # rows, none of a level edge
    edge = np.repeat(np.arange(len(points)), crossed)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(crossed) - crossed, crossed) + first[edge]
    crossing = x1[edge] + (row + 0.5 - y1[edge]) * (x2 - x1)[edge] / (y2 - y1)[edge]
    column = np.clip(np.ceil(crossing - 0.5), left, right).astype(np.int64) - left
    height, width = bottom - top, right - left
    toggles = np.bincount((row - top) * (width + 1) + column, minlength=height * (width + 1))
    toggles = toggles.reshape(height, width + 1)[:, :width]
    return top, left, (np.cumsum(toggles, axis=1) & 1).astype(bool)


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
