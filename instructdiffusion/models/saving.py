"""Saving a model: as a folder in diffusers' layout, or as one file in the LDM layout."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..settings import FILE
from ..utils.files import whole_folder
from .components import Components
from .formats import ldm_keys
from .formats.folder import SCHEDULER, tidy_configs, training_alphas, write_index
from .formats.safe_pickle import FACTS, PICKLED, SAFE, is_checkpoint
from .ldm_compat import check_expressible
from .optimization import before_compiling
from .pretrained_tokenizer import companion
from .sidecar import changed_companion, companion_files, save_tokenizer, settings_file


def save_pretrained(components: Components, folder: str | Path) -> Path:
    """Write a model folder in diffusers' layout, whole or not at all; returns it.

    Weights keep their precision; `load_components` gives the same model back, bit by bit. A model folder
    that stands there is replaced; any other folder that is not empty is refused (ValueError), as is a noise
    schedule that a scheduler's config cannot express.
    """
    folder, components = Path(folder), before_compiling(components)
    replaceable = (folder / "model_index.json").is_file()
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not replaceable):
        raise ValueError(f"expected a new or empty folder, or a model's to replace, got {folder}")
    scheduler = {**scheduler_config(components), "prediction_type": components.prediction_type}
    factor = 2 ** (len(components.vae.config.block_out_channels) - 1)
    settings = settings_file(components)
    with whole_folder(folder) as new:
        for part in ("unet", "vae", "text_encoder"):
            getattr(components, part).save_pretrained(new / part)
        tidy_configs(new, sample_size=components.resolution // factor)
        save_tokenizer(components.tokenizer, new / "tokenizer")
        write_index(new, scheduler)
        if settings is not None:
            (new / FILE).write_bytes(settings)
    return folder


def export_checkpoint(components: Components, path: str | Path) -> Path:
    """Write a model as one file in the LDM layout, whole or not at all; returns its path.

    .safetensors, or .ckpt (.pt, .pth, .bin): torch's archive of plain tensors under state_dict. Weights keep
    their precision; `load_components` gives the same model back, bit by bit. A tokenizer other than SD's and
    the model's settings go into the folder with the file's name, in place of a former model's. ValueError for what the
    layout cannot express, and where that folder is also another model's, which would change with it.
    """
    path = Path(path)
    if not is_checkpoint(path):
        raise ValueError(f"expected a name that ends in {', '.join((*SAFE, *PICKLED))}, got {path.name}")
    components = before_compiling(components)
    check_expressible(components)
    modules = (components.unet, components.vae, components.text_encoder)
    state = {
        key: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for module in modules
        for key, value in ldm_keys.module_to_ldm(module, module.state_dict()).items()
    }
    state["alphas_cumprod"] = torch.from_numpy(np.array(components.alphas_cumprod, dtype=np.float64))
    state["scale_factor"] = torch.tensor(float(components.vae.config.scaling_factor), dtype=torch.float64)
    facts = {
        "prediction_type": components.prediction_type,
        "resolution": components.resolution,
        "resize_mode": components.resize_mode,
    }
    beside = companion_files(components, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        if path.suffix.lower() in SAFE:
            from safetensors.torch import save_file

            save_file(state, temporary, metadata={"format": "pt", FACTS: json.dumps(facts)})
        else:
            torch.save({"state_dict": state, FACTS: facts}, temporary)
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        with changed_companion(companion(path), beside):
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def scheduler_config(components: Components) -> dict[str, Any]:
    """The config of a scheduler with exactly these alphas: the model's own, SD 1.5's, or one fitted to them."""
    alphas = np.asarray(components.alphas_cumprod)
    own = components.path / "scheduler" / "scheduler_config.json"
    candidates = [json.loads(own.read_text(encoding="utf-8"))] if own.is_file() else []
    ends = [float(f"{beta:.9g}") for beta in (1 - alphas[0], 1 - alphas[-1] / alphas[-2])]
    fitted = {"num_train_timesteps": len(alphas), "beta_start": ends[0], "beta_end": ends[1]}
    candidates += [
        SCHEDULER,
        *({**SCHEDULER, **fitted, "beta_schedule": s} for s in ("scaled_linear", "linear")),
    ]
    config: dict[str, Any]
    for config in candidates:
        if np.array_equal(training_alphas(config).numpy(), alphas):
            return config
    raise ValueError(
        "the noise schedule has betas that are neither linear nor scaled linear: a model folder cannot hold it, "
        "export_checkpoint can"
    )
