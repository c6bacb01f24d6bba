"""Regions of masks: found, boxed and cut out, within a bound of memory however speckled a mask is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..instructdiffusion.imaging.resize import resize_picture
from ..instructdiffusion.results import Boxes
from ..instructdiffusion.utils.interrupts import check_interrupt

_MOST = 1000  # regions of a picture
_BYTES = 2**31  # for the masks of one picture's regions
_PIXELS = 64_000_000  # for all cut-outs together, once they are of one size


def split_regions(mask: np.ndarray, min_area: int = 1) -> tuple[list[np.ndarray], int]:
    """(bool [h, w] masks of the connected regions, the largest first; how many there are).

    Regions (4-neighbours) of fewer than `min_area` pixels do not count. At most 1000 are given, fewer of masks
    over two million pixels.
    """
    from scipy import ndimage

    check_interrupt()
    labels, count = ndimage.label(mask)
    check_interrupt()
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    order = [i for i in np.argsort(-sizes, kind="stable") if sizes[i] >= min_area]
    most = max(16, min(_MOST, _BYTES // max(1, mask.size)))
    check_interrupt()
    places, regions = ndimage.find_objects(labels), []
    for number in order[:most]:
        check_interrupt()
        region = np.zeros(mask.shape, bool)
        region[places[number]] = labels[places[number]] == number + 1
        regions.append(region)
    return regions, len(order)


def boxes_around(
    parts: Sequence[np.ndarray], values: Sequence[np.ndarray], label: str, size: tuple[int, int]
) -> Boxes:
    """Tight boxes of bool [h, w] parts, none of them empty; a score is the mean of the part's values, 0..1."""
    rows, scores = [], []
    for part, value in zip(parts, values, strict=True):
        check_interrupt()
        ys, xs = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
        rows.append([xs[0], ys[0], xs[-1] + 1, ys[-1] + 1])
        place = slice(ys[0], ys[-1] + 1), slice(xs[0], xs[-1] + 1)
        scores.append(min(1.0, max(0.0, float(value[place][part[place]].mean()))))
    if not rows:
        return Boxes.empty(*size)
    return Boxes(np.float32(rows), np.float32(scores), (label,) * len(rows), size)


def to_one_size(crops: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Cut-outs scaled, their shape kept, so that the longer side of each is that of the largest.

    Many large ones are made smaller, to 64 million pixels together.
    """
    if len(crops) == 1:
        return list(crops)
    side = min(max(max(c.shape[:2]) for c in crops), max(8, int((_PIXELS / len(crops)) ** 0.5)))
    out = []
    for crop in crops:
        scale = side / max(crop.shape[:2])
        size = tuple(max(1, round(s * scale)) for s in crop.shape[:2])
        out.append(crop if size == crop.shape[:2] else resize_picture(crop, (size[0], size[1])))
    return out
