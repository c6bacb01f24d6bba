"""The socket types of this pack and of those it speaks to; INSTRUCTION carries an `Instruction`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from comfy_api.latest import io

from ..instructdiffusion.tasks import Instruction
from .readers import reader_of

CATEGORY = "InstructDiffusion"

InstructionType = io.Custom("INSTRUCTION")
BoundingBox = io.Custom("BOUNDING_BOX")
Bbox = io.Custom("BBOX")
Segs = io.Custom("SEGS")
PoseKeypoint = io.Custom("POSE_KEYPOINT")
BboxDetector = io.Custom("BBOX_DETECTOR")
SegmDetector = io.Custom("SEGM_DETECTOR")
Pictures = io.Custom("MASK_PICTURES")  # a number a mask: which picture of the batch it lies on


def valid_choices(**inputs: tuple[Any, Iterable[str]]) -> bool | str:
    """True, or what is wrong with the first input whose value is not among its choices.

    ComfyUI checks lists of choices itself, but in some versions not those of V3 nodes. None is a linked input,
    which is not known yet.
    """
    for name, (value, options) in inputs.items():
        if value is not None and value not in (choices := tuple(options)):
            return f"`{name}`: there is no {value!r}; choose one of {', '.join(choices)}"
    return True


def as_instruction(value: Any, tasks: tuple[str, ...] = (), name: str = "instruction") -> Instruction:
    """The Instruction that came through a socket, of one of `tasks` where they are given.

    ValueError names the input, what came, and which node to connect instead.
    """
    # A pack that is installed as a package too has a second class of that name: fields decide, not the class.
    if not all(hasattr(value, field) for field in ("text", "task", "subjects", "colors")):
        raise ValueError(
            f"`{name}`: expected an INSTRUCTION from InstructTask, got {type(value).__name__}; plain words do not "
            "say in which colour the answer was drawn"
        )
    if tasks and value.task not in tasks:
        reader = reader_of(value.task)
        instead = f"use {reader}" if reader else "its answer is the picture itself"
        raise ValueError(
            f"`{name}`: expected an instruction of the task {' or '.join(tasks)}, got one of {value.task!r}: {instead}"
        )
    checked: Instruction = value
    return checked
