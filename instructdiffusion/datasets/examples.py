"""Examples from scenes: a task, a seed -> (source, target, instruction)."""

from __future__ import annotations

import random

from ..tasks import get_task
from .record import Example, join
from .scenes import scene_record


def make_example(
    task: str,
    seed: int,
    *,
    split: str = "train",
    size: int = 64,
    level: int = 3,
    held_out: bool = False,
    unseen: bool = False,
    absent: bool = False,
) -> Example:
    """The example of a seed: the scene's record joined with its task; a pure function of the arguments.

    held_out: word the instruction with a paraphrase that training never sees. unseen: a pair of
    attributes that training never sees. absent: ask for what is not there, where the task can be made to.
    """
    record = scene_record(task, seed, split=split, size=size, level=level, unseen=unseen, absent=absent)
    return join(record, get_task(task), random.Random(f"{task} {split} {seed} words"), held_out=held_out)
