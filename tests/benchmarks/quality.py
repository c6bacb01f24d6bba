"""Quality beside the timings: every way of sampling, measured on held-out scenes with the package's own measures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

from instructdiffusion.evaluation.evaluator import asker
from instructdiffusion.evaluation.measures import figures, measure
from instructdiffusion.evaluation.scene_benchmark import MAIN, scene_cases

from .contenders import Contender

FIGURES = {"segment": "cIoU", "denoise": "PSNR"}
BATCH = 32


def quality(
    model: Any,
    contenders: Sequence[Contender],
    rows: Sequence[dict[str, Any]],
    count: int,
    say: Callable[[str], None] = lambda text: None,
    seconds: float = math.inf,
) -> None:
    """Add row["quality"] = {"cIoU", "PSNR"} to the rows of contenders that say how their answers are given.

    A row that gives another row's answer has that one's quality, and is not measured again. The rows without many
    evaluations come first, then the first row; those that are not begun within `seconds` are left without.
    """
    began = perf_counter()
    by_name = {row["name"]: row for row in rows}
    known: dict[str, dict[str, float]] = {}
    for contender in sorted(contenders, key=lambda c: (c.steps > 20, c is not contenders[0], c.steps)):
        if contender.options:
            key = repr((sorted(contender.options.items()), id(contender.model)))
            if key not in known:
                if perf_counter() - began > seconds:
                    say(f"no time for the quality of {contender.name}")
                    continue
                said = perf_counter()
                known[key] = measured(contender.model or model, contender.options, count)
                took = perf_counter() - said
                say(f"quality of {contender.name} on {count} scenes a task: {took:.1f} s")
            by_name[contender.name]["quality"] = known[key]


def measured(model: Any, options: dict[str, Any], count: int) -> dict[str, float]:
    """cIoU of segment and PSNR of denoise over `count` test scenes."""
    found = {}
    for task, metric in FIGURES.items():
        side = model.components.resolution
        cases = [c for c in scene_cases(task, count=count, size=side) if c.subset == MAIN]
        ask, made = asker(model, options, BATCH), []
        for first in range(0, len(cases), BATCH):
            batch = cases[first : first + BATCH]
            examples = [case.make() for case in batch]
            answers = ask(examples, [case.seed for case in batch])
            made += [measure(e, a.result) for e, a in zip(examples, answers, strict=True)]
        found[metric] = next(f.value for f in figures(task, made) if f.metric == metric)
    return found
