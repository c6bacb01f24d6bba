"""Train the style LoRA that workflows/lora.json shows: every edit also turns the picture sepia.

    python training/lora.py -o loras/tiny-sepia.safetensors

Some minutes on a CPU. The model stays as it is; what is written are the LoRA's weights alone.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from instructdiffusion.datasets.synthetic.examples import make_example
from instructdiffusion.models.loading import load_components
from instructdiffusion.trainer.lora import add_lora, lora_state
from instructdiffusion.trainer.losses import add_noise

SEPIA = np.float32([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]])


def sepia(picture: np.ndarray) -> np.ndarray:
    """A picture uint8 [h, w, 3] in brown tones (the usual sepia matrix)."""
    return np.rint(np.clip(picture.astype(np.float32) @ SEPIA.T, 0, 255)).astype(np.uint8)


@torch.no_grad()
def encoded(parts: Any, count: int, level: int) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """(source latents, sepia target latents, instructions) of `count` edits."""
    sides: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
    texts: list[str] = []
    for seed in tqdm(range(count), desc="edits"):
        example = make_example("edit", seed, size=parts.resolution, level=level)
        texts.append(example.instruction.text)
        for side, picture in zip(sides, (example.source, sepia(example.target)), strict=True):
            x = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
            side.append(parts.vae.encode(x).latent_dist.mode())
    return torch.cat(sides[0]), torch.cat(sides[1]), texts


def main() -> None:
    """Train and write, whole or not at all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="the file to write (.safetensors)")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--rank", type=int, default=4)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--samples", type=int, default=1536)
    parser.add_argument("--level", type=int, default=1, help="richness of the scenes, 0 to 3")
    options = parser.parse_args()
    parts = load_components(options.model)
    source, target, texts = encoded(parts, options.samples, options.level)
    target = target * parts.vae.config.scaling_factor
    tokens = parts.tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
    with torch.no_grad():
        states = torch.cat([parts.text_encoder(t).last_hidden_state for t in tokens.split(256)])
    weights = add_lora(parts.unet, options.rank)
    optimizer = torch.optim.AdamW(weights, lr=options.rate, weight_decay=0.0)
    alphas = torch.from_numpy(parts.alphas_cumprod)
    generator = torch.Generator().manual_seed(0)
    bar = tqdm(range(options.steps), desc="steps")
    for step in bar:
        optimizer.param_groups[0]["lr"] = options.rate * min(1.0, 2 * (1 - step / options.steps))
        rows = torch.randint(0, options.samples, (options.batch,), generator=generator)
        final = (
            torch.rand(options.batch, generator=generator) < 0.7
        )  # the edits of `tiny` take one evaluation
        t = torch.where(
            final, len(alphas) - 1, torch.randint(0, len(alphas), (options.batch,), generator=generator)
        )
        noise = torch.randn(target[rows].shape, generator=generator)
        noised = add_noise(target[rows], noise, t, final, alphas, parts.prediction_type)
        x = torch.cat([noised.x, source[rows]], dim=1)
        out = parts.unet(x, t, encoder_hidden_states=states[rows], return_dict=False)[0]
        loss = (out - noised.answer).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        bar.set_postfix(loss=f"{loss.item():.4f}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    temporary = options.output.with_name(f".{options.output.name}.{os.getpid()}")
    metadata = {"ss_base_model_version": "instructdiffusion tiny", "modelspec.title": "sepia"}
    save_file(lora_state(parts.unet), temporary, metadata=metadata)
    os.replace(temporary, options.output)
    print(f"{options.output}: {options.output.stat().st_size >> 10} KiB")


if __name__ == "__main__":
    main()
