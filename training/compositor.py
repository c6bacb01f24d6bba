"""Train the small network that lays edits on their sources (`learned`) on what a model draws, beside the rules.

    python training/compositor.py

Some ten minutes on two CPU cores; nothing of the model changes. It is asked about made-up scenes of the training
split under seeds far from those it learned from, and about pieces of the training photographs, spoiled as scenes are.
The comparison with the rules is made on scenes of the validation split and on whole photographs, of which three were
never trained on; the file is written whole or not at all.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from instructdiffusion.compositing.composition import Composition
from instructdiffusion.compositing.learned import (
    LEARNED,
    SHIPPED,
    Compositor,
    candidates,
    lay,
    load_compositor,
    statistics,
)
from instructdiffusion.datasets.photographs import photographs
from instructdiffusion.datasets.synthetic.degradations import watermark
from instructdiffusion.datasets.synthetic.examples import make_example
from instructdiffusion.imaging.psnr import psnr
from instructdiffusion.imaging.rasterize import as_float
from instructdiffusion.imaging.resize import resize_picture
from instructdiffusion.inference.options import SamplingOptions
from instructdiffusion.inference.request import Request
from instructdiffusion.inference.runner import Runner
from instructdiffusion.pipeline import InstructDiffusion
from instructdiffusion.tasks import Instruction, get_task
from instructdiffusion.utils.files import write_files

LEVELS = (3, 3, 3, 1)  # of the scenes, as the UNet's last stages were trained
# Of the scenes to learn from: training counts its own from 0, the refiner from 100,000,000.
FIRST_SEED = 200_000_000
EASY = 1e-4  # of squared error: below 40 dB a sample hardly counts for less error


@dataclass(frozen=True)
class Asked:
    """A question with its truth, uint8 [h, w, 3]."""

    instruction: Instruction
    source: np.ndarray
    target: np.ndarray


@dataclass(frozen=True)
class Drawn:
    """What was drawn for a question, and the autoencoder's copy of its source: float32 [h, w, 3] in 0..1."""

    asked: Asked
    edited: np.ndarray
    copy: np.ndarray


def scene(task: str, seed: int, side: int, split: str = "train") -> Asked:
    """A scene's question."""
    example = make_example(task, seed, split=split, size=side, level=LEVELS[seed % 4])
    return Asked(example.instruction, example.source, example.target)


def piece(seed: int, side: int) -> Asked:
    """A square of a training photograph, 1 to 2 times as large as the model sees, at its size; two of three with a
    watermark: where there is none, the picture is to stay.
    """
    rng, photos = random.Random(seed), photographs("train")
    photo = photos[rng.randrange(len(photos))]
    crop = rng.randint(side, min(2 * side, *photo.shape[:2]))
    y, x = rng.randint(0, photo.shape[0] - crop), rng.randint(0, photo.shape[1] - crop)
    clean = resize_picture(np.ascontiguousarray(photo[y : y + crop, x : x + crop]), (side, side))
    source = clean if seed % 3 == 0 else watermark(rng, clean).picture
    return Asked(get_task("dewatermark").instruct(), source, clean)


