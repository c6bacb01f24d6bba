"""MaskExtract: the mask that was drawn, read back."""

from __future__ import annotations

from typing import Any

import numpy as np
from comfy_api.latest import io
from torch import Tensor

from ..instructdiffusion.imaging.rasterize import box_coverage
from ..instructdiffusion.inference.messages import message as remarks_line
from ..instructdiffusion.results import Boxes, Masks
from ..instructdiffusion.tasks import DECODERS, Instruction, get_task
from ..instructdiffusion.tasks.mask_task import THRESHOLD
from ..instructdiffusion.utils.interrupts import check_interrupt
from .convert import paired, to_mask
from .inputs import answer_inputs
from .interruption import interrupts
from .preview import Overlays
from .readers import read_by
from .sockets import CATEGORY, Pictures, as_instruction, check_choices, found_by


class MaskExtract(io.ComfyNode):
    """Source, edited picture and instruction to masks."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MaskExtract",
            display_name="Mask Extract",
            category=CATEGORY,
            **found_by("segment", "segmentation", "detect"),
            description=(
                "Reads the mask (or the boxes) that the model drew. Where nothing was found the mask is all zero, "
                "the count 0, and the message says so."
            ),
            inputs=[
                *answer_inputs("segment, refer or detect"),
                io.Float.Input(
                    "threshold",
                    default=THRESHOLD,
                    min=0.05,
                    max=0.95,
                    step=0.05,
                    tooltip="How opaque a pixel must be to count, as a share of the full layer. Not used for boxes.",
                ),
                io.Int.Input(
                    "min_area",
                    default=0,
                    min=0,
                    max=2**31 - 1,
                    tooltip="Regions of fewer pixels are left out; 0 chooses by the picture's size.",
                ),
                io.Boolean.Input(
                    "per_object",
                    default=False,
                    tooltip="On: one mask an object, one after the other. Off: one mask a picture with all of them.",
                ),
                # Optional and last: graphs saved before it was there keep their widgets' places.
                io.Combo.Input(
                    "decoder",
                    options=list(DECODERS),
                    default=DECODERS[0],
                    optional=True,
                    tooltip=(
                        "How a mask is read: in closed form, or by a light U-Net that cleans up bad drawing (threshold "
                        "is then a probability). Boxes are always read in closed form."
                    ),
                ),
            ],
            outputs=[
                io.Mask.Output(
                    tooltip="One mask a picture, or one an object; a picture without any gives one empty mask."
                ),
                io.Image.Output(
                    "overlay",
                    display_name="overlay",
                    tooltip="The pictures with the masks drawn on, for people.",
                ),
                io.Int.Output(
                    "count",
                    display_name="count",
                    tooltip="How many objects were found, in all pictures together.",
                ),
                io.String.Output(
                    "message", display_name="message", tooltip="What there is to say, a line a picture."
                ),
                Pictures.Output(
                    "pictures",
                    display_name="pictures",
                    tooltip="Which picture of the batch each mask lies on, for BoxFromMask.",
                ),
            ],
        )

    @classmethod
    @interrupts()
    def execute(
        cls,
        source: Tensor,
        edited: Tensor,
        instruction: Any,
        threshold: float,
        min_area: int,
        per_object: bool,
        decoder: str = DECODERS[0],
    ) -> io.NodeOutput:
        check_choices(decoder=(decoder, DECODERS))
        checked = as_instruction(instruction, read_by("MaskExtract"))
        masks: list[np.ndarray] = []
        pictures: list[int] = []
        overlays, count, lines = Overlays(), 0, []
        for number, (before, after) in enumerate(zip(*paired(source, edited), strict=True)):
            arrays, result = read_masks(before, after, checked, threshold, min_area or None, decoder)
            count += len(arrays)
            union = arrays.any(0) if len(arrays) else np.zeros(before.shape[:2], bool)
            masks.extend(arrays if per_object and len(arrays) else [union])
            pictures.extend([number] * (len(masks) - len(pictures)))
            overlays.add(before, result)
            said = remarks_line(None, checked, before, result)
            lines.append(said or f"found {len(arrays)}: {', '.join(checked.subjects)}")
        message = "\n".join(lines)
        return io.NodeOutput(
            to_mask(masks), overlays.image, count, message, pictures, ui=overlays.shown(cls, message)
        )


def read_masks(
    before: np.ndarray,
    after: np.ndarray,
    instruction: Instruction,
    threshold: float = THRESHOLD,
    min_area: int | None = None,
    decoder: str = DECODERS[0],
) -> tuple[np.ndarray, Masks | Boxes]:
    """(masks float or bool [n, h, w], the result they come from) of one picture."""
    task: Any = get_task(instruction.task)  # its decoder has options of its own
    options = task.decode_options(threshold=threshold, min_area=min_area, guide=before, decoder=decoder)
    result = task.decode(before, after, instruction, **options)
    if not isinstance(result, Boxes):
        return result.data, result
    height, width = before.shape[:2]
    filled = []
    for box in result.xyxy:
        check_interrupt()
        filled.append(box_coverage(box, height, width) >= 0.5)
    return np.stack(filled) if filled else np.zeros((0, height, width), bool), result
