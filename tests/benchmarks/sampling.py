"""The sampler against the authors' loop and diffusers' pipeline: python -m tests.benchmarks.sampling [--out FOLDER]

Same weights, same noise, one run, alternating order, several repeats. Times are of one picture from uint8 to
uint8, text and autoencoder included. Quality stands beside every row whose answer differs.
"""

from __future__ import annotations

import argparse
import math
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from instructdiffusion.inference.components_backend import ComponentsBackend
from instructdiffusion.utils.files import check_writable, json_bytes, png_bytes, write_files

from .chart import draw_rows
from .contenders import Contender, Question
from .counting import Shares, Step, count_step, fused_step, idle, launched
from .ladder import asked_in_words, make_contenders, short_of
from .machine import load, machine
from .models import large_model, question_picture
from .quality import quality
from .report import page, table, targets
from .rounds import differences, timed, watched
from .together import TOGETHER, answer_together

SAME = 0.01  # RMS difference, in deviations of the latents, up to which two answers are the same
FIRST_SHARE = 0.25  # of --minutes, for the rounds of the trained model; what is left goes to the large one
CUDA_SHARE = (
    0.65  # the same on a GPU, for all of the trained model: a large UNet is as quick there as a small one
)
ROUNDS_SHARE = 0.5  # of a limit on a GPU, for counts and rounds; quality takes what is left of the rest


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print the tables, write the files; 1 where the large model was asked for and there is no memory for it."""
    arguments = parse(argv)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.out is not None:
        check_writable(arguments.out)
    began = perf_counter()
    limit = math.inf if arguments.minutes is None else 60 * arguments.minutes
    common: dict[str, Any] = {
        "scales": tuple(arguments.guidance),
        "device": arguments.device,
        "say": lambda text: print(text, file=sys.stderr),
    }
    first_share = CUDA_SHARE if arguments.device.startswith("cuda") else FIRST_SHARE
    results = [
        run(
            model=arguments.model,
            steps=tuple(arguments.steps),
            repeats=arguments.repeats,
            scenes=arguments.scenes,
            compiled=arguments.compile,
            seconds=limit * (first_share if arguments.large else 1),
            **common,
        )
    ]
    status = 0
    if arguments.large:
        left = limit - (perf_counter() - began)
        steps, rounds = (arguments.large_steps,), min(3, arguments.repeats)
        try:
            results.append(run(large=True, steps=steps, repeats=rounds, scenes=0, seconds=left, **common))
        except (MemoryError, RuntimeError, ValueError) as error:  # what is measured is not thrown away
            if not isinstance(error, MemoryError):
                traceback.print_exc()
            print(f"the large model is left out: {error}", file=sys.stderr)
            status = 1
    for found in results:
        print(table(found), end="\n\n")
    if arguments.out is not None:
        command = shlex.join(
            ["python", "-m", "tests.benchmarks.sampling", *(sys.argv[1:] if argv is None else argv)]
        )
        files = {
            "benchmark.json": json_bytes({"command": command, "runs": results}),
            "benchmark.md": page(results, command).encode(),
            "benchmark.png": png_bytes(draw_rows(results)),
        }
        written = write_files({arguments.out / name: data for name, data in files.items()})
        print(f"written: {', '.join(map(str, written))}")
    return status


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.sampling", description=__doc__)
    parser.add_argument("--model", default="tiny", help="tiny, a folder or a hub id; default: tiny")
    parser.add_argument(
        "--large",
        action="store_true",
        help="then also a random UNet of SD 1.5's size: 6 GiB, minutes on a CPU; in half precision on a GPU",
    )
    parser.add_argument(
        "--steps",
        type=int,
        nargs="+",
        metavar="N",
        default=[100, 50],
        help="of the full loops; default: 100 50",
    )
    parser.add_argument(
        "--large-steps", type=int, default=2, metavar="N", help="of the large one's; default: 2"
    )
    parser.add_argument("--repeats", type=int, default=5, help="default: 5; the large one at most 3")
    parser.add_argument(
        "--minutes",
        type=float,
        help="no round begins that would end later; at least one runs. On a GPU quality is left out that begins "
        "later. Default: no limit",
    )
    parser.add_argument(
        "--scenes", type=int, default=40, help="for quality, 0 leaves it out; default: 40 a task"
    )
    parser.add_argument(
        "--guidance", type=float, nargs=2, metavar=("TEXT", "IMAGE"), default=(1.5, 0.5),
        help="the authors' scales, IMAGE .5 for diffusers' sake; default: 1.5 .5",
    )  # fmt: skip
    parser.add_argument(
        "--compile",
        action="store_true",
        help="compile UNet and autoencoder, for a rung and those below it: minutes, a C++ compiler",
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="default: torch's")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="for benchmark.md, benchmark.json, benchmark.png"
    )
    arguments = parser.parse_args(argv)
    if min(arguments.repeats, arguments.large_steps, *arguments.steps) < 1 or arguments.scenes < 0:
        parser.error("expected --repeats, --steps and --large-steps of at least 1 and --scenes of at least 0")
    if arguments.minutes is not None and not arguments.minutes > 0:
        parser.error("expected --minutes above 0")
    return arguments


def run(
    *,
    model: str | Path = "tiny",
    large: bool = False,
    steps: tuple[int, ...] = (100, 50),
    repeats: int = 5,
    scenes: int = 40,
    scales: tuple[float, float] = (1.5, 0.5),
    device: str = "cpu",
    compiled: bool = False,
    seconds: float = math.inf,
    say: Callable[[str], None] = lambda text: None,
    components: Any = None,
) -> dict[str, Any]:
    """Everything measured, as plain data. components: a model in hand, in place of `model` and `large`.

    seconds: no round begins that would end after them; on a CUDA device, where nothing takes long, no quality either.
    There a large model is in half precision.
    """
    from instructdiffusion import InstructDiffusion

    began = perf_counter()
    on_cuda = device.startswith("cuda")
    if components is None:
        dtype = torch.float16 if on_cuda else torch.float32
        components = large_model(device, dtype=dtype) if large else None
    asked = (
        InstructDiffusion(components, None)
        if components is not None
        else InstructDiffusion.from_pretrained(model, device=device)
    )
    backend, before = asked.backend, load()
    contenders = make_contenders(backend, scales, steps, ladder=not large, compiled=compiled)
    if not large:
        fast = next((c.parts for c in contenders if c.name.endswith("compiled")), asked.components)
        small = next(c for c in contenders if c.model is not None)
        contenders += [asked_in_words(fast, again=again) for again in (False, True)]
        if on_cuda:
            contenders.append(asked_in_words(asked.components, True, ", CUDA graph"))
        how = f"{', CUDA graph' if on_cuda else ''}, {short_of(asked.components)}"
        contenders.append(asked_in_words(small.parts, on_cuda, how, small.model))
        contenders += answer_together(backend, scales, contenders[0], small.model)
    question = ask(backend, device, 1 if large else TOGETHER)
    sync = torch.cuda.synchronize if on_cuda else lambda: None
    say(f"{len(contenders)} contenders; first without clocks")
    if on_cuda:
        contenders = [c for c in contenders if works(c, question, say, needed=c is contenders[0])]
    else:
        for contender in contenders[:1] if large else contenders:  # a large one needs no more to be warm
            contender.draw(question, 1 if large else contender.steps)
    # Before the rounds: what is counted does not depend on the time that is left.
    steps_of = {c.name: counted(c, question, backend, device) for c in contenders}
    # Clocks around the networks cost nothing where the host runs them; on a device they take runs of their own.
    inside = backend if device == "cpu" else None
    left = (ROUNDS_SHARE if on_cuda else 1) * seconds - (perf_counter() - began)
    rounds = timed(contenders, question, repeats, sync, say, left, inside)
    same = differences(contenders, rounds.drawn)
    rows = []
    for contender in contenders:
        shares = rounds.shares[contender.name] or [
            watched(contender, question, backend, sync) for _ in range(1 if on_cuda else 3)
        ]
        step = steps_of[contender.name]
        rows.append(row(contender, rounds.seconds[contender.name], same[contender.name], shares, step))
    say(f"counts, rounds and shares took {perf_counter() - began:.0f} s")
    if scenes:
        left = seconds - (perf_counter() - began) if on_cuda else math.inf
        quality(asked, contenders, rows, scenes, say, left)
    fused, multistep = fused_step(), fused_step("dpmpp_2m")
    results = {
        "machine": machine(device),
        "load": [before, load()],
        "model": ("SD 1.5's size, random weights" + (", float16" if on_cuda else ""))
        if large
        else str(model),
        "picture": list(question.picture.shape[:2]),
        "latents": list(question.noise.shape[1:]),
        "guidance": list(scales),
        "repeats": len(next(iter(rounds.seconds.values()))),
        "scenes": scenes,
        "rows": rows,
        "fused_step": None if fused is None else vars(fused),
        "fused_multistep": None if multistep is None else vars(multistep),
    }
    results["targets"] = targets(results)
    return results


def works(contender: Contender, question: Question, say: Callable[[str], None], needed: bool) -> bool:
    """Draw once without clocks: whether it can be; one that is needed raises where it cannot."""
    try:
        contender.draw(question, contender.steps)
    except (RuntimeError, ValueError, FloatingPointError) as error:
        if needed:
            raise
        traceback.print_exc()
        say(f"left out: {contender.name}: {type(error).__name__}: {error}")
        return False
    return True


def ask(backend: ComponentsBackend, device: str, count: int = 1) -> Question:
    """The question all contenders are asked, with noise drawn from one seed; beside it more, `count` in all."""
    size = backend.components.resolution
    shape = (1, *backend.latent_shape((size, size)))

    def question(number: int, **more: Any) -> Question:
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(number))
        return Question(*question_picture(size, number), noise.to(device), 7 + number, **more)

    return question(0, beside=tuple(question(number) for number in range(1, count)))


def counted(contender: Contender, question: Question, backend: ComponentsBackend, device: str) -> Step | None:
    """What a step does outside the UNet; None for a contender of a single step, or of many pictures."""
    unet: Any = (contender.parts or backend.components).unet
    if contender.steps == 1 or contender.pictures > 1:
        return None
    draw = lambda steps: contender.draw(question, steps)  # noqa: E731
    with nullcontext() if contender.graphed else idle(unet):
        step = count_step(draw, unet, device, contender.graphed)
        if not device.startswith("cuda"):
            return step
        launches, waits = launched(draw)
        return replace(step, launches=launches, waits=waits)


def row(
    contender: Contender, seconds: list[float], same: float | None, shares: list[Shares], step: Step | None
) -> dict[str, Any]:
    """A contender's line as plain data."""
    return {
        "name": contender.name,
        "group": contender.group,
        "steps": contender.steps,
        "lossy": contender.lossy,
        "evaluations": shares[0].evaluations / contender.pictures
        if contender.evaluations is None
        else contender.evaluations,
        "pictures": contender.pictures,
        "compiled": contender.compiled,
        "graph": contender.graphed,
        **spread(seconds),
        "like": contender.like,
        "scales": None if contender.scales is None else list(contender.scales),
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
