"""scene_record: a picture of a task with its exact truth, as a pure function of a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ...imaging.psnr import psnr
from ...tasks import TASKS
from ..records import Record
from . import degradations
from .canvas import UNIT, Canvas, Size
from .compose import paint
from .edit_records import edit_record
from .layout import Draw, describe, where
from .perception_records import classify_record, detect_record, refer_record, segment_record
from .point_records import align_record, face_item, keypoints_record

SPLITS = ("train", "val", "test")
LEVELS = (0, 1, 2, 3)


def _any_scene(draw: Draw) -> tuple[np.ndarray, str]:
    """A clean picture of any kind with its caption; structure enough that a blur shows."""
    if draw.level > 0 and draw.chance(0.15):
        face = face_item(draw)
        scene = paint(draw.backdrop([face]), [face])
        return scene.picture, "a face" + where(scene.background)
    scene = draw.paint(draw.place(draw.crowd(draw.rng.randint(2, 4))))
    return scene.picture, describe(scene.items, scene.background)


def denoise_record(draw: Draw) -> Record:
    """A noisy picture and the clean one."""
    clean, caption = _any_scene(draw)
    spoiled = degradations.add_noise(draw.rng, clean)
    return Record(spoiled.picture, (), clean, caption, frozenset(), spoiled.meta)


def deblur_record(draw: Draw) -> Record:
    """A blurred picture and the sharp one."""
    clean, caption = _any_scene(draw)
    # A calm picture loses little by a small blur; there must be some decibels to be gained.
    for strength in (1.0, 1.35, 1.8):
        spoiled = degradations.blur(draw.rng, clean, strength)
        before = psnr(spoiled.picture, clean)
        if before <= 27:
            break
    return Record(spoiled.picture, (), clean, caption, frozenset(), {**spoiled.meta, "psnr": before})


def dewatermark_record(draw: Draw) -> Record:
    """A picture with a watermark and the one without."""
    clean, caption = _any_scene(draw)
    spoiled = degradations.watermark(draw.rng, clean)
    return Record(spoiled.picture, (), clean, caption, frozenset(), {**spoiled.meta, "mask": spoiled.mask})


@dataclass(frozen=True)
class SceneSource:
    """The scenes of a task.

    Attributes:
        record: Makes the record of a scene.
        absent: Whether it can be made to ask for something that is not there.
        unseen: Whether it can be forced to show a pair that training never sees.
        extent: Whether it can be made to ask for one object of a given extent.
    """

    record: Callable[[Draw], Record]
    absent: bool = False
    unseen: bool = False
    extent: bool = False


SCENES: dict[str, SceneSource] = {  # by what a task calls its scenes: its name, or `Task.scenes`
    "segment": SceneSource(segment_record, absent=True, unseen=True, extent=True),
    "refer": SceneSource(refer_record, absent=True, unseen=True, extent=True),
    "keypoints": SceneSource(keypoints_record, unseen=True),
    "detect": SceneSource(detect_record, absent=True, unseen=True, extent=True),
    "classify": SceneSource(classify_record, absent=True, unseen=True),
    "align": SceneSource(align_record),
    "denoise": SceneSource(denoise_record),
    "deblur": SceneSource(deblur_record),
    "dewatermark": SceneSource(dewatermark_record),
    "edit": SceneSource(edit_record, absent=True, unseen=True),
}


def scenes_of(task: str) -> SceneSource | None:
    """The scenes that a task is taught and tested with; None where there are none."""
    known = TASKS.get(task)
    return None if known is None else SCENES.get(known.scenes or task)


_SOURCES = {task: source for task in TASKS if (source := scenes_of(task))}
SCENE_TASKS = tuple(_SOURCES)
ABSENT_TASKS = tuple(task for task, source in _SOURCES.items() if source.absent)
UNSEEN_TASKS = tuple(task for task, source in _SOURCES.items() if source.unseen)
EXTENT_TASKS = tuple(task for task, source in _SOURCES.items() if source.extent)


def scene_record(
    task: str,
    seed: int,
    *,
    split: str = "train",
    size: Size = UNIT,
    level: int = 3,
    unseen: bool = False,
    absent: bool = False,
    extent: float | None = None,
) -> Record:
    """A picture with exact truth for `task`: a pure function of its arguments.

    seed: any integer; the same seed in another split is another picture. size: side of a square in pixels, or
    (height, width); the layout is the same at every size of a shape. A picture that is not square has more room for
    as many objects of the same sizes, and nothing in it is stretched. level: 0 plain shapes before plain colours;
    1 adds textures, things, figures and patterned backgrounds; 2 photographic backgrounds (they need the pip extra
    `scenes`); 3 relations and all the rest. unseen: show and ask for a colour-category or joint-figure pair that is
    never shown or asked for otherwise (only tasks in `UNSEEN_TASKS`, never in the split "train").
    absent: ask for something that is not there (only tasks in `ABSENT_TASKS`), which is else left to chance; now and
    then a picture has nothing to be asked for in vain, and the record is one of something there.
    extent: ask for one object whose longer side is that share (.05 to .95) of the picture's shorter one, beside others
    where there is room (only tasks in `EXTENT_TASKS`, without `unseen` and `absent`).
    ValueError for an unknown task, split or level.
    """
    source = scenes_of(task)
    if source is None:
        raise ValueError(f"expected a task, one of {', '.join(SCENE_TASKS)}; got {task!r}")
    if split not in SPLITS:
        raise ValueError(f"expected a split, one of {', '.join(SPLITS)}; got {split!r}")
    if level not in LEVELS:
        raise ValueError(f"expected a level from 0 to 3; got {level!r}")
    Canvas.of(size)
    if unseen and (task not in UNSEEN_TASKS or split == "train"):
        raise ValueError(
            f"unseen pairs are for the splits val and test of {', '.join(UNSEEN_TASKS)}; got {task!r} in {split!r}"
        )
    if absent and (task not in ABSENT_TASKS or unseen):
        raise ValueError(
            f"expected `absent` with one of {', '.join(ABSENT_TASKS)}, and without `unseen`; got it with {task!r}"
        )
    if extent is not None and (task not in EXTENT_TASKS or unseen or absent or not 0.05 <= extent <= 0.95):
        raise ValueError(
            f"expected an `extent` from .05 to .95, of {', '.join(EXTENT_TASKS)}, without `unseen` and `absent`; "
            f"got {extent} with {task!r}"
        )
    # A string seeds Python's generator by its SHA-512: disjoint streams for every task and split.
    rng = random.Random(f"{split}/{task}/{int(seed)}/{level}/{unseen}")
    record = source.record(Draw(rng, level, size, split, unseen, absent, extent))
    meta = {**record.meta, "task": task, "seed": int(seed), "split": split, "level": level}
    return replace(record, meta=meta)
