"""InstructTask: what is asked for, as the words a model was trained on and the colours its answer is read by."""

from __future__ import annotations

from comfy_api.latest import io
from torch import Tensor

from ..instructdiffusion.imaging.colors import MARK_COLORS, MASK_COLORS
from ..instructdiffusion.tasks import TASKS
from .convert import to_pictures
from .sockets import CATEGORY, InstructionType, check_choices, found_by
from .wording import AUTOMATIC, word

_COLORS = tuple(dict.fromkeys(c.name for c in (*MASK_COLORS, *MARK_COLORS)))


class InstructTask(io.ComfyNode):
    """A task, a subject and a colour to an INSTRUCTION."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="InstructTask",
            display_name="Instruct Task",
            category=CATEGORY,
            **found_by(
                "edit", "pose", "denoise", "deblur", "watermark", "segment", "detect", "keypoints", "classify",
            ),
            description=(
                "Words an instruction: what to look for or to change, and the colour "
                "in which the answer is drawn."
            ),
            inputs=[
                io.Combo.Input(
                    "task", options=list(TASKS), default="segment", tooltip="What the model shall do."
                ),
                io.String.Input(
                    "subject",
                    multiline=True,
                    default="the red star",
                    tooltip=(
                        "segment, refer, detect: what to look for, one subject a line. keypoints, align: one point "
                        "a line. classify: one category a line. edit: what to change. denoise, deblur, dewatermark: "
                        "not used."
                    ),
                ),
                io.Combo.Input(
                    "color",
                    options=[AUTOMATIC, *_COLORS],
                    default=AUTOMATIC,
                    tooltip=(
                        "The colour to draw in, for a single subject. automatic: far from what "
                        "is in `image`, where connected; a colour that is in there already is refused."
                    ),
                ),
                io.String.Input(
                    "words",
                    multiline=True,
                    default="",
                    tooltip=(
                        "Your own wording in place of the task's, with {subject} and {color} where they belong: "
                        '"mark {subject} in {color}". Leave it empty for the wording the model knows best.'
                    ),
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The picture, for choosing a colour that is not in it (the first of a batch).",
                ),
            ],
            outputs=[
                InstructionType.Output(
                    "instruction",
                    display_name="instruction",
                    tooltip="For the sampler and the extract nodes.",
                ),
                io.String.Output("text", display_name="text", tooltip="The words alone."),
                io.String.Output(
                    "asked_subject",  # ComfyUI 0.3.64 wants other names for outputs than for inputs
                    display_name="subject",
                    tooltip="What is asked for, a line each, as BoxFromMask's `label` takes it.",
                ),
            ],
        )

    @classmethod
    def execute(cls, task: str, subject: str, color: str, words: str, image: Tensor | None = None) -> io.NodeOutput:
        check_choices(task=(task, TASKS), color=(color, [AUTOMATIC, *_COLORS]))
        made = word(task, subject, color, words, None if image is None else to_pictures(image[:1])[0])
        return io.NodeOutput(made, made.text, "\n".join(made.subjects))
