"""InstructDetector: an instruction and a model as a detector, for detailers."""

from __future__ import annotations

from typing import Any

import numpy as np
from comfy_api.latest import io

from ..instructdiffusion.inference.options import SamplingOptions
from ..instructdiffusion.results import Boxes, Masks
from .choices import OWN, SCALES
from .comfy_backend import ComfyBackend, model_settings
from .detector import Detector
from .drawing import draw
from .inputs import instruction_input, model_inputs, resolution_input, seed_input
from .instruct_sampler import question
from .interruption import interrupts
from .mask_extract import read_masks
from .readers import read_by
from .sockets import CATEGORY, BboxDetector, SegmDetector, as_instruction, check_choices, found_by


class InstructDetector(io.ComfyNode):
    """The model as a detector."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="InstructDetector",
            display_name="Instruct Detector",
            category=CATEGORY,
            **found_by("detect", "face detailer", "bbox", "segm"),
            description=(
                "Finds what you name on every picture that another node brings: a BBOX_DETECTOR and a SEGM_DETECTOR, "
                "as the Impact Pack's FaceDetailer, BBOX Detector and SEGM Detector take them."
            ),
            inputs=[
                *model_inputs(),
                io.String.Input(
                    "text",
                    multiline=True,
                    default="segment the red star",
                    tooltip=(
                        "What to find, in your own words ('segment the star and the dog', 'detect all cars'), where no "
                        "INSTRUCTION is connected."
                    ),
                ),
                seed_input("Chooses the noise."),
                resolution_input("Side in pixels at which the model sees a picture; 0 takes the model's own."),
                io.Combo.Input(
                    "scales",
                    options=[OWN, *SCALES],
                    default=OWN,
                    tooltip="At how many times `resolution` the picture is looked at, as in InstructSampler.",
                ),
                instruction_input(),
            ],
            outputs=[
                BboxDetector.Output(
                    "bbox_detector",
                    display_name="bbox_detector",
                    tooltip="For the Impact Pack: a thing's mask is its box.",
                ),
                SegmDetector.Output(
                    "segm_detector",
                    display_name="segm_detector",
                    tooltip="For the Impact Pack: a thing's mask is its outline, as the model drew it.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        clip: Any,
        vae: Any,
        text: str,
        seed: int,
        resolution: int,
        scales: str,
        instruction: Any = None,
    ) -> io.NodeOutput:
        check_choices(scales=(scales, [OWN, *SCALES]))
        backend = ComfyBackend(model, clip, vae)
        verbatim = model_settings(model)[2] == "authors"
        readable = read_by("MaskExtract")
        options = SamplingOptions(scales=None if scales == OWN else SCALES[scales])
        as_instruction(question(instruction, text, None, verbatim), readable)  # refused here, not in a detailer

        @interrupts()
        def find(picture: np.ndarray) -> tuple[np.ndarray, Masks | Boxes]:
            prepared = as_instruction(question(instruction, text, picture, verbatim), readable)
            backend.latents.clear()
            (edited,) = draw(backend, prepared, [picture], seed, options, resolution).images
            return read_masks(picture, edited, prepared)

        return io.NodeOutput(Detector(find, boxes=True), Detector(find, boxes=False))
