"""Examples from scenes: a task, a seed -> (source, target, instruction)."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np

from ...imaging.resize import scale_image
from ...tasks import get_task
from ...tasks.wordings import reworded
from ..records import Example, join
from . import scene_record
from .canvas import Size

_LONGEST = 140  # letters of other words: of those more than 140 long some have more tokens than `tiny` reads
_TRIES = 8  # five joints are often said at length


def make_example(
    task: str,
    seed: int,
    *,
    split: str = "train",
    size: Size = 64,
    level: int = 3,
    held_out: bool = False,
    other_words: bool = False,
    unseen: bool = False,
    absent: bool = False,
    extent: float | None = None,
) -> Example:
    """The example of a seed: the scene's record joined with its task; a pure function of the arguments.

    held_out: word the instruction with a paraphrase that training never sees. other_words: ask the same in one of the
    sentences of `tasks.wordings`, a short one. unseen: a pair of attributes that training never sees. absent: ask for
    what is not there, where the task can be made to. size: side of a square in pixels, or (height, width). extent: ask
    for one object whose longer side is that share of the picture's shorter one.
    """
    record = scene_record(
        task, seed, split=split, size=size, level=level, unseen=unseen, absent=absent, extent=extent
    )
    words = random.Random(f"{task} {split} {seed} words")
    chosen = get_task(task)
    example = join(record, chosen, words, held_out=held_out)
    if not other_words:
        return example
    instruction = example.instruction
    texts = (reworded(chosen, instruction, words) for _ in range(_TRIES))
    text = next((t for t in texts if len(t) <= _LONGEST), instruction.text)
    return replace(example, instruction=replace(instruction, text=text))


def closer(example: Example, seed: int, times: int = 2) -> Example:
    """The example seen `times` as near: both pictures enlarged and cut to their old size at a place that `seed` gives.

    So looks a tile of a picture that restoration enlarges first (`Settings.upscale`). The record is still that of the
    whole picture.
    """
    height, width = example.source.shape[:2]
    rng = random.Random(f"closer {seed}")
    x, y = rng.randint(0, (times - 1) * width), rng.randint(0, (times - 1) * height)

    def cut(picture: np.ndarray) -> np.ndarray:
        return scale_image(picture, times)[y : y + height, x : x + width]

    return replace(example, source=cut(example.source), target=cut(example.target))
