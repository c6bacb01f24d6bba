"""What restoration does to photographs, pages and scenes, spoiled in many ways and not at all.

    python -m tests.benchmarks.restoration --photos FOLDER [--out table.json] [--before earlier.json]

A line a task and kind, in dB of mean PSNR against the clean picture: what was given, the network's own picture, what
comes back. `--before` takes what an earlier `--out` wrote, of another commit say, into a column of its own. Photographs
are drawn from FOLDER in a fixed order; `--skip` leaves the first ones, by which rules were chosen, out.
"""

from __future__ import annotations

import argparse
import io
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from instructdiffusion.compositing.rules import to_uint8
from instructdiffusion.datasets.synthetic.degradations import convolve, watermark
from instructdiffusion.datasets.synthetic.examples import make_example
from instructdiffusion.imaging.psnr import psnr
from instructdiffusion.imaging.resize import resize_picture
from instructdiffusion.inference.job import Job
from instructdiffusion.inference.options import SamplingOptions
from instructdiffusion.inference.request import Request
from instructdiffusion.inference.runner import Runner
from instructdiffusion.pipeline import InstructDiffusion
from instructdiffusion.tasks import get_task
from instructdiffusion.utils.files import json_bytes, write_files

TASKS = ("denoise", "deblur", "dewatermark")
PAGE = (
    "It was a bright day and the harbour lay still. A boat with a red sail came round the mole, and two men "
    "on the quay laid down their nets to watch it. Nobody had been expected before the evening tide, so they "
    "waited, and said nothing, until the sail came down."
)


@dataclass(frozen=True)
class Case:
    """A picture to restore and what it is to become, uint8 [h, w, 3]; kind: a line of the table."""

    task: str
    kind: str
    source: np.ndarray
    target: np.ndarray


@dataclass(frozen=True)
class Drawing:
    """What the network drew for a case and the autoencoder's copy of its source, float32 [h, w, 3], or None."""

    edited: np.ndarray
    copy: np.ndarray | None


def load_photographs(folder: Path, count: int, skip: int, side: int) -> list[np.ndarray]:
    """Squares [side, side, 3] of `count` photographs, their short side shrunk to `side`, in a fixed shuffled order."""
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    random.Random(0).shuffle(paths)
    pictures: list[np.ndarray] = []
    for path in paths[skip:]:
        if len(pictures) == count:
            break
        picture = Image.open(path).convert("RGB")
        if min(picture.size) < side:
            continue
        scale = side / min(picture.size)
        size = [max(side, round(length * scale)) for length in picture.size]
        picture = picture.resize(size, Image.Resampling.LANCZOS)
        left, top = (size[0] - side) // 2, (size[1] - side) // 2
        pictures.append(np.asarray(picture.crop((left, top, left + side, top + side))))
    if len(pictures) < count:
        raise ValueError(f"{folder} has {len(pictures)} photographs of {side} px after {skip}, expected {count}")
    return pictures


