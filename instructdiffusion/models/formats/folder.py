"""A model folder's layout (diffusers') and the noise schedule written into it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

# Stable Diffusion 1.5's schedule, in the words of diffusers' scheduler_config.json.
SCHEDULER: dict[str, Any] = {
    "_class_name": "DDIMScheduler",
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "timestep_spacing": "trailing",
}


def training_alphas(scheduler: dict[str, Any] = SCHEDULER) -> torch.Tensor:
    """Cumulative products of alpha, float64 [steps]: prod(1 - beta), sqrt(beta) linear from start to end."""
    steps, start, end = scheduler["num_train_timesteps"], scheduler["beta_start"], scheduler["beta_end"]
    kind = scheduler["beta_schedule"]
    if kind == "scaled_linear":
        betas = torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64) ** 2
    elif kind == "linear":
        betas = torch.linspace(start, end, steps, dtype=torch.float64)
    else:
        raise ValueError(
            f"expected a beta_schedule 'scaled_linear' or 'linear', got {kind!r}: convert the model's scheduler"
        )
    return torch.cumprod(1 - betas, 0)


def write_index(folder: Path, scheduler: dict[str, Any]) -> None:
    """Write model_index.json and the scheduler's config."""
    folder.mkdir(parents=True, exist_ok=True)
    index = {
        "_class_name": "StableDiffusionInstructPix2PixPipeline",
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "safety_checker": [None, None],
        "requires_safety_checker": False,
        "scheduler": ["diffusers", scheduler["_class_name"]],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    (folder / "scheduler").mkdir(exist_ok=True)
    config = json.dumps(scheduler, indent=1) + "\n"
    (folder / "scheduler" / "scheduler_config.json").write_text(config, encoding="utf-8")


def tidy_configs(folder: Path, **unet: Any) -> None:
    """Make the configs of a folder's parts ones to pass on, which every library loads alike.

    Args:
        folder: A model folder whose parts have been saved by diffusers and transformers.
        unet: Values for the UNet's config.
    """
    for path in folder.glob("*/config.json"):
        values = json.loads(path.read_text(encoding="utf-8"))
        values.pop("_name_or_path", None)  # where it was before is nobody's business
        if path.parent.name == "unet":
            values.update(unet)
        if path.parent.name == "text_encoder":
            # transformers loads in the dtype that stands here, diffusers its own parts in float32, however they are
            # stored: a pipeline of both would not run.
            values.pop("torch_dtype", None)
            values["dtype"] = "float32"
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
