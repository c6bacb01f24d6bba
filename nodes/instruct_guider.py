"""The authors' guidance as a GUIDER, for SamplerCustomAdvanced and for InstructSampler."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import comfy.model_management
import comfy.samplers
import torch
from comfy_api.latest import io
from torch import Tensor

from ..instructdiffusion.imaging.resize import RESIZE_MODES, large_resolution, pad_edge, resize_picture
from ..instructdiffusion.inference.memory import fitting_batch
from ..instructdiffusion.sampling import BRANCHES, Guidance
from ..instructdiffusion.settings import FORMULAS
from ..instructdiffusion.tasks import get_task
from .branches import two_sided
from .choices import NATIVE, OWN, branch_weights, check_resolution, chosen, model_sizes
from .convert import to_image, to_pictures
from .guards import guarded, with_attention
from .inputs import (
    formula_input,
    guidance_inputs,
    instruction_input,
    model_inputs,
    resize_mode_input,
    resolution_input,
)
from .interruption import interrupts
from .patches import idle_patches
from .sampler_message import report
from .sockets import CATEGORY, check_choices, found_by

# branch -> (reads the instruction, sees the picture)
_SEES = {
    "full": (True, True),
    "image_only": (False, True),
    "text_only": (True, False),
    "unconditional": (False, False),
}

_CELL = 16  # pixels that a latent cell stands for, at least
GUIDANCES = ("none", "scales", "task")


class BranchGuider(comfy.samplers.CFGGuider):
    """Guidance over up to four branches; those of weight 0 are not evaluated.

    Seen from patches that change classifier-free guidance (RescaleCFG, CFG++ and the like) it is plain guidance
    between the full branch and the weighted mean of the others, with the full branch's weight as its scale (see
    `two_sided`).
    """

    row: Any = None  # the plan's row, where a plan runs: it holds the weights

    def set_branches(self, conds: Mapping[str, Any], guidance: Guidance | None) -> None:
        """conds: branch -> CONDITIONING, "full" among them. guidance: sigma -> weights (None: the plan's rows)."""
        names = {"full": "positive"}
        self.inner_set_conds({names.get(branch, branch): cond for branch, cond in conds.items()})
        self.guidance = guidance

    def predict_noise(
        self,
        x: Tensor,
        timestep: Tensor,
        model_options: dict[str, Any] | None = None,
        seed: int | None = None,
    ) -> Tensor:
        """The guided denoised latents at a noise level."""
        with guarded(len(x) * x.shape[-2] * x.shape[-1] * _CELL, x.device):
            return self._predict(x, timestep, with_attention(model_options or {}, x.device))

    def _predict(self, x: Tensor, timestep: Tensor, options: dict[str, Any]) -> Tensor:
        comfy.model_management.throw_exception_if_processing_interrupted()
        weights = self.row.weights if self.guidance is None else self.guidance(float(timestep.max()))
        table = dict(zip(BRANCHES, weights, strict=True))
        rest = [b for b in BRANCHES if b != "full" and table[b] != 0.0]
        if not rest and options.get("disable_cfg1_optimization") and "image_only" in self.conds:
            rest = ["image_only"]  # a patch wants to see it (SAG, CFG++), though it has no weight
        conditions = [self.conds["positive"], *(self.conds[b] for b in rest)]
        if "sampler_calc_cond_batch_function" in options:
            args = {
                "conds": conditions,
                "input": x,
                "sigma": timestep,
                "model": self.inner_model,
                "model_options": options,
            }
            out = options["sampler_calc_cond_batch_function"](args)
        else:
            out = comfy.samplers.calc_cond_batch(self.inner_model, conditions, x, timestep, options)
        full = out[0]
        if any(table[b] for b in rest):
            others, scale = two_sided(full, out[1:], table["full"], [table[b] for b in rest])
        else:
            others, scale = out[1] if rest else full, 1.0
        negative = self.conds[rest[0]] if rest else None
        for function in options.get("sampler_pre_cfg_function", []):
            args = {
                "conds": [self.conds["positive"], negative],
                "conds_out": [full, others],
                "cond_scale": scale,
                "timestep": timestep,
                "input": x,
                "sigma": timestep,
                "model": self.inner_model,
                "model_options": options,
            }
            full, others = function(args)[:2]
        mixed: Tensor = comfy.samplers.cfg_function(
            self.inner_model,
            full,
            others,
            scale,
            x,
            timestep,
            model_options=options,
            cond=self.conds["positive"],
            uncond=negative,
        )
        return mixed


def conditions(
    read: Callable[[str], Any], text: str, condition: Tensor, branches: tuple[str, ...]
) -> dict[str, Any]:
    """CONDITIONING for each of the branches: the words or none, beside the picture's latents or zeros.

    read: text -> CONDITIONING without a picture.
    """
    states = {True: read(text)}
    if any(not _SEES[b][0] for b in branches):
        states[False] = read("")
    out = {}
    for branch in {"full", *branches}:
        words, picture = _SEES[branch]
        latents = condition if picture else torch.zeros_like(condition)
        out[branch] = [[s, {**more, "concat_latent_image": latents}] for s, more in states[words]]
    return out


def needed(model: Any, branches: tuple[str, ...]) -> tuple[str, ...]:
    """The branches that a MODEL's patches need beside those of a weight: a patch may want a side without words."""
    return (*branches, "image_only") if model.model_options.get("disable_cfg1_optimization") else branches


def interruptible(model: Any) -> Any:
    """A clone of the MODEL that notices "interrupt" between its blocks, not only between steps."""

    def check_in(h: Tensor, transformer_options: Any) -> Tensor:
        comfy.model_management.throw_exception_if_processing_interrupted()
        return h

    def check_out(h: Tensor, skip: Tensor, transformer_options: Any) -> tuple[Tensor, Tensor]:
        comfy.model_management.throw_exception_if_processing_interrupted()
        return h, skip

    clone = model.clone()
    clone.set_model_input_block_patch(check_in)
    clone.set_model_output_block_patch(check_out)
    return clone


class InstructGuider(io.ComfyNode):
    """The guider as a node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="InstructGuider",
            display_name="Instruct Guider",
            category=CATEGORY,
            **found_by("edit", "instruct pix2pix", "cfg"),
            description=(
                "The guidance of InstructDiffusion as a GUIDER for "
                "SamplerCustomAdvanced: three branches, weighted by a "
                "text and an image scale; instruct-pix2pix's too. Branches of weight zero are not evaluated."
            ),
            inputs=[
                *model_inputs(),
                io.Image.Input(
                    "image",
                    tooltip=(
                        "The picture the instruction is about. Its sides are padded to what the model can take; the "
                        "extract nodes cut the padding off again."
                    ),
                ),
                io.String.Input(
                    "text",
                    multiline=True,
                    default="",
                    tooltip="The instruction in words, where no INSTRUCTION is connected.",
                ),
                *guidance_inputs(
                    GUIDANCES,
                    "none",
                    "none: one branch, as perception with the built-in model wants it. scales: the two numbers "
                    "below. task: the scales that the instruction's task recommends for full-size models, or the "
                    "model's own where it has some.",
                    "How much the instruction counts; .5 (with .5 below) is no guidance.",
                    "How much the picture counts; .5 leaves out the branch without a picture.",
                ),
                instruction_input(),
                formula_input(" task's own: what the model says of itself."),
                resize_mode_input(
                    "none: the picture is seen at its own size, padded. task's own: as the model wants it, small "
                    "for the built-in one, however large the picture. The others: which side becomes `resolution`. "
                    "MaskExtract, KeypointExtract, ClassExtract and EditExtract bring the answer back to the "
                    "picture's size.",
                    native=True,
                ),
                resolution_input(
                    "Side in pixels that `resize_mode` aims at; 0 takes the model's own.", optional=True
                ),
            ],
            outputs=[
                io.Guider.Output(tooltip="For SamplerCustomAdvanced."),
                io.Latent.Output(tooltip="An empty latent of the size at which the picture is seen, to start from."),
                io.String.Output(
                    "message",
                    display_name="message",
                    tooltip="What was understood, and what of it is beyond the model.",
                ),
            ],
        )

    @classmethod
    @interrupts()
    def execute(
        cls,
        model: Any,
        clip: Any,
        vae: Any,
        image: Tensor,
        text: str,
        guidance: str,
        text_guidance: float,
        image_guidance: float,
        instruction: Any = None,
        formula: str = OWN,
        resize_mode: str = NATIVE,
        resolution: int = 0,
    ) -> io.NodeOutput:
        from .comfy_backend import ComfyBackend, model_knowledge, model_settings
        from .instruct_sampler import question

        check_choices(
            guidance=(guidance, GUIDANCES),
            formula=(formula, [OWN, *FORMULAS]),
            resize_mode=(resize_mode, [NATIVE, OWN, *RESIZE_MODES]),
        )
        check_resolution(resolution, resize_mode)
        verbatim = model_settings(model)[2] == "authors"
        prepared = question(instruction, text, to_pictures(image[:1])[0], verbatim)
        if len(get_task(prepared.task).questions(prepared)) > 1:
            raise ValueError(
                f"`instruction`: expected one subject, got {len(prepared.subjects)}: InstructSampler asks for several"
            )
        backend = ComfyBackend(model, clip, vae)
        settings, side, own_mode = model_settings(model)
        mode = chosen(resize_mode) or own_mode
        pictures = to_pictures(image)
        content, size = model_sizes(pictures[0].shape[:2], resolution or side, backend.multiple, mode)
        if remark := large_resolution(min(size), side):
            logging.warning("InstructGuider: %s", remark)
        fitting_batch(
            backend.footprint, size, 1, device=backend.device, free=backend.free, trained_at=side
        )
        sharp = mode == "authors"
        condition = vae.encode(to_image([pad_edge(resize_picture(p, content, sharp), size) for p in pictures]))
        own = settings[prepared.task]
        weights = branch_weights(prepared.task, own, guidance, (text_guidance, image_guidance), formula)
        branches = tuple(b for b, w in zip(BRANCHES, weights(1.0), strict=True) if w != 0.0)
        guider = BranchGuider(backend.model)
        branches = needed(backend.model, branches)
        guider.set_branches(conditions(backend.encode_prompt, prepared.text, condition, branches), weights)
        empty = torch.zeros([len(condition), *backend.latent_shape(size)])
        message = report(prepared, pictures, None, model_knowledge(model), idle_patches(model))
        return io.NodeOutput(guider, {"samples": empty}, message)
