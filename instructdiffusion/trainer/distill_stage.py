"""Stage "distill": a student learns to answer in fewer UNet evaluations what its teacher answers in many.

Guidance distillation (Meng et al., 2210.03142; MoViE, 2412.06578, for three branches): the student's one
branch matches the teacher's guided combination of three, so that guidance costs nothing any more. Step
distillation (Salimans & Ho, 2202.00512): one DDIM step of the student lands where several of the teacher's do.
The student starts as a copy of its teacher and keeps its layout, so it is sampled as any other model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..sampling import Schedule, instructdiffusion, none
from ..settings import FILE, read_settings
from ..utils.files import write_json
from .config import TrainConfig
from .diffusion_stage import DiffusionStage
from .init import start_folder
from .losses import add_noise, area_weights, changed_weights, draw_timesteps, snr_weights
from .pool import TASK_NAMES
from .randomness import shuffled_indices, step_generator

GAP_STEPS = 4  # evaluations in which a guidance-distilled student is compared with its teacher
GAP_SAMPLES = 8


class DistillStage(DiffusionStage):
    """A student UNet and text encoder beside their frozen teacher, on the pool of the instruct stage.

    Dropout of conditions is left out: a student has no branches to guide with. Of a step's samples those of
    the tasks in `config.distill.guidance` learn from the teacher, the others from the truth.
    """

    def __init__(self, config: TrainConfig) -> None:
        from diffusers import UNet2DConditionModel
        from transformers import CLIPTextModel

        folder = start_folder(config) if config.init else None
        if folder is None or not (folder / "unet").is_dir() or not (folder / "text_encoder").is_dir():
            raise FileNotFoundError(
                f"expected `init` to be the folder of a trained model, the teacher, got {config.init}: "
                "run the instruct stage first and set `init` to its model folder"
            )
        _check_prediction(folder, config.loss.prediction)
        super().__init__(config)
        if self.unet.config.in_channels != 8:
            raise ValueError(
                f"expected a teacher that follows instructions (8 input channels), {folder} has "
                f"{self.unet.config.in_channels}: set `init` to the instruct stage's model"
            )
        unet = UNet2DConditionModel.from_pretrained(folder / "unet", low_cpu_mem_usage=False)
        text_encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
        self.frozen["unet"] = unet.eval().requires_grad_(False)
        self.frozen["text_encoder"] = text_encoder.eval().requires_grad_(False)
        self.scales = _scales(config.distill.guidance)
        names = [name in self.scales for name in TASK_NAMES]
        self.taught = torch.tensor(names)
        plain = none()(1.0)
        weights = [
            instructdiffusion(*s)(1.0) if (s := self.scales.get(name)) is not None else plain
            for name in TASK_NAMES
        ]
        self.weights = torch.tensor(weights)[:, :3]  # over full, image_only, text_only
        total = config.distill.teacher_steps
        schedule = Schedule(self.alphas.numpy())
        times = np.rint(schedule.t_of(schedule.sigmas("trailing", total)[:-1])).astype(np.int64)
        self.times = torch.from_numpy(times)
        self.levels = torch.cat([self.alphas[self.times], torch.ones(1, dtype=self.alphas.dtype)])

    def samples(self, step: int) -> dict[str, Tensor]:
        """The samples of a step: `share` of them taught, the others kept; a pure function of (config, step)."""
        assert self.pool is not None
        config, taught = self.config, self.taught[self.pool.parts["task"].long()].numpy()
        groups = np.flatnonzero(taught), np.flatnonzero(~taught)
        if not len(groups[0]):
            raise ValueError(
                f"expected samples of {', '.join(self.scales)} in a pool of {len(taught)}, found none: "
                "raise their weights in `data.mixture`, or `data.pool`"
            )
        few = max(1, round(config.batch_size * config.distill.share)) if len(groups[1]) else config.batch_size
        chosen = [
            group[shuffled_indices(config.seed, step * count, count, len(group))]
            for group, count in zip(groups, (few, config.batch_size - few), strict=True)
            if count
        ]
        return self.pool.take(np.concatenate(chosen)[self.rank :: self.world])

    def forward(self, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, float]]:
        """Loss and figures of one step."""
        loss_config, distill, device = self.config.loss, self.config.distill, self.unet.device
        taught, perceives = self.taught[batch["task"].cpu()], self.perception[batch["task"].cpu()]
        weights = self.weights[batch["task"].cpu()].to(device)
        batch = {name: value.to(device, non_blocking=True) for name, value in batch.items()}
        generator = step_generator(self.config.seed, step, f"distill {self.rank}")
        clean, source = batch["target"] * self.scale, batch["source"]
        count = len(clean)
        last = torch.where(perceives, loss_config.last_step, loss_config.last_step_other)
        t, final = draw_timesteps(count, len(self.alphas), last, generator)
        each = distill.teacher_steps // distill.steps
        start = torch.randint(0, distill.steps, (count,), generator=generator) * each
        if distill.kind == "steps":
            t = torch.where(taught, self.times[start], t)
            final = torch.where(taught, start == 0, final)
        noise = torch.randn(clean.shape, generator=generator).to(device)
        noised = add_noise(clean, noise, t, final, self.alphas, loss_config.prediction)
        answer = noised.answer
        if bool(taught.any()):
            rows = taught.nonzero().flatten()
            teacher = Teacher(
                *(self.frozen["unet"].to(device), self.frozen["text_encoder"].to(device)),
                *(source[rows], batch["text"][rows], self.null.to(device), weights[rows]),
            )
            x = noised.x[rows]
            if distill.kind == "guidance":
                lesson = teacher.predict(x, t[rows])
            else:
                lesson = self._lesson(teacher, x, start[rows], each)
            answer = answer.index_copy(0, rows.to(device), lesson)
        states = self.text_encoder(batch["text"]).last_hidden_state
        out = self.unet(
            torch.cat([noised.x, source], dim=1),
            t.to(device),
            encoder_hidden_states=states,
            return_dict=False,
        )[0]
        error = (out - answer).square()
        cells = snr_weights(t, self.alphas, loss_config.prediction, loss_config.min_snr)
        cells = cells.to(device)[:, None, None, None]
        if loss_config.changed:
            cells = cells * changed_weights(source * self.scale, clean, loss_config.changed)
        if loss_config.area is not None:
            cells = cells * area_weights(source * self.scale, clean, loss_config.area)
        parts = {"taught": error.detach()[taught.to(device)], "kept": error.detach()[~taught.to(device)]}
        return (error * cells).mean(), {k: float(v.mean()) for k, v in parts.items() if len(v)}

    def _lesson(self, teacher: Teacher, x: Tensor, start: Tensor, each: int) -> Tensor:
        """The prediction with which one DDIM step from x lands where `each` of the teacher's do."""
        prediction_type, first, arrived = self.config.loss.prediction, x, x
        for i in range(each):
            t = self.times[start + i]
            here, there = self._level(start + i, x), self._level(start + i + 1, x)
            denoised = denoised_of(teacher.predict(arrived, t), arrived, here, prediction_type)
            arrived = ddim_step(denoised, arrived, here, there)
        here, there = self._level(start, x), self._level(start + each, x)
        return prediction_of(ddim_denoised(first, arrived, here, there), first, here, prediction_type)

    def _level(self, index: Tensor, like: Tensor) -> Tensor:
        return self.levels[index].to(like)[:, None, None, None]

    @torch.no_grad()
    def validate(self) -> tuple[dict[str, float], np.ndarray]:
        """One-evaluation answers to held-out scenes, and how far the student is from its teacher (`gap TASK`)."""
        from .validation import score_answers

        parts = self.unet, self.text_encoder, self.tokenizer, self.frozen["vae"], self.alphas
        figures, sheet = score_answers(parts, self.config)
        return figures | {f"gap {task}": self._gap(task) for task in self.scales}, sheet

    def _gap(self, task: str) -> float:
        """RMS difference of the student's fast and the teacher's slow latents, in the latter's deviations."""
        from ..inference.components_backend import ComponentsBackend
        from ..models.components import Components
        from ..sampling import SeededNoise, UNetDenoiser, initial_noise, make_plan, sample
        from .validation import held_out_examples

        config, distill = self.config, self.config.distill
        count = min(GAP_SAMPLES, config.validate_samples)
        examples = held_out_examples((task,), count, config.data.size, max(config.data.levels))
        sources, texts = np.stack([e.source for e in examples]), [e.instruction.text for e in examples]
        schedule, scales = Schedule(self.alphas.numpy()), self.scales[task]
        guided = none() if scales is None else instructdiffusion(*scales)
        few, many = (
            (GAP_STEPS, GAP_STEPS) if distill.kind == "guidance" else (distill.steps, distill.teacher_steps)
        )
        latents = []
        networks = (self.unet, self.text_encoder), (self.frozen["unet"], self.frozen["text_encoder"])
        for (unet, encoder), steps, guidance in zip(networks, (few, many), (none(), guided), strict=True):
            place = self.unet.device
            backend = ComponentsBackend(
                Components(
                    *(unet.to(place), self.frozen["vae"].to(place), encoder.to(place), self.tokenizer),
                    *(self.alphas.numpy(), config.loss.prediction, config.data.size, Path(config.output)),
                )
            )
            denoiser = UNetDenoiser(
                *(unet, backend.encode_image(sources), backend.encode_prompt(texts), backend.encode_prompt([""])),
                config.loss.prediction,
            )
            plan = make_plan(schedule.sigmas("trailing", steps), "euler", guidance, schedule)
            start = initial_noise(range(count), backend.latent_shape(sources.shape[1:3])).to(place)
            latents.append(sample(denoiser, start * plan.sigma_start, plan, SeededNoise(range(count))))
        student, teacher = latents
        return float((student - teacher).square().mean().sqrt() / teacher.std())

    @torch.no_grad()
    def export(self, folder: Path) -> None:
        """Write the student's model folder, and the fast mode as its tasks' defaults."""
        super().export(folder)
        write_json(folder / FILE, {"defaults": self.defaults()})

    def defaults(self) -> dict[str, Any]:
        """The teacher folder's own defaults, with the distilled tasks asked as the student learned."""
        path, settings = self.folder / FILE, read_settings(self.folder)
        own: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["defaults"] if path.is_file() else {}
        for task in self.scales:
            if self.config.distill.kind == "steps":
                change = {"steps": self.config.distill.steps, "solver": "euler", "schedule": "trailing"}
            else:
                s = settings[task]
                change = {"steps": s.steps, "solver": s.solver, "schedule": s.schedule}
            own[task] = {**own.get(task, {}), **change, "guidance": None}
        return own


