"""Curve report: the points as JSON and back, as tables to read, and as a chart, and what the defaults would be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...tasks import TASKS
from ...utils.files import json_bytes, png_bytes, write_files
from ..measures import Figure
from .cell import Cell
from .chart import draw_curve
from .sweep import AT_MOST, AT_MOST_PERCEPTION, NEAR_DB, NEAR_SHARE, Choice, Curve, Point

HEADS = ("task", "metric", "best", "at", "evaluations", "default", "at", "evaluations")


def write_curve(curve: Curve, folder: str | Path, command: str | None = None) -> list[Path]:
    """Write curve.json, curve.md and curve.png, all or none; command: what was typed, to be told with them."""
    folder = Path(folder)
    return write_files(
        {
            folder / "curve.json": json_bytes({"command": command, **curve_data(curve)}),
            folder / "curve.md": markdown(curve, command).encode(),
            folder / "curve.png": png_bytes(draw_curve(curve)),
        }
    )


def curve_data(curve: Curve) -> dict[str, Any]:
    """Plain data: how it was measured, every point, what is missing, the choices and the defaults."""
    return {
        "settings": dict(curve.settings),
        "versions": dict(curve.versions),
        "near": {"share": NEAR_SHARE, "dB": NEAR_DB},
        "at_most": {"perception": AT_MOST_PERCEPTION, "others": AT_MOST},
        "points": [_point_data(p) for p in curve.points],
        "missing": dict(curve.missing),
        "choices": {
            task: {"complete": c.complete, "best": _point_data(c.best), "chosen": _point_data(c.chosen)}
            for task, c in curve.choices.items()
        },
        **curve.defaults(),
    }


def _point_data(point: Point) -> dict[str, Any]:
    cell, figure = point.cell, point.figure
    return {
        "task": cell.task,
        "steps": cell.steps,
        "solver": cell.solver,
        "branches": cell.branches,
        "guidance": None if cell.guidance is None else list(cell.guidance),
        "evaluations": cell.evaluations,
        "metric": None if figure is None else figure.metric,
        "value": None if figure is None else figure.value,
        "unit": None if figure is None else figure.unit,
        "falling": None if figure is None else figure.falling,
        "n": None if figure is None else figure.n,
        "seconds": point.seconds,
        "measured_as": cell.same,
        "failed": point.failed,
    }


def read_curve(path: str | Path) -> Curve:
    """The curve that `write_curve` put into a curve.json, figures without their targets: to make its choices anew.

    OSError where there is none, ValueError where the file is not one.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
        points = tuple(_point(values) for values in data["points"])
        return Curve(data["settings"], data["versions"], points, data["missing"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"expected a curve.json that `instructdiffusion curve` wrote, got {path} ({error!r}): measure it again"
        ) from error


def _point(values: dict[str, Any]) -> Point:
    scales = values["guidance"]
    cell = Cell(
        *(values["task"], values["steps"], values["solver"], values["branches"]),
        *(None if scales is None else (scales[0], scales[1]), values["evaluations"], values["measured_as"]),
    )
    figure = None
    if values["value"] is not None:
        falling = bool(values.get("falling"))
        figure = Figure(values["metric"], values["value"], values["n"], unit=values["unit"], falling=falling)
    return Point(cell, figure, values["seconds"], values["failed"])


def rule() -> str:
    """How a default is chosen, in words."""
    perceive = ", ".join(name for name, task in TASKS.items() if task.perception)
    return (
        f"A task's default is the cheapest cell that is as good as the best of those with at most {AT_MOST} "
        f"evaluations, {AT_MOST_PERCEPTION} for the tasks that perceive ({perceive}). As good: within {NEAR_SHARE:.0%} "
        f"of it, or {NEAR_DB:g} dB."
    )


def summary(curve: Curve) -> str:
    """A line a task for a terminal, what is missing, and the fragment of instructdiffusion.json."""
    lines = _lines(curve)
    parts = [_aligned([HEADS, *lines]) if lines else "nothing is measured yet"]
    if total := sum(curve.missing.values()):
        parts.append(f"{total} of {curve.settings['cells']} cells are not measured yet: run again to go on")
    if lines:
        parts.append("instructdiffusion.json:\n" + json.dumps(curve.defaults(), indent=1))
    return "\n\n".join(parts)


def _lines(curve: Curve) -> list[tuple[str, ...]]:
    return [_line(task, choice) for task, choice in curve.choices.items()]


def _line(task: str, choice: Choice) -> tuple[str, ...]:
    best, chosen = choice.best, choice.chosen
    assert best.figure is not None
    return (
        task if choice.complete else f"{task} (so far)",
        best.figure.metric,
        *(_value(best), _way(best), str(best.cell.evaluations)),
        *(_value(chosen), _way(chosen), str(chosen.cell.evaluations)),
    )


def _way(point: Point) -> str:
    steps = point.cell.steps
    return f"{steps} step{'s' * (steps != 1)}, {point.cell.way}"


def _value(point: Point | None) -> str:
    if point is None:
        return "-"
    if point.figure is None:
        return "failed"
    return f"{point.figure.value:.2f} dB" if point.figure.unit == "dB" else f"{point.figure.value:.3f}"


def markdown(curve: Curve, command: str | None = None) -> str:
    """A page: the chart, the choices, a table a task with a line a way and a column a number of steps, the defaults."""
    s = curve.settings
    parts = [
        "# Quality against UNet evaluations",
        *([] if command is None else [f"Made by\n\n    {command}"]),
        "![a panel a task: quality against UNet evaluations, a line a solver and number of branches](curve.png)",
        f"Measured on {s['count']} scenes a task ({s['split']}, seeds {s['seeds'][0]} to {s['seeds'][1]}), "
        f"schedule {s['schedule']}. {rule()} The defaults are bold. Evaluations of an answer are steps times "
        "branches, about twice that for heun and dpmpp_sde; the numbers after the branches are the guidance scales "
        "(text, image).",
        _markdown(HEADS, _lines(curve), 2),
    ]
    if total := sum(curve.missing.values()):
        parts.append(
            f"{total} of {s['cells']} cells are not measured yet (a dash): the same command goes on with them."
        )
    for task in dict.fromkeys(p.cell.task for p in curve.points):
        parts.append(_task_table(curve, task))
    if curve.choices:
        defaults = json.dumps(curve.defaults(), indent=1)
        parts.append(f"## The defaults that follow: `instructdiffusion.json`\n\n```json\n{defaults}\n```")
    about = ", ".join(f"{name} {version}" for name, version in curve.versions.items() if version != "missing")
    parts.append(f"Weights {s['weights']}; {about}.")
    return "\n\n".join(parts) + "\n"


def _task_table(curve: Curve, task: str) -> str:
    points = [p for p in curve.points if p.cell.task == task]
    steps = sorted({p.cell.steps for p in points})
    ways: dict[str, dict[int, Point]] = {}
    for p in points:
        ways.setdefault(p.cell.way, {})[p.cell.steps] = p
    choice = curve.choices.get(task)
    chosen = choice.chosen.cell if choice else None

    def cell(point: Point | None) -> str:
        text = _value(point).removesuffix(" dB")
        return f"**{text}**" if point is not None and point.cell == chosen else text

    def order(way: str) -> tuple[int, str]:
        return next(iter(ways[way].values())).cell.branches, way

    lines: Sequence[tuple[str, ...]] = [
        (way, *(cell(ways[way].get(n)) for n in steps)) for way in sorted(ways, key=order)
    ]
    metric = choice.best.figure if choice else None
    head = f"### {task}" if metric is None else f"### {task}: {metric.metric}"
    unit = ", dB" if metric is not None and metric.unit == "dB" else ""
    return f"{head}{unit}\n\n" + _markdown(("steps", *map(str, steps)), lines, 1)


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    """Columns for a terminal, a rule below the first line."""
    widths = [max(len(line[c]) for line in lines) for c in range(len(lines[0]))]
    ready = ["  ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)) for line in lines]
    ready.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in ready)


def _markdown(heads: Sequence[str], lines: Sequence[Sequence[str]], left: int) -> str:
    """A table; the first `left` columns hold words, the others are set to the right."""
    rule = ["---" if c < left else "---:" for c in range(len(heads))]
    return "\n".join("| " + " | ".join(line) + " |" for line in (heads, rule, *lines))
