"""Train the light U-Net that reads masks (`--decoder unet`) on what a model draws, and compare it with the closed form.

    python training/refiner.py

Some ten minutes on two CPU cores; nothing of the model changes. It is asked about made-up scenes of the training
split under seeds far from those it learned from; a part of the samples is rendered instead (the truth itself, in any
colour, blurred, noisy or faint), so that the U-Net reads answers that no model of ours has drawn. The comparison is
made on scenes of the validation split; the file is written whole or not at all.
"""

from __future__ import annotations

import argparse
import copy
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from instructdiffusion.datasets.records import Example
from instructdiffusion.datasets.synthetic.examples import make_example
from instructdiffusion.decoding.light_unet import SHIPPED, Refiner, refiner_features
from instructdiffusion.evaluation.measures import figures, measure
from instructdiffusion.imaging.colors import MASK_COLORS
from instructdiffusion.imaging.rasterize import as_float, blend
from instructdiffusion.models.optimization import slow_at_bfloat16
from instructdiffusion.pipeline import InstructDiffusion
from instructdiffusion.sampling import SeededNoise, initial_noise
from instructdiffusion.tasks import get_task
from instructdiffusion.utils.files import write_files

TASKS = ("segment", "refer")
LEVELS = (3, 3, 3, 1)  # of the scenes, as the UNet's last stages were trained
FIRST_SEED = 100_000_000  # of the scenes to learn from: training counts its own from 0


@dataclass(frozen=True)
class Drawn:
    """An example with what was drawn: edited and source (its reconstruction) float32 [h, w, 3] in 0..1."""

    example: Example
    edited: np.ndarray
    source: np.ndarray


def asked(model: Any, examples: Sequence[Example], batch: int, title: str) -> list[Drawn]:
    """What the model draws for examples of one task, asked as its settings say; the noise of each is its place's."""
    plan = model.check(examples[0].instruction)
    drawings: list[Drawn] = []
    with tqdm(total=len(examples), desc=title, unit="scene") as bar:
        for first in range(0, len(examples), batch):
            part = examples[first : first + batch]
            pictures, seeds = np.stack([e.source for e in part]), list(range(first, first + len(part)))
            noise = initial_noise(seeds, model.backend.latent_shape(pictures.shape[1:3]))
            edited, copies = model.backend.generate(
                pictures, [e.instruction.text for e in part], plan, noise, SeededNoise(seeds)
            )
            drawings += [Drawn(*fields) for fields in zip(part, edited, copies, strict=True)]
            bar.update(len(part))
    return drawings


def sample(drawing: Drawn) -> tuple[np.ndarray, np.ndarray]:
    """(features float16 [f, h, w], truth bool [h, w]) of a drawn answer."""
    example = drawing.example
    color = example.instruction.colors[0].array
    features = refiner_features(drawing.source, drawing.edited, color, as_float(example.source))
    return features.astype(np.float16), example.record.target.union()


