"""The sampler against the authors' loop and diffusers' pipeline: python -m tests.benchmarks.sampling [--out FILE.json]

Same weights, same noise, one run, alternating order, several repeats. Times are of one picture from uint8 to
uint8, text and autoencoder included. Quality stands beside every row whose answer differs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from instructdiffusion.editor import Editor
from instructdiffusion.files import write_json

from .contenders import Contender, Question, asked_in_words, make_contenders
from .counting import Shares, Step, count_step, fused_step, watch
from .machine import load, machine
from .models import large_model, question_picture
from .quality import quality
from .report import table, targets

SAME = 0.01  # RMS difference, in deviations of the latents, up to which two answers are the same


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print the table, write the JSON."""
    arguments = parse(argv)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    results = run(
        model=arguments.model,
        large=arguments.large,
        steps=tuple(arguments.steps or ((2,) if arguments.large else (100, 50))),
        repeats=arguments.repeats,
        scenes=0 if arguments.large else arguments.scenes,
        scales=tuple(arguments.guidance),
        device=arguments.device,
        say=lambda text: print(text, file=sys.stderr),
    )
    print(table(results))
    if arguments.out is not None:
        print(f"written: {write_json(arguments.out, results)}")
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.sampling", description=__doc__)
    parser.add_argument("--model", default="tiny", help="tiny, a folder or a hub id; default: tiny")
    parser.add_argument(
        "--large", action="store_true", help="a random UNet of SD 1.5's size instead: 6 GiB, minutes on a CPU"
    )
    parser.add_argument(
        "--steps", type=int, nargs="+", metavar="N", help="of the full loops; default: 100 50 (--large: 2)"
    )
    parser.add_argument("--repeats", type=int, default=7, help="default: 7")
    parser.add_argument(
        "--scenes", type=int, default=100, help="for quality, 0 leaves it out; default: 100 a task"
    )
    parser.add_argument(
        "--guidance", type=float, nargs=2, metavar=("TEXT", "IMAGE"), default=(1.5, 0.5),
        help="the authors' scales, IMAGE .5 for diffusers' sake; default: 1.5 .5",
    )  # fmt: skip
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="default: torch's")
    parser.add_argument("--out", type=Path, metavar="FILE.json")
    arguments = parser.parse_args(argv)
    if arguments.repeats < 1 or arguments.scenes < 0 or min(arguments.steps or [1]) < 1:
        parser.error("expected --repeats and --steps of at least 1 and --scenes of at least 0")
    return arguments


def run(
    *,
    model: str | Path = "tiny",
    large: bool = False,
    steps: tuple[int, ...] = (100, 50),
    repeats: int = 7,
    scenes: int = 100,
    scales: tuple[float, float] = (1.5, 0.5),
    device: str = "cpu",
    say: Callable[[str], None] = lambda text: None,
    components: Any = None,
) -> dict[str, Any]:
    """Everything measured, as plain data. components: a model in hand, in place of `model` and `large`."""
    from instructdiffusion import InstructDiffusion

    if components is None:
        components = large_model(device) if large else None
    asked = (
        InstructDiffusion(components, None)
        if components is not None
        else InstructDiffusion.from_pretrained(model, device=device)
    )
    editor, before = asked.editor, load()
    contenders = make_contenders(editor, scales, steps, ladder=not large)
    if not large:
        contenders.append(asked_in_words(asked))
    question = ask(editor, device)
    sync = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    say(f"{len(contenders)} contenders; first without clocks, to compare what they draw")
    same = compare(contenders, question)
    seconds = timed(contenders, question, repeats, sync, say)
    rows = []
    for contender in contenders:
        say(f"watching {contender.name}")
        shares = [watched(contender, question, editor, sync) for _ in range(min(3, repeats))]
        step = counted(contender, question, editor, device)
        rows.append(row(contender, seconds[contender.name], same[contender.name], shares, step))
    if scenes:
        quality(asked, contenders, rows, scenes, say)
    fused = fused_step()
    results = {
        "machine": machine(device),
        "load": [before, load()],
        "model": "SD 1.5's size, random weights" if large else str(model),
        "picture": list(question.picture.shape[:2]),
        "latents": list(question.noise.shape[1:]),
        "guidance": list(scales),
        "repeats": repeats,
        "scenes": scenes,
        "rows": rows,
        "fused_step": None if fused is None else vars(fused),
    }
    results["targets"] = targets(results)
    return results


def ask(editor: Editor, device: str) -> Question:
    """The question all contenders are asked, with noise drawn from one seed."""
    size = editor.components.resolution
    picture, instruction = question_picture(size)
    shape = (1, *editor.latent_shape((size, size)))
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return Question(picture, instruction, noise.to(device))


def compare(contenders: Sequence[Contender], question: Question) -> dict[str, float | None]:
    """RMS difference of the latents from those of `like`, in the latter's deviations; None without one.

    Also warms everything up.
    """
    drawn = {c.name: c.draw(question, c.steps)[0].float() for c in contenders}
    out: dict[str, float | None] = {}
    for c in contenders:
        if c.like is None or c.like not in drawn:
            out[c.name] = None
            continue
        like = drawn[c.like]
        out[c.name] = float((drawn[c.name] - like).square().mean().sqrt() / like.std())
    return out


def timed(
    contenders: Sequence[Contender],
    question: Question,
    repeats: int,
    sync: Callable[[], None],
    say: Callable[[str], None],
) -> dict[str, list[float]]:
    """Seconds of every repeat; every other round goes through the contenders backwards."""
    seconds: dict[str, list[float]] = {c.name: [] for c in contenders}
    for number in range(repeats):
        say(f"round {number + 1} of {repeats}")
        for c in contenders if number % 2 == 0 else reversed(contenders):
            sync()
            start = perf_counter()
            c.draw(question, c.steps)
            sync()
            seconds[c.name].append(perf_counter() - start)
    return seconds


def watched(contender: Contender, question: Question, editor: Editor, sync: Callable[[], None]) -> Shares:
    """One run with clocks around the networks."""
    parts = editor.components
    modules = {
        "unet": [parts.unet],
        "vae": [parts.vae.encoder, parts.vae.decoder],
        "text": [parts.text_encoder],
    }
    return watch(lambda: contender.draw(question, contender.steps), modules, sync)


def counted(contender: Contender, question: Question, editor: Editor, device: str) -> Step | None:
    """What a step does outside the UNet; None for a contender of a single step."""
    if contender.steps == 1:
        return None
    return count_step(lambda steps: contender.draw(question, steps), editor.components.unet, device)


def row(
    contender: Contender, seconds: list[float], same: float | None, shares: list[Shares], step: Step | None
) -> dict[str, Any]:
    """A contender's line as plain data."""
    return {
        "name": contender.name,
        "group": contender.group,
        "steps": contender.steps,
        "lossy": contender.lossy,
        "evaluations": shares[0].evaluations,
        **spread(seconds),
        "like": contender.like,
        "difference": same,
        "same": None if same is None else same <= SAME,
        "outside_share": float(np.median([s.outside for s in shares])),
        "text_share": float(np.median([s.text for s in shares])),
        "unet_share": float(np.median([s.unet for s in shares])),
        "vae_share": float(np.median([s.vae for s in shares])),
        "step": None if step is None else vars(step),
    }


def spread(seconds: list[float]) -> dict[str, Any]:
    """Median and quartiles."""
    low, middle, high = np.quantile(seconds, [0.25, 0.5, 0.75])
    return {"median": float(middle), "quartiles": [float(low), float(high)], "seconds": seconds}


if __name__ == "__main__":
    raise SystemExit(main())
