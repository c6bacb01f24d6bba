"""Curve: a task's quality against the UNet evaluations of an answer, cell by cell, and the defaults that follow.

A cell is one way of asking (steps, solver, branches, guidance scales). Ways whose plans have the same rows are
measured once: with one step all solvers are the same, and DDIM is Euler. Every cell is a file of its own,
written whole, so that a stopped run goes on where it was; the most telling cells come first (`order`).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ...compositing.learned import compositor_hash
from ...datasets.records import Example
from ...sampling import SOLVERS, Plan, make_plan
from ...tasks import TASKS, get_task
from ...utils.files import check_writable, write_json
from ...versions import answers_version
from ..evaluator import asker
from ..measures import Figure, Row, figures, measure
from ..reports.report import versions, weights_hash
from ..scene_benchmark import MAIN, scene_cases
from .cell import Cell
from .order import LATE, Pace, in_order

STEPS = (1, 2, 4, 8, 10, 15, 20, 50, 100)
BRANCHES = (1, 2, 3)
WANTED = ("euler", "dpmpp_2m", "ddim", "unipc", "euler_ancestral", *LATE)
AUTHORS = "authors"  # in place of a pair of scales: those the authors recommend for the task
SCALES: tuple[Any, ...] = ((1.5, 1.0),)
# How far below the best counts as the same answer. Over 25 scenes the difference between one and two steps of
# dewatermark has a standard error of .32 dB: a smaller NEAR_DB would choose by chance.
NEAR_SHARE, NEAR_DB = 0.01, 0.35
AT_MOST, AT_MOST_PERCEPTION = 4, 1  # evaluations that a default may take
# Settings measured as the model has them, and what goes without saying.
OWN = {"upscale": 1.0, "compose": "rules", "scales": (1.0,), "windows": 0}


@dataclass(frozen=True)
class Point:
    """A measured cell: the figure its task is compared by, seconds it took, or why it has none."""

    cell: Cell
    figure: Figure | None
    seconds: float
    failed: str | None = None


@dataclass(frozen=True)
class Choice:
    """A task's best cell of all, and the one chosen as its default (`choose`), of at most `at_most` evaluations."""

    best: Point
    chosen: Point
    complete: bool
    at_most: int | None = None


@dataclass(frozen=True)
class Curve:
    """Every measured point; missing: how many cells of a task are not measured yet."""

    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    points: tuple[Point, ...]
    missing: Mapping[str, int] = field(default_factory=dict)

    def of(self, task: str) -> list[Point]:
        """The task's points that have a figure."""
        return [p for p in self.points if p.cell.task == task and p.figure is not None]

    @cached_property
    def choices(self) -> dict[str, Choice]:
        """The choice of every task that has a point."""
        tasks = dict.fromkeys(p.cell.task for p in self.points)
        return {t: choose(self.of(t), not self.missing.get(t), at_most(t)) for t in tasks if self.of(t)}

    def defaults(self) -> dict[str, Any]:
        """The content of an instructdiffusion.json with every chosen cell as its task's default."""
        cells = {task: choice.chosen.cell for task, choice in self.choices.items()}
        own = {name: self.settings.get(name, {}) for name in OWN}
        return {
            "defaults": {
                task: {
                    "steps": cell.steps,
                    "solver": cell.solver,
                    "schedule": self.settings["schedule"],
                    "guidance": None if cell.guidance is None else list(cell.guidance),
                    **({"noise": "zero"} if self.settings["noise"].get(task) == "zero" else {}),
                    **{name: values[task] for name, values in own.items() if task in values},
                }
                for task, cell in cells.items()
            }
        }


def at_most(task: str) -> int:
    """Evaluations that the task's default may take: a task that perceives answers in one, the others in a few."""
    return AT_MOST_PERCEPTION if TASKS[task].perception else AT_MOST


def choose(points: Sequence[Point], complete: bool = True, at_most: int | None = None) -> Choice:
    """The best of a task's points; and of those with at most `at_most` evaluations the cheapest as good as their best.

    As good: within `NEAR_SHARE` of it, or `NEAR_DB`. Larger values, then fewer steps break ties. Where no point has so
    few evaluations, or at_most is None, all may be chosen.
    """
    allowed = [p for p in points if at_most is None or p.cell.evaluations <= at_most] or points
    good = [p for p in allowed if _value(p) >= _as_good(_best(allowed))]
    chosen = min(good, key=lambda p: (p.cell.evaluations, -_value(p), p.cell.steps))
    return Choice(_best(points), chosen, complete, at_most)