def rendered(task: str, seed: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """A sample whose answer is the truth in any colour, by chance blurred, noisy and faint, or exact.

    The scene is 1 to 2 times as large, and a part of it is shown: things are then larger and edges sharper.
    """
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    size = int(rng.choice([side, 3 * side // 2, 2 * side]))
    example = make_example(task, seed, size=size, level=LEVELS[seed // 2 % 4])
    y, x = rng.integers(0, size - side + 1, 2)
    cut = (slice(y, y + side), slice(x, x + side))
    picture, truth = as_float(example.source)[cut], example.record.target.union()[cut]
    color = random.Random(seed).choice(MASK_COLORS).array
    # Every other one is the truth to the pixel: what is drawn without fault must be read without any.
    exact = seed % 2 == 0
    blur, noise = (0.0, 0.0) if exact else (rng.uniform(0, 0.9) * rng.integers(0, 2), rng.uniform(0, 0.03))
    strength = 1.0 if exact else rng.uniform(0.6, 1)

    def spoiled(array: np.ndarray) -> np.ndarray:
        soft = ndimage.gaussian_filter(array, (blur, blur, 0)) if blur else array
        return np.clip(soft + rng.normal(0, noise, soft.shape), 0, 1).astype(np.float32)

    covered = blend(picture, 0.5 * strength * truth.astype(np.float32), color)
    features = refiner_features(spoiled(picture), spoiled(covered), color, picture)
    return features.astype(np.float16), truth


def stacked(samples: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[Tensor, Tensor]:
    """(features float16 [n, f, h, w], truths bool [n, h, w])."""
    features, truths = zip(*samples, strict=True)
    return torch.from_numpy(np.stack(features)), torch.from_numpy(np.stack(truths))


def turned(x: Tensor, truth: Tensor, turns: int, mirror: bool) -> tuple[Tensor, Tensor]:
    """Both turned by a quarter `turns` times, and mirrored: every feature turns with its picture."""
    x, truth = torch.rot90(x, turns, (-2, -1)), torch.rot90(truth, turns, (-2, -1))
    return (x.flip(-1), truth.flip(-1)) if mirror else (x, truth)


def loss_of(logits: Tensor, truth: Tensor) -> Tensor:
    """Binary cross-entropy and Dice, the latter picture by picture; an empty truth asks for an empty mask."""
    chance = logits.sigmoid()
    both, total = (chance * truth).sum((1, 2)), (chance + truth).sum((1, 2))
    room = 0.005 * truth[0].numel()  # pixels: one that is wrong must not decide an empty picture's share
    dice = 1 - (2 * both + room) / (total + room)
    return F.binary_cross_entropy_with_logits(logits, truth) + 0.5 * dice.mean()


def train(features: Tensor, truths: Tensor, steps: int, batch: int, rate: float, seed: int = 0) -> Refiner:
    """A refiner that has learned from the samples; its weights are averaged over the steps."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        refiner = Refiner().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged: Refiner = copy.deepcopy(refiner)
    optimizer = torch.optim.AdamW(refiner.parameters(), lr=rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.1)
    generator = torch.Generator().manual_seed(seed)
    halved = not slow_at_bfloat16()  # twice as fast where the CPU has it, and no worse
    bar = tqdm(range(steps), desc="training", unit="step")
    for step in bar:
        rows = torch.randint(0, len(features), (batch,), generator=generator)
        turns, mirror = (int(torch.randint(0, n, (), generator=generator)) for n in (4, 2))
        x, truth = turned(features[rows].float(), truths[rows].float(), turns, bool(mirror))
        with torch.autocast("cpu", torch.bfloat16, enabled=halved):
            logits = refiner(x.contiguous(memory_format=torch.channels_last))
        loss = loss_of(logits.float(), truth)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(
            refiner.parameters(), 1.0
        )  # without norms in it, one odd batch could end it
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            share = min(0.98, step / (step + 10))
            for average, weight in zip(averaged.parameters(), refiner.parameters(), strict=True):
                average.lerp_(weight, 1 - share)
        if step % 10 == 0:
            bar.set_postfix(loss=f"{loss.item():.4f}")
    return averaged.eval().requires_grad_(False)


def compared(drawings: Sequence[Drawn], refiner: Refiner) -> list[str]:
    """A line a figure: what the closed form and the refiner read out of the same drawings."""
    task: Any = get_task(drawings[0].example.instruction.task)
    columns = []
    for decoder in ("closed", refiner):
        rows = []
        for d in drawings:
            masks = task.decode(
                d.source, d.edited, d.example.instruction, guide=d.example.source, decoder=decoder
            )
            rows.append(measure(d.example, masks, None))
        columns.append(figures(task.name, rows))
    return [
        f"{task.name:8} {a.metric:22} closed {a.value:.4f}  unet {b.value:.4f}  n {a.n}"
        for a, b in zip(*columns, strict=True)
    ]


def main() -> None:
    """Ask, train, compare, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, default=SHIPPED, help="the file to write (.safetensors)")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--samples", type=int, default=1200, help="scenes a task to ask about")
    parser.add_argument("--rendered", type=int, default=600, help="scenes a task whose truth is rendered")
    parser.add_argument("--validate", type=int, default=300, help="validation scenes a task to compare on")
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--rate", type=float, default=2e-3)
    options = parser.parse_args()
    model = InstructDiffusion.from_pretrained(options.model)
    side = model.components.resolution
    samples: list[tuple[np.ndarray, np.ndarray]] = []
    for task in TASKS:
        seeds = range(FIRST_SEED, FIRST_SEED + options.samples)
        examples = [make_example(task, s, size=side, level=LEVELS[s % 4]) for s in seeds]
        samples += map(sample, asked(model, examples, 64, task))
        more = range(FIRST_SEED + options.samples, FIRST_SEED + options.samples + options.rendered)
        samples += [rendered(task, s, side) for s in tqdm(more, desc=f"{task}, rendered", unit="scene")]
    refiner = train(*stacked(samples), options.steps, options.batch, options.rate)
    # Compared as it will be loaded: in half precision on disk.
    weights = {name: weight.half().contiguous() for name, weight in refiner.state_dict().items()}
    refiner.load_state_dict(weights)
    for task in TASKS:
        examples = [make_example(task, s, split="val", size=side) for s in range(options.validate)]
        print(*compared(asked(model, examples, 64, f"{task}, validation"), refiner), sep="\n")
    write_files({options.output: save(weights, metadata={"format": "pt", "title": "refiner of masks"})})
    print(f"{options.output}: {options.output.stat().st_size >> 10} KiB")


if __name__ == "__main__":
    main()
