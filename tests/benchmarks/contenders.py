"""Contenders: the authors' loop, diffusers' pipeline, and ours, each as one function.

All draw the same picture from the same weights, noise and guidance function. The scales are the authors', with
s_image = .5 by default: the third branch then has no weight, and InstructPix2Pix's formula with scales
(s_text + .5, 1) is the same function, so that one setting is right for every contender.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from instructdiffusion.inference.components_backend import ComponentsBackend
from instructdiffusion.sampling import (
    Guidance,
    Plan,
    Schedule,
    instructdiffusion,
    make_plan,
    sample,
)
from instructdiffusion.tasks import Instruction

from .authors import GuidedDenoiser, authors_loop

ALL = ("full", "image_only", "text_only")


@dataclass(frozen=True)
class Question:
    """What is drawn: picture uint8 [h, w, 3], unit noise [1, c, h, w], seed of the steps' noise.

    beside: other questions, for contenders that answer many at once.
    """

    picture: np.ndarray
    instruction: Instruction
    noise: Tensor
    seed: int = 7
    beside: tuple[Question, ...] = ()

    @property
    def text(self) -> str:
        """The words."""
        return self.instruction.text

    def first(self, count: int) -> tuple[Question, ...]:
        """This question and those beside it, `count` in all."""
        return (self, *self.beside)[:count]

    def fresh(self) -> GeneratorNoise:
        """The steps' noise from its beginning."""
        return GeneratorNoise([self])


class GeneratorNoise:
    """Step noise drawn one after another from a generator a question, as diffusers' schedulers do."""

    def __init__(self, asked: Sequence[Question]) -> None:
        self.sources = [(torch.Generator("cpu").manual_seed(q.seed), q.noise) for q in asked]

    def __call__(self) -> Tensor:
        return torch.cat(
            [torch.randn(like.shape, generator=source).to(like) for source, like in self.sources]
        )

    def step(self, draw: int, like: Tensor) -> Tensor:
        """As the sampler asks for it; the draws must come in order."""
        return self()


@dataclass(frozen=True)
class Contender:
    """draw(question, steps) -> (latents, picture uint8).

    lossy: its answer differs from the rung before; like: whose answer it must give to count as the same.
    options: how `InstructDiffusion.run` gives its answers, to measure their quality, and model whose run that is,
    None for the one in hand. parts: the components it runs, None for the backend's. evaluations: of the UNet, given
    where its steps are replayed as CUDA graphs, in which they are not seen. scales: of InstructPix2Pix's guidance in
    place of the run's own. pictures: how many questions it answers at once, this one first; its times are of one.
    compiled: whether UNet and autoencoder are, so that speeds are compared on equal terms.
    """

    name: str
    group: str
    steps: int
    draw: Callable[[Question, int], tuple[Tensor, np.ndarray]]
    lossy: bool = False
    like: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    parts: Any = None
    model: Any = None
    evaluations: int | None = None
    scales: tuple[float, float] | None = None
    pictures: int = 1
    compiled: bool = False

    @property
    def graphed(self) -> bool:
        """Whether its steps are replayed as CUDA graphs."""
        return self.evaluations is not None


def ask_anew(backend: ComponentsBackend, *texts: str, picture: bool = True) -> None:
    """Make the backend meet these words, and its pictures unless `picture` is False, for the first time.

    The empty text stays read, as it is in a model in use.
    """
    backend.prompt_cache.forget(*texts)
    if picture:
        backend.image_cache.forget()
        backend.copy_cache.forget()


class Watched(ComponentsBackend):
    """A backend that keeps the latents of its last answer."""

    latents: Tensor

    def decode_latents(self, latents: Tensor) -> np.ndarray:
        """As the backend's."""
        self.latents = latents
        return super().decode_latents(latents)


class EveryBranch:
    """The UNet with all three branches in every step, whether they have weight or not."""

    def __init__(self, unet: Any, prediction_type: str, image: Tensor, text: Tensor, null: Tensor, once: bool) -> None:
        self.unet, self.prediction_type, self.once = unet, prediction_type, once
        self.parts = image, text, null
        self.ready = self._conditions() if once else None

    def _conditions(self) -> tuple[Tensor, Tensor]:
        image, text, null = self.parts
        images = torch.cat([image, image, torch.zeros_like(image)])
        return images, torch.cat([text, null.expand_as(text), text])

    def predict(self, x_scaled: Tensor, row: Any, branches: tuple[str, ...]) -> Tensor:
        """Predictions of the branches asked for, out of all."""
        image, text = self.ready or self._conditions()
        x = torch.cat([x_scaled.repeat(3, 1, 1, 1).to(image.dtype), image], dim=1)
        t = torch.full((len(x),), row.t, device=x.device)
        out = self.unet(x, t, encoder_hidden_states=text, return_dict=False)[0].unflatten(0, (3, -1))
        return out if len(branches) == 3 else torch.stack([out[ALL.index(b)] for b in branches])