def enlarge(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Float values [h, w, c] enlarged to `size` (height, width), bicubic."""
    planes = [Image.fromarray(np.ascontiguousarray(p, np.float32)) for p in np.moveaxis(picture, 2, 0)]
    return np.stack([np.asarray(p.resize(size[::-1], Image.Resampling.BICUBIC)) for p in planes], axis=2)


def noisy_cases(clean: np.ndarray, seed: int) -> Iterator[Case]:
    """A picture with noise of every kind, and without."""
    rng, light, (height, width) = np.random.default_rng(seed), clean.astype(np.float32), clean.shape[:2]

    def case(kind: str, source: np.ndarray, target: np.ndarray = clean) -> Case:
        return Case("denoise", kind, to_uint8(source / np.float32(255)), target)

    yield case("clean", light)
    for sigma in (15, 25, 50):
        yield case(f"white, sigma {sigma}", light + rng.normal(0, sigma, light.shape))
    yield case("Poisson, 30 at white", rng.poisson(light * (30 / 255)) * (255 / 30))
    for quality in (10, 20, 30):
        file = io.BytesIO()
        Image.fromarray(clean).save(file, "JPEG", quality=quality)
        yield case(f"JPEG, quality {quality}", np.asarray(Image.open(file), np.float32))
    half = (height // 2, width // 2)
    yield case("coarse, sigma 25", light + enlarge(rng.normal(0, 25, (*half, 3)), (height, width)))
    hit = rng.random((height, width, 1))
    yield case("salt and pepper, 5 %", np.where(hit < 0.025, 0, np.where(hit > 0.975, 255, light)))
    small = resize_picture(clean, half)
    target = to_uint8(enlarge(small, (height, width)) / 255)
    spoiled = to_uint8((small + rng.normal(0, 25, small.shape)) / 255)
    yield case("upscaled, sigma 25", enlarge(spoiled, (height, width)), target)


def soften(picture: np.ndarray, sigma: float) -> np.ndarray:
    """A picture with a Gaussian blur, uint8."""
    return to_uint8(ndimage.gaussian_filter(picture.astype(np.float32), (sigma, sigma, 0)) / 255)


def blurred_cases(clean: np.ndarray, seed: int) -> Iterator[Case]:
    """A picture blurred more and less, not at all, and one with a background that is meant to be soft."""
    yield Case("deblur", "sharp", clean, clean)
    for sigma in (1, 2, 3):
        yield Case("deblur", f"blur, sigma {sigma}", soften(clean, sigma), clean)
    kernel = np.zeros((11, 11), np.float32)
    kernel[5, 1:10] = 1 / 9
    spun = ndimage.rotate(kernel, 45 * (seed % 4), reshape=False, order=1).clip(0)
    moved = convolve(clean, (spun / spun.sum()).astype(np.float32))
    yield Case("deblur", "motion, 9 px", to_uint8(moved / 255), clean)
    rows, columns = np.mgrid[-1 : 1 : clean.shape[0] * 1j, -1 : 1 : clean.shape[1] * 1j]
    subject = ndimage.gaussian_filter((np.hypot(rows, columns) < 0.5).astype(np.float32), 2)[..., None]
    bokeh = to_uint8((subject * clean + (1 - subject) * soften(clean, 4).astype(np.float32)) / 255)
    yield Case("deblur", "sharp, soft background", bokeh, bokeh)


def page(seed: int, side: int) -> np.ndarray:
    """A page of dark text on light paper."""
    rng = random.Random(seed)
    paper, ink = rng.randint(225, 255), rng.randint(0, 70)
    picture = Image.new("RGB", (side, side), (paper, paper, paper - rng.randint(0, 12)))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(rng.randint(9, 22))
    words, lines, edge = PAGE.split() * 12, [""], side - 20
    for word in words[rng.randint(0, 30) :]:
        longer = f"{lines[-1]} {word}".strip()
        if draw.textlength(longer, font=font) > edge:
            lines.append(word)
        else:
            lines[-1] = longer
    draw.multiline_text((10, 8), "\n".join(lines), font=font, fill=(ink, ink, ink), spacing=rng.randint(2, 8))
    return np.asarray(picture)


def marked_cases(clean: np.ndarray, seed: int) -> Iterator[Case]:
    """A picture with the package's own watermarks, large and small, and without; and a page of text."""
    yield Case("dewatermark", "photograph, no mark", clean, clean)
    yield Case("dewatermark", "photograph, one mark", watermark(random.Random(seed), clean).picture, clean)
    tiled, rng = clean.copy(), random.Random(seed)
    for y in range(0, clean.shape[0] - 63, 64):
        for x in range(y % 128, clean.shape[1] - 63, 128):
            tiled[y : y + 64, x : x + 64] = watermark(rng, clean[y : y + 64, x : x + 64]).picture
    yield Case("dewatermark", "photograph, marks of 64 px", tiled, clean)
    text = page(seed, clean.shape[0])
    yield Case("dewatermark", "page of text, no mark", text, text)


def scene_cases(task: str, count: int, split: str) -> Iterator[Case]:
    """Scenes of 64 px as the model has learned from, and for watermarks the clean ones too."""
    for seed in range(count):
        example = make_example(task, seed, split=split)
        yield Case(task, "scene", example.source, example.target)
        yield Case(task, "scene, clean", example.target, example.target)


def make_cases(task: str, photographs: Sequence[np.ndarray], scenes: int, split: str) -> list[Case]:
    """All cases of a task."""
    make = {"denoise": noisy_cases, "deblur": blurred_cases, "dewatermark": marked_cases}[task]
    cases = [case for seed, clean in enumerate(photographs) for case in make(clean, seed)]
    return cases + list(scene_cases(task, scenes, split))


def make_job(model: Any, task: str) -> Job:
    """The job that `InstructDiffusion.run` would have for the task."""
    return model.job(task, SamplingOptions(batch_size=32))


def draw(model: Any, cases: Sequence[Case]) -> list[Drawing]:
    """What the network draws for cases of one task."""
    job, drawings = make_job(model, cases[0].task), {}
    words = get_task(cases[0].task).instruct()
    for first in range(0, len(cases), 8):
        requests = [Request(words, case.source, first + n) for n, case in enumerate(cases[first : first + 8])]
        for number, edited, copy in Runner(job, model.backend).sketches(requests):
            drawings[first + number] = Drawing(edited, copy)
        print(f"\r{cases[0].task} {len(drawings)} of {len(cases)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return [drawings[number] for number in range(len(cases))]


def measure(job: Job, cases: Sequence[Case], drawings: Sequence[Drawing]) -> dict[str, dict[str, float]]:
    """Kind -> {"n", and mean dB of "source", "network" (its own picture) and "answer"}."""
    rows: dict[str, list[list[float]]] = {}
    for case, drawing in zip(cases, drawings, strict=True):
        own = resize_picture(to_uint8(drawing.edited), case.source.shape[:2])
        answer = job.compose(case.source, drawing.edited, drawing.copy)
        rows.setdefault(case.kind, []).append([psnr(p, case.target) for p in (case.source, own, answer)])
    names = ("source", "network", "answer")
    return {
        kind: {"n": len(values), **dict(zip(names, np.mean(values, axis=0).tolist(), strict=True))}
        for kind, values in rows.items()
    }


def table(measured: dict[str, dict[str, dict[str, float]]], before: dict[str, Any] | None) -> str:
    """The figures as Markdown; 99 dB, two equal pictures, as "same"."""

    def cell(value: float) -> str:
        return "same" if value == 99 else f"{value:.2f}"

    lines = ["| task | picture | n | source | network | " + ("before | " if before else "") + "answer |"]
    lines.append("| --- | --- |" + " ---: |" * (5 if before else 4))
    for task, kinds in measured.items():
        for kind, row in kinds.items():
            earlier = [cell(before[task][kind]["answer"])] if before else []
            cells = [cell(row["source"]), cell(row["network"]), *earlier, cell(row["answer"])]
            lines.append(f"| {task} | {kind} | {row['n']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--count", type=int, default=24, help="photographs")
    parser.add_argument("--skip", type=int, default=0, help="photographs to leave out first")
    parser.add_argument("--side", type=int, default=160, help="pixels a side of a photograph")
    parser.add_argument("--scenes", type=int, default=100, help="scenes a task")
    parser.add_argument("--split", choices=("val", "test"), default="val", help="of the scenes")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    parser.add_argument("--before", type=Path, help="an earlier --out, to stand beside these figures")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Spoil, ask, measure, print."""
    import json

    options = parse(arguments)
    before = json.loads(options.before.read_text()) if options.before else None
    photographs = load_photographs(options.photos, options.count, options.skip, options.side)
    model = InstructDiffusion.from_pretrained(options.model, device="cpu")
    measured = {}
    for task in options.tasks:
        cases = make_cases(task, photographs, options.scenes, options.split)
        measured[task] = measure(make_job(model, task), cases, draw(model, cases))
    print(table(measured, before))
    if options.out:
        write_files({options.out: json_bytes(measured)})


if __name__ == "__main__":
    main()
