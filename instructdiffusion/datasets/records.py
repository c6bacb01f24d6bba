"""A record: a picture with what is asked and the true answer; an example: what a training step sees of it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..imaging.colors import far_colors

if TYPE_CHECKING:
    from ..imaging.colors import Color
    from ..tasks.instruction import Instruction
    from ..tasks.task import Task

VARIETY = 4  # colours that one subject's is drawn from: training has to read the word


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
    """The record as an example of `task`: words and colours drawn by `rng`, the answer rendered.

    Colours are drawn from those that the picture leaves free, as the library chooses them for a user. They
    depend on the picture alone: colours chosen to suit the answer would give it away. `held_out` takes the
    paraphrases.
    """
    colors = free_colors(record.image, task.palette, len(record.subjects), rng) if task.palette else None
    instruction = task.instruct(record.subjects or None, colors, rng=rng, held_out=held_out)
    return Example(record.image, task.render(record.image, record.target, instruction), instruction, record)


def free_colors(
    picture: np.ndarray, palette: tuple[Color, ...], count: int, rng: random.Random
) -> list[Color]:
    """`count` different colours out of the few that are farthest from what is in the picture.

    ValueError for more subjects than colours.
    """
    if count > len(palette):
        raise ValueError(f"{count} subjects need as many colours, the palette has {len(palette)}")
    return rng.sample(far_colors(picture, None, palette, min(len(palette), max(VARIETY, count + 1))), count)
