"""Quality beside the timings: every way of sampling, measured on held-out scenes with the package's own measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from instructdiffusion.evaluation.measures import figures, measure
from instructdiffusion.evaluation.runner import asker
from instructdiffusion.evaluation.scenes import MAIN, scene_cases

from .contenders import Contender

FIGURES = {"segment": "cIoU", "denoise": "PSNR"}
BATCH = 32


def quality(
    model: Any,
    contenders: Sequence[Contender],
    rows: Sequence[dict[str, Any]],
    count: int,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Add row["quality"] = {"cIoU", "PSNR"} to the rows of contenders that say how their answers are given.

    A row that gives another row's answer has that one's quality, and is not measured again.
    """
    by_name = {row["name"]: row for row in rows}
    known: dict[str, dict[str, float]] = {}
    for contender in contenders:
        if contender.options:
            key = repr(sorted(contender.options.items()))
            if key not in known:
                say(f"quality of {contender.name} on {count} scenes a task")
                known[key] = measured(model, contender.options, count)
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
