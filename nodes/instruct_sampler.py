"""InstructSampler: the instruction followed on a batch of pictures, at their own size."""

from __future__ import annotations

from typing import Any

import numpy as np
from comfy_api.latest import io, ui
from torch import Tensor

from ..instructdiffusion.imaging.resize import RESIZE_MODES
from ..instructdiffusion.inference.options import SamplingOptions
from ..instructdiffusion.sampling import SOLVERS, SPACINGS
from ..instructdiffusion.settings import FORMULAS, SCALE_RANGE
from ..instructdiffusion.tasks import Instruction
from ..instructdiffusion.tasks.understanding import understand
from ..instructdiffusion.utils.interrupts import in_thread
from .choices import OWN, SCALES, chosen, valid_zoom
from .comfy_backend import ComfyBackend, model_knowledge, model_settings
from .convert import to_image, to_pictures
from .drawing import draw
from .inputs import (
    folded,
    formula_input,
    guidance_inputs,
    instruction_input,
    model_inputs,
    resize_mode_input,
    resolution_input,
    seed_input,
)
from .interruption import interrupts
from .patches import idle_patches
from .preview import shown
from .sampler_message import report
from .sockets import CATEGORY, as_instruction, check_choices, found_by

GUIDANCES = (OWN, "none", "scales")


