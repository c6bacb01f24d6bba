"""A record: a picture with what is asked and the true answer; an example: what a training step sees of it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..results import Boxes, Keypoints, Label, Masks

if TYPE_CHECKING:
    from ..color import Color
    from ..tasks.base import Task
    from ..tasks.instruction import Instruction

# How far (RGB, 0..1 a channel) a colour must be from nine tenths of what it is drawn on to be well visible.
VISIBLE = 0.5
# How far it must be from three quarters of the picture: an answer drawn in the background's own colour could
# not be told from one that covers the background too.
DISTINCT = 0.35


@dataclass(frozen=True, eq=False)
class Record:
    """A picture and the truth about what is asked of it.

    image: uint8 [h, w, 3]. subjects: what is asked for, as in `Instruction.subjects`. target: Masks
    (segment, refer), Keypoints (keypoints, align), Boxes (detect), (Label, bool [h, w]) (classify), or the
    picture to come out, uint8 [h, w, 3] (denoise, deblur, dewatermark, edit). caption: the picture (for
    restoration: the clean picture) in plain words. tags: "absent", "unseen-pair", "attribute", "position",
    "relation", "hidden", ... meta: numbers that an evaluation needs.
    """

    image: np.ndarray
    subjects: tuple[str, ...]
    target: Any
    caption: str = ""
    tags: frozenset[str] = frozenset()
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.image, np.ndarray) or self.image.dtype != np.uint8 or self.image.ndim != 3:
            raise TypeError("a record's image is a uint8 array [h, w, 3]: convert the picture first")
        if self.image.shape[2] != 3:
            raise ValueError(f"a record's image has 3 channels, got {self.image.shape[2]}: convert it to RGB")
        if isinstance(self.subjects, str):
            raise TypeError("subjects is a tuple of strings, got one string: write (subject,)")


@dataclass(frozen=True, eq=False)
class Example:
    """A pair of uint8 pictures with the instruction that leads from source to target."""

    source: np.ndarray
    target: np.ndarray
    instruction: Instruction
    record: Record


def join(record: Record, task: Task, rng: random.Random, held_out: bool = False) -> Example:
    """The record as a training example of `task`: words and colours drawn by `rng`, the answer rendered.

    Colours are random among those well visible on what they mark; `held_out` takes the paraphrases.
    """
    colors = visible_colors(record, task.palette, rng) if task.palette else None
    instruction = task.instruct(record.subjects or None, colors, rng=rng, held_out=held_out)
    return Example(record.image, task.render(record.image, record.target, instruction), instruction, record)


def visible_colors(record: Record, palette: tuple[Color, ...], rng: random.Random) -> list[Color]:
    """A different colour of `palette` for every subject, well visible where it will be drawn and not the background's.

    Where no colour left is well visible the farthest one is taken; ValueError for more subjects than colours.
    """
    if len(record.subjects) > len(palette):
        raise ValueError(
            f"{len(record.subjects)} subjects need as many colours, the palette has {len(palette)}"
        )
    table = np.stack([color.array for color in palette])
    left = list(range(len(palette)))
    everywhere = _reach(record.image.reshape(-1, 3), table, 4)
    chosen: dict[int, int] = {}
    places = [_marked(record, i) for i in range(len(record.subjects))]
    # Subjects that are drawn choose first; the colours of the others do not show.
    for i in sorted(range(len(places)), key=lambda i: places[i] is None):
        pixels = places[i]
        good = [c for c in left if everywhere[c] >= DISTINCT] or left
        if pixels is not None:
            reach = _reach(pixels, table, 10)
            good = [c for c in good if reach[c] >= VISIBLE] or [max(good, key=lambda c: float(reach[c]))]
        chosen[i] = good[int(rng.random() * len(good))]
        left.remove(chosen[i])
    return [palette[chosen[i]] for i in range(len(places))]


def _reach(pixels: np.ndarray, table: np.ndarray, share: int) -> np.ndarray:
    """Distances [k] that all but one in `share` of the pixels [n, 3] keep from the colours [k, 3]."""
    values = pixels[:: max(1, len(pixels) // 64)].astype(np.float32) / 255
    apart = np.sqrt(((values[:, None] - table) ** 2).sum(2))
    return np.sort(apart, axis=0)[len(values) // share]


def _marked(record: Record, index: int) -> np.ndarray | None:
    """The pixels [n, 3] that the answer for subject `index` is drawn on; None where nothing is drawn."""
    target, image = record.target, record.image
    region: np.ndarray | None = None
    if isinstance(target, Masks):
        region = target.union()
    elif isinstance(target, Boxes):
        region = np.zeros(image.shape[:2], bool)
        for x1, y1, x2, y2 in target.xyxy.astype(int).tolist():
            region[y1:y2, x1:x2] = True
    elif isinstance(target, Keypoints):
        if len(target) == 0 or not target.visible[0, index]:
            return None
        (x, y), r = target.xy[0, index].tolist(), max(2.5, image.shape[1] * 10 / 256)
        window = image[max(0, int(y - r)) : int(y + r) + 1, max(0, int(x - r)) : int(x + r) + 1]
        return window.reshape(-1, 3) if window.size else None
    elif isinstance(target, tuple) and isinstance(target[0], Label):
        region = target[1] if target[0].name == record.subjects[index] else None
    return image[region] if region is not None and region.any() else None
