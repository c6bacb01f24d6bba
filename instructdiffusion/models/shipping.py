"""The model that ships: a trained folder with its UNet and text encoder in half precision."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import torch

from .formats.folder import tidy_configs

LIMIT = 25_000_000  # bytes, all files together


def ship(model: Path, output: Path, settings: Path | None = None, vae: Path | None = None) -> int:
    """Write `output` from the folder `model`; returns its size in bytes.

    vae: a folder with an autoencoder to take instead of the model's, one that encodes alike: its decoder may
        have been trained on beside the UNet. ValueError where it encodes otherwise.

    UNet and text encoder are rounded to float16; the autoencoder stays float32, since its soft norms live
    on weights too small for half precision. The folder is written beside and renamed when whole.
    ValueError where it would pass 25 MB.
    """
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel

    half, whole = {"torch_dtype": torch.float16, "low_cpu_mem_usage": False}, {"low_cpu_mem_usage": False}
    autoencoder = AutoencoderKL.from_pretrained(model / "vae", **whole)
    if vae is not None:
        learned, autoencoder = autoencoder, AutoencoderKL.from_pretrained(vae, **whole)
        _must_encode_alike(learned, autoencoder, vae)
    temporary = output.with_name(f".{output.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    UNet2DConditionModel.from_pretrained(model / "unet", **half).save_pretrained(temporary / "unet")
    text_encoder = CLIPTextModel.from_pretrained(model / "text_encoder", dtype=torch.float16)
    text_encoder.save_pretrained(temporary / "text_encoder")
    autoencoder.save_pretrained(temporary / "vae")
    for name in ("tokenizer", "scheduler"):
        shutil.copytree(model / name, temporary / name)
    shutil.copy(model / "model_index.json", temporary)
    tidy_configs(temporary)
    if settings is not None:
        shutil.copy(settings, temporary / "instructdiffusion.json")
    size = sum(f.stat().st_size for f in temporary.rglob("*") if f.is_file())
    if size > LIMIT:
        shutil.rmtree(temporary)
        raise ValueError(
            f"the model would take {size / 1e6:.1f} MB, at most {LIMIT / 1e6:.0f} ship: train a smaller one"
        )
    shutil.rmtree(output, ignore_errors=True)
    output.parent.mkdir(parents=True, exist_ok=True)
    os.replace(temporary, output)
    return size


def _must_encode_alike(learned: Any, other: Any, path: Path) -> None:
    """ValueError where the UNet's latents would mean something else: other weights or another scale."""
    same = learned.config.scaling_factor == other.config.scaling_factor
    theirs = {**dict(other.encoder.named_parameters()), **dict(other.quant_conv.named_parameters())}
    for name, weight in {
        **dict(learned.encoder.named_parameters()),
        **dict(learned.quant_conv.named_parameters()),
    }.items():
        # A decoder's training rounds what it keeps in the last bits (soft norms, there and back).
        if name not in theirs or not torch.allclose(weight, theirs[name], rtol=1e-5, atol=1e-9):
            same = False
    if not same:
        raise ValueError(
            f"expected {path} to encode as the model's own autoencoder does (the UNet learned its latents): "
            "train it with `model.vae_decoder_only: true`, as training/configs/tiny-13-decoder.yaml does"
        )
