"""What InstructSampler and InstructGuider say: what was understood, what is beyond the model, what has changed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..instructdiffusion.inference.messages import remarks
from ..instructdiffusion.knowledge import Knowledge
from ..instructdiffusion.tasks import Instruction
from .readers import reader_of


def report(
    instruction: Instruction,
    sources: Sequence[np.ndarray],
    edits: Sequence[np.ndarray] | None,
    knowledge: Knowledge | None,
    further: Sequence[str] = (),
) -> str:
    """Plain sentences, a line each, about pictures uint8 [h, w, 3] and what was drawn on them; None: nothing yet.

    What is true of all pictures is said once, other things with the pictures' numbers; `further` lines come last.
    """
    lines = [instruction.understanding or f"{instruction.task}: {'; '.join(instruction.text.splitlines())}"]
    reader = reader_of(instruction.task)
    if reader:
        lines.append(f"the answer is drawn on the picture: {reader} reads it")
    said: dict[str, list[int]] = {}
    pictures = [None] * len(sources) if edits is None else edits
    for number, (source, picture) in enumerate(zip(sources, pictures, strict=True), 1):
        for remark in remarks(knowledge, instruction, source, None, picture):
            if remark == instruction.understanding:  # said already
                continue
            said.setdefault(remark, []).append(number)
    for remark, numbers in said.items():
        some = f"picture {', '.join(map(str, numbers))}: " if len(numbers) < len(sources) else ""
        lines.append(some + remark)
    return "\n".join([*lines, *further])
