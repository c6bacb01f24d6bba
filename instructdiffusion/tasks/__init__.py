"""The tasks: words in, a drawn answer, and the answer read back."""

from __future__ import annotations

from .classify import Classify
from .detect import Detect
from .edit import Edit
from .instruction import Instruction
from .keypoints import Align, KeypointDetection
from .restore import Deblur, Denoise, Dewatermark
from .segment import Refer, Segment
from .task import DECODERS, Task, check_decoder

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Segment(),
        Refer(),
        KeypointDetection(),
        Detect(),
        Classify(),
        Align(),
        Denoise(),
        Deblur(),
        Dewatermark(),
        Edit(),
    )
}


def get_task(name: str) -> Task:
    """The task of that name; ValueError lists the names there are."""
    try:
        return TASKS[name]
    except (KeyError, TypeError):
        raise ValueError(f"unknown task {name!r}: choose one of {', '.join(TASKS)}") from None


__all__ = ["DECODERS", "TASKS", "Instruction", "Task", "check_decoder", "get_task"]