def _best(points: Sequence[Point]) -> Point:
    return max(points, key=lambda p: (_value(p), -p.cell.evaluations))


def _as_good(best: Point) -> float:
    """The value from which a point is as good as `best`."""
    unit = best.figure.unit if best.figure is not None else "share"
    return _value(best) - (NEAR_DB if unit == "dB" else NEAR_SHARE * abs(_value(best)))


def _value(point: Point) -> float:
    assert point.figure is not None
    return -point.figure.value if point.figure.falling else point.figure.value


def curve_cells(
    model: Any,
    task: str,
    steps: Sequence[int] = STEPS,
    branches: Sequence[int] = BRANCHES,
    solvers: Sequence[str] | None = None,
    scales: Sequence[Any] = SCALES,
    schedule: str = "trailing",
) -> list[Cell]:
    """The cells of a task, cheapest first.

    One branch is the plain conditional prediction. Two: (text, .5), which gives the text-only branch no weight.
    Three: (text, image). A pair of scales that leaves a branch without weight gives no cell of that many.
    ValueError for an unknown solver, schedule, number of branches or bad scales.
    """
    if unknown := [b for b in branches if b not in BRANCHES]:
        raise ValueError(f"branches are 1, 2 or 3; got {unknown[0]!r}")
    pairs = [TASKS[task].guidance if s == AUTHORS else (float(s[0]), float(s[1])) for s in scales]
    ways: list[tuple[float, float] | None] = [None] if 1 in branches else []
    ways += [(text, 0.5) for text, _ in pairs if 2 in branches]
    ways += [pair for pair in pairs if 3 in branches]
    counts = [1 if w is None else 2 if w[1] == 0.5 else 3 for w in ways]
    cells: list[Cell] = []
    names: dict[str, str] = {}
    for count in sorted(set(steps)):
        for solver in known_solvers() if solvers is None else solvers:
            for way, many in dict.fromkeys(zip(ways, counts, strict=True)):
                plan = _plan(model, task, count, solver, schedule, way)
                if many not in branches or any(len(row.branches) != many for row in plan):
                    continue
                cell = Cell(task, count, solver, many, way, plan.evaluations)
                same = names.setdefault(_digest(plan), cell.name)
                cells.append(Cell(task, count, solver, many, way, plan.evaluations, same))
    return sorted(cells, key=lambda c: c.evaluations)


def known_solvers() -> tuple[str, ...]:
    """The solvers of the curve that the sampler has."""
    return tuple(name for name in WANTED if name in SOLVERS)


def _plan(model: Any, task: str, steps: int, solver: str, schedule: str, guidance: Any) -> Plan:
    settings = model.settings[task].changed(**_asked(steps, solver, schedule, guidance))
    sigmas = model.schedule.sigmas(settings.schedule, settings.steps)
    return make_plan(sigmas, settings.solver, settings.guide(), model.schedule)


def _asked(steps: int, solver: str, schedule: str, guidance: Any) -> dict[str, Any]:
    """The options of `InstructDiffusion.run`; all are named, so that no default of the model has a say."""
    guide = "none" if guidance is None else guidance
    return {"steps": steps, "solver": solver, "schedule": schedule, "guidance": guide}


def _digest(plan: Plan) -> str:
    """Equal for plans whose rows are the same but for rounding."""
    rows = [
        (r.sigma, r.t, *r.weights, r.x_coef, *r.d_coefs, r.noise_coef, r.saved_coef, float(r.save))
        for r in plan
    ]
    text = ";".join(",".join(f"{number:.10g}" for number in row) for row in rows)
    return hashlib.sha256(text.encode()).hexdigest()


