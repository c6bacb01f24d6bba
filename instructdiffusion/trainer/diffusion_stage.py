"""Stages "generator", "marks" and "instruct": text to picture, text to marked picture, instruction following.

They are the paper's stages. All read the same pool: the first trains on captions and plain pictures, the
second on captions that say what is drawn and on the marked pictures, the third widens the UNet's input to
8 channels (the new ones start at zero) and trains on (source, instruction) -> target.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..models.architecture import build_text_encoder, build_unet, widen_conv_in
from ..models.formats.folder import SCHEDULER, training_alphas, write_index
from ..models.norms import UNET_HEAD_SOFTNESS, UNET_SOFTNESS, harden_norms, soften_norms
from ..tasks import TASKS
from ..utils.files import whole_folder
from .config import TrainConfig
from .init import start_folder
from .losses import (
    absent_weights,
    add_noise,
    area_weights,
    changed_weights,
    draw_timesteps,
    snr_weights,
)
from .pool import TASK_NAMES, Pool, tokenize
from .randomness import shuffled_indices, step_generator


class DiffusionStage(nn.Module):
    """The UNet and the text encoder, trained together on a pool of encoded samples."""

    pooled = True

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from transformers import CLIPTextModel, CLIPTokenizer

        from .tokenizer_corpus import ensure_tokenizer

        self.config = config
        self.folder = start_folder(config)
        if not (self.folder / "vae").is_dir():
            raise FileNotFoundError(
                f"expected {self.folder}/vae, the autoencoder trained before: run the earlier stage first"
            )
        if config.stage in ("marks", "instruct"):
            for name in ("unet", "text_encoder"):
                if not (self.folder / name).is_dir():
                    raise FileNotFoundError(
                        f"expected {self.folder}/{name}: stage {config.stage!r} goes on from a trained generator, "
                        "so run the earlier stage first and set `init` to its model folder"
                    )
        ensure_tokenizer(self.folder, config.data)
        self.tokenizer = CLIPTokenizer.from_pretrained(self.folder / "tokenizer")
        vae = AutoencoderKL.from_pretrained(self.folder / "vae").eval().requires_grad_(False)
        self.frozen = {"vae": vae}  # in a dict, so that it is neither trained nor checkpointed
        sizes = config.model
        if (self.folder / "unet").is_dir():
            self.unet = UNet2DConditionModel.from_pretrained(self.folder / "unet", low_cpu_mem_usage=False)
            soften_norms(self.unet, UNET_SOFTNESS, UNET_HEAD_SOFTNESS)
            self.text_encoder = CLIPTextModel.from_pretrained(
                self.folder / "text_encoder", dtype=torch.float32
            )
        else:
            self.unet = build_unet(
                sizes.unet_channels,
                sizes.unet_layers,
                sizes.text_width,
                in_channels=4,
                attention=sizes.unet_attention,
                sample_size=config.data.size // 2 ** (len(vae.config.block_out_channels) - 1),
            )
            self.text_encoder = build_text_encoder(len(self.tokenizer), sizes.text_width, sizes.text_layers)
        if sizes.text_encoder_only:
            if self.unet.config.in_channels != 8:
                raise ValueError(
                    "`model.text_encoder_only` keeps a UNet that follows instructions (8 input channels), the one in "
                    f"{self.folder} has {self.unet.config.in_channels}: set `init` to the instruct stage's model"
                )
            self.unet.requires_grad_(False)
        elif config.stage == "instruct" and self.unet.config.in_channels == 4:
            widen_conv_in(self.unet)
        self.train()
        self.alphas = training_alphas()
        self.scale: float = vae.config.scaling_factor
        self.null = tokenize(self.tokenizer, [""])
        self.perception = torch.tensor([TASKS[name].perception for name in TASK_NAMES])
        self.pool: Pool | None = None

    def prepare_data(self, accelerator: Any, began: Mapping[str, Any] | None = None) -> None:
        """Make (on the main process) and load the pool; began: of a run that goes on, see `pool.check_began`."""
        output, quiet = Path(self.config.output), not accelerator.is_main_process
        self.frozen["vae"].to(accelerator.device)
        self.null = self.null.to(accelerator.device)
        with accelerator.main_process_first():
            self.pool = Pool(
                *(output.parent, self.config.data, self.folder, quiet, accelerator.device),
                run=output,
                began=began,
            )
        self.rank, self.world = accelerator.process_index, accelerator.num_processes

    def maker(self) -> Any:
        """step -> this process's share of the step's samples."""
        return self.samples

    def samples(self, step: int) -> dict[str, Tensor]:
        """The samples of a step and its `draws`: a pure function of (config, step)."""
        assert self.pool is not None
        size = self.config.batch_size
        chosen = shuffled_indices(self.config.seed, step * size, size, len(self.pool))
        batch = self.pool.take(chosen[self.rank :: self.world])
        if (others := batch.pop("others", None)) is not None:
            ways = torch.cat([batch["text"][:, None], others], dim=1)
            generator = step_generator(self.config.seed, step, f"words {self.rank}")
            way = torch.randint(0, ways.shape[1], (len(ways),), generator=generator).to(ways.device)
            batch["text"] = ways[torch.arange(len(ways), device=ways.device), way]
        return batch | self.draws(batch, step)

    def draws(self, batch: dict[str, Tensor], step: int) -> dict[str, Tensor]:
        """What chance decides of a step: roll [n] in 0..1 (whose conditions are dropped), t int64 [n], final bool [n],
        noise as the latents. Drawn on the CPU, so that they are the same everywhere.
        """
        loss_config = self.config.loss
        generator = step_generator(self.config.seed, step, f"{self.config.stage} {self.rank}")
        roll = torch.rand(len(batch["task"]), generator=generator)
        last = torch.where(self.perception[batch["task"]], loss_config.last_step, loss_config.last_step_other)
        t, final = draw_timesteps(len(last), len(self.alphas), last, generator)
        noise = torch.randn(batch["target"].shape, generator=generator)
        return {"roll": roll, "t": t, "final": final, "noise": noise.to(batch["target"].device)}

    def forward(self, batch: dict[str, Tensor], step: int) -> tuple[Tensor, dict[str, float]]:
        """Loss and figures of one step."""
        loss_config, stage = self.config.loss, self.config.stage
        device = self.unet.device
        t, final, perceives = batch["t"], batch["final"], self.perception[batch["task"]]
        batch = {name: value.to(device, non_blocking=True) for name, value in batch.items()}
        words = batch[{"generator": "caption", "marks": "marked", "instruct": "text"}[stage]]
        clean = batch["source" if stage == "generator" else "target"] * self.scale
        roll = batch["roll"]
        no_text = roll < loss_config.drop_text
        words = torch.where(no_text[:, None], self.null.to(device), words)
        noised = add_noise(clean, batch["noise"], t, final, self.alphas, loss_config.prediction)
        x = noised.x
        weights = snr_weights(t, self.alphas, loss_config.prediction, loss_config.min_snr)
        weights = weights.to(device)[:, None, None, None]
        if stage == "instruct":
            no_image = (roll >= loss_config.drop_text) & (
                roll < loss_config.drop_text + loss_config.drop_image
            )
            x = torch.cat([x, batch["source"] * ~no_image[:, None, None, None]], dim=1)
            if loss_config.changed:
                weights = weights * changed_weights(batch["source"] * self.scale, clean, loss_config.changed)
            if loss_config.area is not None:
                weights = weights * area_weights(batch["source"] * self.scale, clean, loss_config.area)
            if loss_config.absent != 1.0:
                weights = weights * absent_weights(
                    batch["source"], batch["target"], perceives, loss_config.absent
                )
        out = self._predict(x, batch["t"], words)
        error = (out - noised.answer).square()
        figures = {"one_step": float(error.detach()[batch["final"]].mean())} if bool(final.any()) else {}
        return (error * weights).mean(), figures

    def _predict(self, x: Tensor, t: Tensor, words: Tensor) -> Tensor:
        """What the UNet says, float32, computed in the config's precision."""
        if self.config.precision == "float32":
            states = self.text_encoder(words).last_hidden_state
            prediction: Tensor = self.unet(x, t, encoder_hidden_states=states, return_dict=False)[0]
            return prediction
        # Rounded copies of the weights rather than autocast, which goes back and forth between the precisions.
        # On CPUs the fused attention is slow in bfloat16 with heads as narrow as these: ten times.
        with sdpa_kernel(SDPBackend.MATH) if x.device.type == "cpu" else contextlib.nullcontext():
            states = _rounded(self.text_encoder, words).last_hidden_state
            out = _rounded(self.unet, x.bfloat16(), t, encoder_hidden_states=states, return_dict=False)[0]
            prediction = out.float()
            return prediction

    @torch.no_grad()
    def validate(self) -> tuple[dict[str, float], np.ndarray]:
        """Figures and pictures: one-evaluation answers to held-out scenes (instruct), samples (the other stages)."""
        from .validation import sample_pictures, score_answers

        parts = self.unet, self.text_encoder, self.tokenizer, self.frozen["vae"], self.alphas
        if self.config.stage == "instruct":
            return score_answers(parts, self.config)
        return {}, sample_pictures(parts, self.config)

    @torch.no_grad()
    def export(self, folder: Path) -> None:
        """Write a complete model folder in diffusers' layout, whole or not at all."""
        with whole_folder(folder) as temporary:
            for name in ("vae", "tokenizer"):
                shutil.copytree(self.folder / name, temporary / name)
            harden_norms(self.unet, UNET_SOFTNESS, UNET_HEAD_SOFTNESS)
            self.unet.save_pretrained(temporary / "unet")
            soften_norms(self.unet, UNET_SOFTNESS, UNET_HEAD_SOFTNESS)
            self.text_encoder.save_pretrained(temporary / "text_encoder")
            write_index(temporary, {**SCHEDULER, "prediction_type": self.config.loss.prediction})


def _rounded(module: nn.Module, *inputs: Any, **keywords: Any) -> Any:
    """The module's answer with its weights rounded to bfloat16; gradients reach the weights themselves."""
    weights = {name: p.bfloat16() for name, p in module.named_parameters()}
    return functional_call(module, weights, inputs, keywords)
