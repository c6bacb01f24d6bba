"""What is sampled: a trained model, or one with a random UNet of SD 1.5's size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from .machine import free_gib

NEEDED_GIB = 6.0  # 3.4 of weights, and what a batch of three branches takes


def large_model(
    device: str,
    channels: tuple[int, ...] = (320, 640, 1280, 1280),
    dtype: torch.dtype = torch.float32,
) -> Any:
    """Components with a UNet of SD 1.5's size, random weights, for 64 x 64 latents of 512 px pictures.

    The autoencoder and the text encoder are small stand-ins of the right shapes: what is to be measured is the
    loop around a large UNet. MemoryError where the machine has too little.
    """
    from diffusers import UNet2DConditionModel

    from instructdiffusion.models.architecture import build_text_encoder, build_vae
    from instructdiffusion.models.components import Components
    from instructdiffusion.models.formats.folder import training_alphas
    from instructdiffusion.models.loading import load_components

    on_cuda = device.startswith("cuda")
    free = round(torch.cuda.mem_get_info(device)[0] / 2**30, 1) if on_cuda else free_gib()
    if free is not None and free < NEEDED_GIB and channels[-1] == 1280:
        raise MemoryError(f"a UNet of SD 1.5's size needs about {NEEDED_GIB:g} GiB, {free:g} are free")
    small = load_components("tiny", device="cpu")
    width = 768
    # Made where it is to be: on a CPU the weights alone take half a minute to draw.
    forked = [torch.device(device)] if on_cuda else []
    with torch.random.fork_rng(devices=forked), torch.device(device):
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            sample_size=64,
            in_channels=8,
            out_channels=4,
            block_out_channels=channels,
            layers_per_block=2,
            cross_attention_dim=width,
            attention_head_dim=8,
            down_block_types=("CrossAttnDownBlock2D",) * (len(channels) - 1) + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * (len(channels) - 1),
        )
        vae = build_vae((32, 32, 32, 32))
        text_encoder = build_text_encoder(len(small.tokenizer), width, 1)
    for part in (unet, vae, text_encoder):
        part.eval().requires_grad_(False).to(device, dtype)
    return Components(
        *(unet, vae, text_encoder, small.tokenizer),
        *(training_alphas().numpy(), "epsilon", 512, Path("random")),
    )


def question_picture(size: int, seed: int = 0) -> tuple[np.ndarray, Any]:
    """A held-out scene at size x size and the instruction that asks about it."""
    from PIL import Image

    from instructdiffusion.datasets.synthetic.examples import make_example

    example = make_example("segment", seed, split="test", size=min(size, 64))
    picture = Image.fromarray(example.source).resize((size, size), Image.Resampling.BICUBIC)
    return np.array(picture), example.instruction