class Teacher:
    """A frozen UNet under the authors' guidance: weights [n, 3] over full, image_only and text_only."""

    def __init__(
        self, unet: Any, encoder: Any, source: Tensor, words: Tensor, null: Tensor, weights: Tensor
    ) -> None:
        self.unet, self.weights = unet, weights
        with torch.no_grad():
            text = encoder(words).last_hidden_state
            empty = encoder(null).last_hidden_state.expand_as(text)
        branches = [(source, text), (source, empty), (torch.zeros_like(source), text)]
        self.used = [i for i in range(3) if bool((weights[:, i] != 0).any())]
        self.images = torch.cat([branches[i][0] for i in self.used])
        self.texts = torch.cat([branches[i][1] for i in self.used])

    @torch.no_grad()
    def predict(self, x: Tensor, t: Tensor) -> Tensor:
        """The guided prediction for x [n, 4, h, w] (variance preserving) at timesteps t int64 [n]."""
        many = len(self.used)
        inputs = torch.cat([x.repeat(many, 1, 1, 1), self.images], dim=1)
        times = t.to(x.device).repeat(many)
        out = self.unet(inputs, times, encoder_hidden_states=self.texts, return_dict=False)[0]
        weights = self.weights[:, self.used].t()[:, :, None, None, None]
        mixed: Tensor = (out.unflatten(0, (many, -1)) * weights).sum(0)
        return mixed


