"""Pictures made on the fly with exact truth, for every task, without any download."""

from .canvas import ratio_size
from .scene import ABSENT_TASKS, EXTENT_TASKS, LEVELS, SCENE_TASKS, SPLITS, UNSEEN_TASKS, scene_record
from .vocabulary import UNSEEN_JOINTS, UNSEEN_PAIRS

__all__ = [
    "ABSENT_TASKS",
    "EXTENT_TASKS",
    "LEVELS",
    "SCENE_TASKS",
    "SPLITS",
    "UNSEEN_JOINTS",
    "UNSEEN_PAIRS",
    "UNSEEN_TASKS",
    "ratio_size",
    "scene_record",
]