def measure_curve(
    model: Any,
    journal: str | Path,
    tasks: Sequence[str] | None = None,
    *,
    steps: Sequence[int] = STEPS,
    branches: Sequence[int] = BRANCHES,
    solvers: Sequence[str] | None = None,
    scales: Sequence[Any] = SCALES,
    schedule: str = "trailing",
    count: int = 100,
    batch_size: int = 64,
    split: str = "val",
    seed: int = 0,
    level: int = 3,
    minutes: float | None = None,
    keep: bool = False,
    quiet: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Curve:
    """Ask `model` about the same `count` scenes of every task (None: all) in every cell; returns what is measured.

    The scenes are of `split`, "val" by default, so that defaults are not chosen on the scenes they are tested
    on. journal: a folder; cells/<task>/<cell>.json hold finished cells. One made with the same settings, weights
    and versions (`versions`) is not asked again; keep: nor one of other versions.
    minutes: no cell is begun that would end after them, judged by the pace of those before; cheaper ones that
    still fit are.
    ValueError for bad options before anything is asked; OSError where the journal cannot be written.
    """
    from tqdm import tqdm

    names = [get_task(name).name for name in (tasks if tasks is not None else TASKS)]
    if count < 1 or batch_size < 1 or seed < 0 or (minutes is not None and not minutes > 0):
        raise ValueError("expected a count, batch size and minutes above 0, and a seed of at least 0")
    if split not in ("train", "val", "test"):
        raise ValueError(f"expected a split, one of train, val, test; got {split!r}")
    cells = [c for n in names for c in curve_cells(model, n, steps, branches, solvers, scales, schedule)]
    folder, began, version = check_writable(journal), clock(), answers_version()
    components = getattr(model, "components", None)
    side = int(getattr(components, "resolution", 64))
    common: dict[str, Any] = {
        "benchmark": "curve",
        "split": split,
        "seeds": [seed, seed + count - 1],
        "count": count,
        "level": level,
        "size": side,
        "schedule": schedule,
        "weights": weights_hash(components),
    }
    own = {
        setting: {n: value for n in names if (value := getattr(model.settings[n], setting)) != unsaid}
        for setting, unsaid in OWN.items()
    }
    compositor = compositor_hash() if own["compose"] else None
    examples: dict[str, list[Example]] = {}
    cells_done: dict[tuple[str, str], dict[str, Any]] = {}
    pace = Pace()
    for cell in tqdm(in_order(cells), unit="cell", disable=quiet):
        key = cell.task, cell.same
        settings = {**common, **_asked(cell.steps, cell.solver, schedule, cell.guidance), "task": cell.task}
        settings["noise"] = model.settings[cell.task].noise
        settings.update({name: values[cell.task] for name, values in own.items() if cell.task in values})
        if cell.task in own["compose"]:
            settings["compositor"] = compositor
        if key in cells_done or cell.same != cell.name:
            continue  # what has the same plan stands for it
        path = folder / "cells" / cell.task / f"{cell.name}.json"
        done = _read_cell(path, settings)
        if done is not None and (keep or done.get("version") == version):
            cells_done[key] = done
            continue
        if minutes is not None and clock() - began + pace.estimate(cell.evaluations) > minutes * 60:
            continue
        if cell.task not in examples:
            cases = scene_cases(cell.task, count=count, split=split, seed=seed, level=level, size=side)
            examples[cell.task] = [case.make() for case in cases if case.subset == MAIN]
        started = clock()
        rows, failed = _rows(model, cell, schedule, examples[cell.task], seed, batch_size)
        seconds = round(clock() - started, 3)
        pace.add(cell.evaluations, seconds)
        cells_done[key] = {"settings": settings, "version": version, "seconds": seconds, "failed": failed, "rows": rows}
        write_json(path, cells_done[key])
    points, missing = [], dict.fromkeys(names, 0)
    for cell in cells:
        data = cells_done.get((cell.task, cell.same))
        if data is None:
            missing[cell.task] += 1
        else:
            points.append(_point(cell, data))
    noise = {name: model.settings[name].noise for name in names}
    shared: dict[str, Any] = {**common, "cells": len(cells), "steps": list(steps), "noise": noise}
    shared.update({name: values for name, values in own.items() if values})
    return Curve(shared, versions(), tuple(points), missing)


def _read_cell(path: Path, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """A finished cell; None if there is none, it cannot be read, or it was made with other settings or weights."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        same = data["settings"] == json.loads(json.dumps(dict(settings))) and isinstance(data["rows"], list)
        return data if same and float(data["seconds"]) >= 0 else None
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None


def _rows(
    model: Any, cell: Cell, schedule: str, examples: Sequence[Example], seed: int, batch_size: int
) -> tuple[list[Row], str | None]:
    """A row an answer; none, and the reason, where the sampler breaks down (strong guidance, coarse steps)."""
    ask = asker(model, _asked(cell.steps, cell.solver, schedule, cell.guidance), batch_size)
    rows: list[Row] = []
    try:
        for first in range(0, len(examples), batch_size):
            batch = examples[first : first + batch_size]
            answers = ask(batch, range(seed + first, seed + first + len(batch)))
            rows += [measure(e, a.result) for e, a in zip(batch, answers, strict=True)]
    except FloatingPointError as error:
        return [], str(error)
    return rows, None


def _point(cell: Cell, data: Mapping[str, Any]) -> Point:
    made = figures(cell.task, data["rows"]) if data["rows"] else []
    reason = data.get("failed") or (None if made else "no scene has what the figure counts")
    return Point(cell, made[0] if made else None, float(data["seconds"]), reason)
