"""EditExtract: an edited picture brought home to its source's size."""

from __future__ import annotations

from comfy_api.latest import io, ui
from torch import Tensor

from ..instructdiffusion.utils.interrupts import in_thread
from .convert import paired, to_image
from .interruption import interrupts
from .sockets import CATEGORY, found_by


class EditExtract(io.ComfyNode):
    """Source and edited picture to the edited picture at the source's size."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EditExtract",
            display_name="Edit Extract",
            category=CATEGORY,
            **found_by("edit", "resize back"),
            description=(
                "Brings what a model drew at a size of its own home to the source's pixels: padding is cut off again, "
                "and of a picture that was resized the change is laid on the source, whose detail stays."
            ),
            inputs=[
                io.Image.Input("source", tooltip="The picture that was to be edited."),
                io.Image.Input(
                    "edited",
                    tooltip="What the model made of it, padded or resized as a whole (InstructGuider does so).",
                ),
            ],
            outputs=[
                io.Image.Output("edited_home", display_name="edited", tooltip="The same at the source's size."),
            ],
        )

    @classmethod
    @interrupts()
    def execute(cls, source: Tensor, edited: Tensor) -> io.NodeOutput:
        _, edits = paired(source, edited)
        pictures = to_image(edits)
        return io.NodeOutput(pictures, ui=in_thread(lambda: ui.PreviewImage(pictures, cls=cls)))