class InstructSampler(io.ComfyNode):
    """The one node that does the job."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="InstructSampler",
            display_name="Instruct Sampler",
            category=CATEGORY,
            **found_by(
                "edit", "pose", "denoise", "deblur", "watermark", "segment", "detect", "keypoints", "instruct pix2pix",
            ),
            description=(
                "Follows an instruction on every picture of a batch and gives the edited pictures at the input's size. "
                "Perception tasks take one evaluation; denoising, deblurring and watermark removal run in tiles at the "
                "picture's own size."
            ),
            inputs=[
                *model_inputs(),
                io.Image.Input("image", tooltip="The pictures to work on, of any size."),
                io.String.Input(
                    "text",
                    multiline=True,
                    default="",
                    tooltip=(
                        "What to do, in your own words ('make it darker', 'where is the star?', 'segment the star and "
                        "the dog'), where no INSTRUCTION is connected. `message` says what was understood. To read a "
                        "mask back, connect InstructTask."
                    ),
                ),
                seed_input(
                    "Chooses the noise, the same for every picture of a batch, so that frames of a video are answered "
                    "alike. The same seed gives a picture the same answer in any batch, but for rounding."
                ),
                io.Int.Input(
                    "steps",
                    default=0,
                    min=0,
                    max=1000,
                    tooltip="Evaluations of the model; 0 takes the task's own number (perception: 1).",
                ),
                folded(
                    io.Combo.Input(
                        "solver",
                        options=[OWN, *SOLVERS],
                        default=OWN,
                        tooltip="How the steps are taken, where there are several.",
                    )
                ),
                folded(
                    io.Combo.Input(
                        "scheduler",
                        options=[OWN, *SPACINGS],
                        default=OWN,
                        tooltip="Where the steps lie between noise and picture.",
                    )
                ),
                *map(
                    folded,
                    guidance_inputs(
                        GUIDANCES,
                        OWN,
                        "task's own: what the model wants for the task. scales: the two numbers below.",
                        "How much the instruction counts, with guidance set to scales.",
                        "How much the picture counts, with guidance set to scales.",
                    ),
                ),
                resolution_input(
                    "Side in pixels at which the model sees a picture (or of its tiles); 0 takes the model's own."
                ),
                instruction_input(),
                folded(formula_input()),
                folded(
                    io.Float.Input(
                        "zoom",
                        default=0.0,
                        min=0.0,
                        max=SCALE_RANGE[1],
                        step=0.25,  # an arrow from 0 leads to what is allowed
                        round=0.01,
                        optional=True,
                        tooltip=(
                            "denoise, deblur, dewatermark: how many times as large the picture is made first, .25 to "
                            "4. Larger loses less detail and takes about zoom x zoom as long. 0 takes the task's own."
                        ),
                    )
                ),
                folded(
                    resize_mode_input(
                        "How a picture comes to `resolution`. shortest_edge: its shape kept, the short side at it. "
                        "longest_edge: the long one. stretch: a square, whatever the shape. authors: as the published "
                        "code has it. task's own: what the model wants."
                    )
                ),
                folded(
                    io.Combo.Input(
                        "scales",
                        options=[OWN, *SCALES],
                        default=OWN,
                        optional=True,
                        tooltip=(
                            "Tasks that find things: at how many times `resolution` the picture is looked at. 1: once. "
                            "Above 1 it is looked at again for small things, where nothing was found; below 1 for "
                            "things that fill the picture. Every look takes its time, larger ones more."
                        ),
                    )
                ),
            ],
            outputs=[
                io.Image.Output(
                    "edited", display_name="edited", tooltip="What the model drew, at the input's size."
                ),
                io.Latent.Output(
                    tooltip="The same at the model's size, as it came out of the sampler (for tiled tasks: the "
                    "tiles; of a thing added to a long picture: the square that it is drawn in)."
                ),
                io.String.Output(
                    "message",
                    display_name="message",
                    tooltip="What was understood, what is beyond the model, and whether anything was changed.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, zoom: float = 0.0) -> bool | str:
        """Refused before anything runs; ComfyUI marks all inputs that stand here, and looks at the others itself."""
        return valid_zoom(zoom)

    @classmethod
    @interrupts()
    def execute(
        cls,
        model: Any,
        clip: Any,
        vae: Any,
        image: Tensor,
        text: str,
        seed: int,
        steps: int,
        solver: str,
        scheduler: str,
        guidance: str,
        text_guidance: float,
        image_guidance: float,
        resolution: int,
        instruction: Any = None,
        formula: str = OWN,
        zoom: float = 0.0,
        resize_mode: str = OWN,
        scales: str = OWN,
    ) -> io.NodeOutput:
        check_choices(
            solver=(solver, [OWN, *SOLVERS]),
            scheduler=(scheduler, [OWN, *SPACINGS]),
            guidance=(guidance, GUIDANCES),
            formula=(formula, [OWN, *FORMULAS]),
            resize_mode=(resize_mode, [OWN, *RESIZE_MODES]),
            scales=(scales, [OWN, *SCALES]),
        )
        if (refused := valid_zoom(zoom)) is not True:  # one that came through a link
            raise ValueError(refused)
        pictures = to_pictures(image)
        prepared = question(instruction, text, pictures[0], model_settings(model)[2] == "authors")
        options = SamplingOptions(
            steps=chosen(steps),
            solver=chosen(solver),
            schedule=chosen(scheduler),
            guidance=(text_guidance, image_guidance) if guidance == "scales" else chosen(guidance),
            formula=chosen(formula),
            upscale=chosen(zoom),
            scales=None if scales == OWN else SCALES[scales],
        )
        edits = draw(ComfyBackend(model, clip, vae), prepared, pictures, seed, options, resolution, chosen(resize_mode))
        edited = to_image(edits.images)
        message = report(prepared, pictures, edits.images, model_knowledge(model), idle_patches(model))
        preview = shown(in_thread(lambda: ui.PreviewImage(edited, cls=cls)), message)
        return io.NodeOutput(edited, {"samples": edits.latents}, message, ui=preview)


def question(
    instruction: Any, text: str, picture: np.ndarray | None = None, verbatim: bool = False
) -> Instruction:
    """The connected instruction, else the words as the task they are (an edit, with `verbatim`),
    in colours that stand out from `picture`.

    ValueError where there is neither, and for words that their task cannot answer.
    """
    if instruction is not None:
        return as_instruction(instruction)
    if not text.strip():
        raise ValueError(
            "`text`: say what to change, as in 'add a red star on the left', or connect an `instruction`"
        )
    try:
        return understand(text, picture, verbatim=verbatim)
    except ValueError as error:
        raise ValueError(f"`text`: {error}") from None