def denoised_of(prediction: Tensor, x: Tensor, level: Tensor, prediction_type: str) -> Tensor:
    """The clean latent that a prediction means, for x = sqrt(level) x0 + sqrt(1 - level) e."""
    if prediction_type == "epsilon":
        return (x - (1 - level).sqrt() * prediction) / level.sqrt()
    return level.sqrt() * x - (1 - level).sqrt() * prediction if prediction_type == "v_prediction" else prediction


def prediction_of(denoised: Tensor, x: Tensor, level: Tensor, prediction_type: str) -> Tensor:
    """The inverse of `denoised_of`."""
    if prediction_type == "epsilon":
        return (x - level.sqrt() * denoised) / (1 - level).sqrt()
    return (level.sqrt() * x - denoised) / (1 - level).sqrt() if prediction_type == "v_prediction" else denoised


def ddim_step(denoised: Tensor, x: Tensor, here: Tensor, there: Tensor) -> Tensor:
    """DDIM without noise (2010.02502, eq. 12): from x at level `here` to level `there` (1: clean)."""
    noise = (x - here.sqrt() * denoised) / (1 - here).sqrt()
    return there.sqrt() * denoised + (1 - there).sqrt() * noise


def ddim_denoised(x: Tensor, arrived: Tensor, here: Tensor, there: Tensor) -> Tensor:
    """The clean latent with which one `ddim_step` leads from x to `arrived` (2202.00512, appendix G)."""
    ratio = ((1 - there) / (1 - here)).sqrt()
    return (arrived - ratio * x) / (there.sqrt() - ratio * here.sqrt())


def _check_prediction(folder: Path, prediction: str) -> None:
    path = folder / "scheduler" / "scheduler_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"prediction_type": prediction}
    own = config.get("prediction_type", "epsilon")
    if own != prediction:
        raise ValueError(
            f"the teacher in {folder} predicts {own!r}, the config says `loss.prediction` is {prediction!r}: "
            "a student predicts what its teacher does"
        )


def _scales(guidance: Mapping[str, Any]) -> dict[str, tuple[float, float] | None]:
    """The tasks' scales as pairs; ValueError for an unknown task or what is no pair."""
    out: dict[str, tuple[float, float] | None] = {}
    for task, pair in guidance.items():
        if task not in TASK_NAMES:
            raise ValueError(
                f"unknown task {task!r} in `distill.guidance`: known are {', '.join(TASK_NAMES)}"
            )
        if pair is not None and (not isinstance(pair, (list, tuple)) or len(pair) != 2):
            raise ValueError(f"expected `distill.guidance.{task}` to be [text, image] or null, got {pair!r}")
        out[task] = None if pair is None else (float(pair[0]), float(pair[1]))
    return out
