"""Which node reads which answers back; needs no ComfyUI."""

from __future__ import annotations

from ..instructdiffusion.results import Boxes, Keypoints, Masks
from ..instructdiffusion.tasks import TASKS

# The node that reads an answer back, by what it is.
READERS: dict[type, str] = {
    Masks: "MaskExtract", Boxes: "MaskExtract", Keypoints: "KeypointExtract", tuple: "ClassExtract",
}  # fmt: skip


def reader_of(task: str) -> str:
    """The node that reads a task's answer back; "" where the answer is the image itself, or the task unknown."""
    return READERS.get(TASKS[task].target_type, "") if task in TASKS else ""


def read_by(node: str) -> tuple[str, ...]:
    """The names of the tasks whose answers a node reads back."""
    return tuple(task for task in TASKS if reader_of(task) == node)
