"""ClassExtract: the category whose colour was drawn."""

from __future__ import annotations

import json
from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ..instructdiffusion.tasks import get_task
from .convert import paired
from .inputs import answer_inputs
from .interruption import interrupts
from .preview import Overlays
from .readers import read_by
from .sockets import CATEGORY, as_instruction, found_by


class ClassExtract(io.ComfyNode):
    """Source, edited picture and instruction to a category."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ClassExtract",
            display_name="Class Extract",
            category=CATEGORY,
            **found_by("classify", "category", "label"),
            description="Reads a classification: the category in whose colour the model drew, or nothing.",
            inputs=[
                *answer_inputs(" or ".join(read_by("ClassExtract"))),
            ],
            outputs=[
                io.String.Output(
                    "category",
                    display_name="category",
                    tooltip="The category, a line a picture; an empty line for none.",
                ),
                io.String.Output(
                    "scores",
                    display_name="scores",
                    tooltip="JSON: {category: score}; for a batch a list of them.",
                ),
                io.Image.Output(
                    "overlay", display_name="overlay", tooltip="The pictures with the category written on."
                ),
                io.String.Output(
                    "message", display_name="message", tooltip="What there is to say, a line a picture."
                ),
            ],
        )

    @classmethod
    @interrupts()
    def execute(cls, source: Tensor, edited: Tensor, instruction: Any) -> io.NodeOutput:
        checked = as_instruction(instruction, read_by("ClassExtract"))
        names, scores, overlays, lines = [], [], Overlays(), []
        for before, after in zip(*paired(source, edited), strict=True):
            label = get_task(checked.task).decode(before, after, checked)
            names.append(label.name or "")
            scores.append({name: round(value, 4) for name, value in label.scores.items()})
            overlays.add(before, label)
            lines.append(label.message or str(label.name))
        text = json.dumps(scores[0] if len(scores) == 1 else scores)
        message = "\n".join(lines)
        return io.NodeOutput(
            "\n".join(names), text, overlays.image, message, ui=overlays.shown(cls, message)
        )