class Ours:
    """This package's sampler on a backend's components, in the steps of the ladder.

    graphs, step_backend: as `ComponentsBackend`.
    """

    def __init__(
        self, backend: ComponentsBackend, scales: tuple[float, float], graphs: bool = False, step_backend: str = "auto"
    ) -> None:
        self.backend, self.parts = (
            Watched(backend.components, graphs=graphs, step_backend=step_backend),
            backend.components,
        )
        self.schedule = Schedule(self.parts.alphas_cumprod)
        self.guided = instructdiffusion(*scales)

    def plan(self, steps: int, solver: str, spacing: str, guidance: Guidance | None = None) -> Plan:
        """The plan of a rung."""
        sigmas = self.schedule.sigmas(spacing, steps)
        return make_plan(sigmas, solver, guidance or self.guided, self.schedule)

    @torch.inference_mode()
    def every_branch(self, question: Question, plan: Plan, once: bool) -> tuple[Tensor, np.ndarray]:
        """All branches always; once: the conditions are laid out once a run, and the empty text read once."""
        backend, parts = self.backend, self.parts
        if once:
            ask_anew(backend, question.text)
            text, null = backend.encode_prompt([question.text]), backend.encode_prompt([""])
        else:
            backend.forget()
            text, null = backend.encode_prompt([question.text, ""]).chunk(2)
        model = EveryBranch(
            parts.unet, parts.prediction_type, backend.encode_image(question.picture[None]), text, null, once
        )
        step_backend = backend.graph_runner.backend
        x = sample(model, question.noise * plan.sigma_start, plan, question.fresh(), backend=step_backend)
        return x, as_picture(backend.decode_latents(x / float(parts.vae.config.scaling_factor))[0])

    def edit(
        self, question: Question, plan: Plan, scale: float = 1.0, *, again: bool = False, count: int = 1
    ) -> tuple[Tensor, np.ndarray]:
        """As the package does it; scale: on the starting noise, for what starts otherwise.

        again: it was asked about this picture before, in other words. count: of questions answered at once.
        """
        asked = question.first(count)
        texts = [q.text for q in asked]
        ask_anew(self.backend, *texts, picture=not again)
        edited, _ = self.backend.generate(
            *(np.stack([q.picture for q in asked]), texts, plan),
            *(torch.cat([q.noise for q in asked]) * scale, GeneratorNoise(asked)),
            reconstruct=False,
        )
        return self.backend.latents[:1] * float(self.parts.vae.config.scaling_factor), as_picture(edited[0])


def as_picture(values: np.ndarray) -> np.ndarray:
    """float 0..1 -> uint8."""
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def make_authors(ours: Ours, scales: tuple[float, float], count: int = 1) -> Callable[[Question, int], Any]:
    """The authors' loop with this package's encoding and decoding around it; count: of questions answered at once."""
    backend, parts = ours.backend, ours.parts
    alphas = torch.from_numpy(parts.alphas_cumprod).float().to(parts.unet.device)

    @torch.no_grad()
    def draw(question: Question, steps: int) -> tuple[Tensor, np.ndarray]:
        asked = question.first(count)
        backend.forget()  # it keeps nothing
        image = backend.encode_image(np.stack([q.picture for q in asked]))
        text, null = backend.encode_prompt([q.text for q in asked]), backend.encode_prompt([""])
        model = GuidedDenoiser(parts.unet, alphas, parts.prediction_type, (image, text, null), scales)
        x = authors_loop(model, torch.cat([q.noise for q in asked]), steps, GeneratorNoise(asked))
        return x[:1], as_picture(backend.decode_latents(x / float(parts.vae.config.scaling_factor))[0])

    return draw


def pix2pix_scales(scales: tuple[float, float]) -> tuple[float, float]:
    """InstructPix2Pix's scales for the authors' guidance; ValueError where there are none."""
    if not math.isclose(scales[1], 0.5):
        raise ValueError(f"the pipeline gives the authors' answer at s_image = .5 only, got {scales[1]:g}")
    return scales[0] + 0.5, 1.0


def make_pipeline(parts: Any, scales: tuple[float, float], fast: bool) -> Callable[[Question, int], Any]:
    """diffusers' InstructPix2Pix pipeline: Euler ancestral as published with it, or DPM-Solver++ (fast).

    scales: InstructPix2Pix's own (text, image).
    """
    import diffusers
    from PIL import Image

    alphas = parts.alphas_cumprod
    config: dict[str, Any] = {
        "trained_betas": 1 - alphas / np.concatenate([[1.0], alphas[:-1]]),
        "prediction_type": parts.prediction_type,
    }
    if fast:
        more = {"algorithm_type": "dpmsolver++", "final_sigmas_type": "zero", "timestep_spacing": "trailing"}
        scheduler = diffusers.DPMSolverMultistepScheduler(**config, **more)
    else:
        scheduler = diffusers.EulerAncestralDiscreteScheduler(**config)
    pipeline = diffusers.StableDiffusionInstructPix2PixPipeline(
        *(parts.vae, parts.text_encoder, parts.tokenizer, parts.unet, scheduler),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)

    def draw(question: Question, steps: int) -> tuple[Tensor, np.ndarray]:
        kept: list[Tensor] = []

        def keep(pipe: Any, i: int, t: Any, values: dict[str, Any]) -> dict[str, Any]:
            if i == steps - 1:
                kept.append(values["latents"])
            return {}

        out = pipeline(
            question.text,
            Image.fromarray(question.picture),
            num_inference_steps=steps,
            guidance_scale=scales[0],
            image_guidance_scale=scales[1],
            generator=torch.Generator("cpu").manual_seed(question.seed),
            latents=question.noise.to(parts.unet.dtype),
            output_type="np",
            callback_on_step_end=keep,
        )
        return kept[0], as_picture(out.images[0])

    return draw
