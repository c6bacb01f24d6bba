"""Several subjects in one picture: the drawing of each, told from the others by its color."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import numpy as np

from ..imaging.rasterize import as_float
from ..imaging.strips import gaussian_filter, in_strips
from .instruction import Instruction
from .task import ALPHA

_CHANGED = 0.04  # squared RGB distance below which a pixel shows no layer
_SMALL = 0.003  # of the picture: a smaller part of a box tells nothing of its sides


def own_drawings(
    source: np.ndarray, edited: np.ndarray, colors: Sequence[np.ndarray], *, boxes: bool = False
) -> list[np.ndarray]:
    """The picture with only what was drawn in each color, float32 [h, w, 3] in 0..1, where several were drawn.

    Every pixel speaks for the color whose layer explains its change best, after a little smoothing, for layers are
    areas. boxes: what another box hides of a box is drawn in.
    """
    from scipy import ndimage

    s, e = as_float(source), as_float(edited)
    d = in_strips(lambda rows: e[rows] - s[rows], s.shape)
    left = []
    for color in colors:

        def unlike(rows: slice, color: np.ndarray = color) -> np.ndarray:
            u = np.asarray(color, np.float32) - s[rows]
            share = np.clip((d[rows] * u).sum(-1) / (ALPHA * (u * u).sum(-1) + 1e-6), 0.8, 1.1)
            rest = d[rows] - (ALPHA * share)[..., None] * u
            return (rest * rest).sum(-1)

        left.append(gaussian_filter(in_strips(unlike, s.shape), 0.7, "nearest"))
    winner = np.argmin(left, axis=0)
    drawings = []
    for row, color in enumerate(colors):
        mine = winner == row
        drawing = _where(mine, e, s)
        if boxes:
            hidden = _hidden(mine, (d * d).sum(-1) > _CHANGED, ndimage)
            drawing[hidden] = ((1 - ALPHA) * s + ALPHA * np.asarray(color, np.float32))[hidden]
        drawings.append(drawing)
    return drawings


def _where(mask: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """One picture where the mask is set, the other elsewhere."""
    return in_strips(lambda rows: np.where(mask[rows][..., None], inside[rows], outside[rows]), mask.shape)


def rows_of_subjects(labels: Sequence[str], instruction: Instruction, task: str) -> list[list[int]]:
    """The rows that are labelled with each subject; ValueError for a label that is none of them."""
    strange = [label for label in labels if label not in instruction.subjects]
    if strange:
        raise ValueError(f"{task}: {strange[0]!r} is none of {list(instruction.subjects)}")
    return [[i for i, label in enumerate(labels) if label == s] for s in instruction.subjects]


def _hidden(mine: np.ndarray, changed: np.ndarray, ndimage: ModuleType) -> np.ndarray:
    """bool [h, w]: what other layers cover inside the rectangles of a layer's own parts."""
    hidden = np.zeros_like(mine)
    labels, count = ndimage.label(mine & changed)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        if sizes[number] >= _SMALL * mine.size:
            hidden[place] |= changed[place] & ~mine[place]
    return hidden