def whole(photo: np.ndarray, seed: int, side: int) -> Asked:
    """A photograph of whole tiles, every other of which has a watermark."""
    rng, clean = random.Random(seed), photo[: photo.shape[0] // side * side, : photo.shape[1] // side * side]
    spoiled = clean.copy()
    for y in range(0, clean.shape[0], side):
        for x in range(y % (2 * side), clean.shape[1], 2 * side):
            part = slice(y, y + side), slice(x, x + side)
            spoiled[part] = watermark(rng, clean[part]).picture
    return Asked(get_task("dewatermark").instruct(), spoiled, clean)


def answered(model: Any, questions: Sequence[Asked], title: str) -> list[Drawn]:
    """What the model draws for the questions, all of one task, asked as its settings say."""
    task = questions[0].instruction.task
    runner = Runner(model.job(task, SamplingOptions(compose="rules", batch_size=32)), model.backend)
    drawings: list[Drawn] = []
    for first in tqdm(range(0, len(questions), 64), desc=title):
        part = questions[first : first + 64]
        requests = [Request(a.instruction, a.source, first + n) for n, a in enumerate(part)]
        for number, edited, copy in runner.sketches(requests):
            assert copy is not None  # edits and watermarks are laid beside it
            drawings.append(Drawn(part[number], edited, copy))
    return drawings


def stacked(drawings: Sequence[Drawn]) -> tuple[Tensor, Tensor]:
    """(statistics [n, h, w, s]; source, differences from it and truth [n, h, w, 12])."""
    features, pictures = [], []
    for d in drawings:
        three = candidates(d.asked.source, d.edited, d.copy)
        plain, edited, added = three
        features.append(statistics(three))
        pictures.append(
            np.concatenate([plain, edited - plain, added - plain, as_float(d.asked.target)], axis=2)
        )
    return torch.from_numpy(np.stack(features)), torch.from_numpy(np.stack(pictures))


def train(task: str, features: Tensor, pictures: Tensor, steps: int, batch: int, rate: float) -> nn.Sequential:
    """The task's network, having learned from the samples: the mean of their PSNR is what it is to raise."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Compositor.network()
    mean, deviation = features.mean((0, 1, 2)), features.std((0, 1, 2))
    features = (features - mean) / deviation
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    generator = torch.Generator().manual_seed(0)
    bar = tqdm(range(steps), desc=f"{task}, training", unit="step")
    for step in bar:
        rows = torch.randint(0, len(features), (batch,), generator=generator)
        shares = network(features[rows]).softmax(dim=-1)[..., 1:]
        plain, edit, added, truth = pictures[rows].split(3, dim=-1)
        laid = plain + shares[..., :1] * edit + shares[..., 1:] * added
        loss = torch.log((laid - truth).square().mean((1, 2, 3)) + EASY).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 10 == 0:
            bar.set_postfix(loss=f"{loss.item():.3f}")
    first = network[0]
    assert isinstance(first, nn.Linear)
    with torch.no_grad():  # the network itself then sees the statistics as they are
        first.weight /= deviation
        first.bias.sub_(first.weight @ mean)
    return network.eval().requires_grad_(False)


def compared(drawings: Sequence[Drawn], compositor: Compositor, title: str) -> str:
    """A line: the mean PSNR of the sources, of what the rules lay and of what the compositor lays."""
    task = drawings[0].asked.instruction.task
    rows = []
    for d in drawings:
        images = d.asked.source, d.edited, d.copy
        laid = get_task(task).lay(*images, Composition()), lay(task, *images, compositor)
        rows.append([psnr(picture, d.asked.target) for picture in (d.asked.source, *laid)])
    source, rules, learned = np.mean(rows, axis=0)
    worst = min(row[2] - row[1] for row in rows)
    return (
        f"{title}: source {source:.2f} dB, rules {rules:.2f} dB, learned {learned:.2f} dB (n {len(rows)}; at worst "
        f"{worst:+.2f} dB)"
    )


def main() -> None:
    """Ask, train, compare, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, default=SHIPPED, help="the file to write (.safetensors)")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--tasks", nargs="+", choices=LEARNED, default=list(LEARNED))
    parser.add_argument("--samples", type=int, default=700, help="scenes a task to ask about")
    parser.add_argument("--pieces", type=int, default=450, help="pieces of photographs to ask about")
    parser.add_argument("--validate", type=int, default=100, help="validation scenes a task to compare on")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=5e-3)
    options = parser.parse_args()
    model = InstructDiffusion.from_pretrained(options.model)
    side = model.components.resolution
    compositor = Compositor() if not options.output.is_file() else load_compositor(options.output)
    for task in options.tasks:
        questions = [scene(task, FIRST_SEED + n, side) for n in range(options.samples)]
        if task == "dewatermark":
            questions += [piece(FIRST_SEED + n, side) for n in range(options.pieces)]
        tensors = stacked(answered(model, questions, task))
        compositor[task] = train(task, *tensors, options.steps, options.batch, options.rate)
        questions = [scene(task, n, side, "val") for n in range(options.validate)]
        print(compared(answered(model, questions, f"{task}, validation"), compositor, f"{task}, scenes"))
        if task == "dewatermark":
            for split in ("train", "val"):
                questions = [whole(photo, n, side) for n, photo in enumerate(photographs(split))]
                drawings = answered(model, questions, f"{task}, photographs")
                print(compared(drawings, compositor, f"{task}, photographs ({split})"))
    weights = {name: weight.contiguous() for name, weight in compositor.state_dict().items()}
    write_files({options.output: save(weights, metadata={"format": "pt", "title": "compositor of edits"})})
    print(f"{options.output}: {options.output.stat().st_size >> 10} KiB")


if __name__ == "__main__":
    main()
