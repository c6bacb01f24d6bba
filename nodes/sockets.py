"""The socket types of this pack and of those it speaks to; INSTRUCTION carries an `Instruction`."""

from __future__ import annotations

import inspect
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


def check_choices(**inputs: tuple[Any, Iterable[str]]) -> None:
    """ValueError for the first input whose value is not among its choices.

    ComfyUI refuses such a value before anything runs, and marks that input; not where it comes through a link, and in
    versions before 0.8 not of V3 nodes.
    """
    for name, (value, options) in inputs.items():
        if value not in (choices := tuple(options)):
            raise ValueError(f"`{name}`: there is no {value!r}; choose one of {', '.join(choices)}")


def found_by(*words: str) -> dict[str, Any]:
    """Further words that ComfyUI's search finds a node by, as keywords of its Schema where the version has them."""
    known = "search_aliases" in inspect.signature(io.Schema).parameters
    return {"search_aliases": list(words)} if known else {}


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
