"""Inputs that several nodes have: made in one place, so that they are called and bounded alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from comfy_api.latest import io

from ..instructdiffusion.imaging.resize import RESIZE_MODES
from ..instructdiffusion.settings import FORMULAS
from .choices import NATIVE, OWN
from .sockets import InstructionType


def folded(widget: Any) -> Any:
    """The input, folded away under "Show advanced inputs" where the page can."""
    widget.extra_dict = {**(widget.extra_dict or {}), "advanced": True}  # its own keyword is newer than 0.8
    return widget


def model_inputs() -> list[Any]:
    """What InstructLoader gives: model, clip and vae."""
    return [
        io.Model.Input("model", tooltip="An instruction model, from InstructLoader."),
        io.Clip.Input("clip", tooltip="Its text encoder."),
        io.Vae.Input("vae", tooltip="Its autoencoder."),
    ]


def answer_inputs(tasks: str) -> list[Any]:
    """What an answer is read from: source, edited and instruction. tasks: whose, in words."""
    return [
        io.Image.Input("source", tooltip="The picture that was asked about."),
        io.Image.Input(
            "edited", tooltip="What the model drew on it: of the same size, padded, or resized as a whole."
        ),
        InstructionType.Input("instruction", tooltip=f"The instruction that was followed, of {tasks}."),
    ]


def seed_input(tooltip: str) -> Any:
    """The seed of the noise, 0 .. 2^64 - 1 as ComfyUI's own."""
    return io.Int.Input(
        "seed", default=0, min=0, max=2**64 - 1, control_after_generate=True, tooltip=tooltip
    )


def instruction_input() -> Any:
    """The optional `instruction` of a node that has `text` too."""
    return InstructionType.Input(
        "instruction", optional=True, tooltip="From InstructTask; it takes the place of `text`."
    )


def guidance_inputs(
    guidances: Sequence[str], default: str, tooltip: str, text_tooltip: str, image_tooltip: str
) -> list[Any]:
    """`guidance`, one of `guidances`, and its two scales, with what is to be said of each."""
    scales = (("text_guidance", 5.0, text_tooltip), ("image_guidance", 1.25, image_tooltip))
    return [
        io.Combo.Input("guidance", options=list(guidances), default=default, tooltip=tooltip),
        *(
            io.Float.Input(name, default=scale, min=0.0, max=100.0, step=0.05, tooltip=said)
            for name, scale, said in scales
        ),
    ]


def formula_input(more: str = "") -> Any:
    """What the scales of guidance mean. more: what is to be said beside that."""
    return io.Combo.Input(
        "formula",
        options=[OWN, *FORMULAS],
        default=OWN,
        optional=True,
        tooltip=f"What the two scales mean: instructpix2pix for timbrooks' instruct-pix2pix.{more}",
    )


def resize_mode_input(tooltip: str, native: bool = False) -> Any:
    """How a picture comes to `resolution`. native: whether it may keep its own size, which is the default then."""
    options = [*([NATIVE] if native else []), OWN, *RESIZE_MODES]
    return io.Combo.Input("resize_mode", options=options, default=options[0], optional=True, tooltip=tooltip)


def resolution_input(tooltip: str, optional: bool = False) -> Any:
    """The side in pixels that a picture comes to; 0 is the model's own."""
    # Steps of what the built-in model takes; larger models take multiples of 64 and are told the nearest one.
    return io.Int.Input(
        "resolution", default=0, min=0, max=4096, step=16, optional=optional, tooltip=tooltip
    )
