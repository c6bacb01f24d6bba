"""Evaluation on scenes: made-up pictures with exact truth that training never sees."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..datasets.examples import make_example
from ..datasets.scenes.records import UNSEEN_TASKS
from ..files import check_writable, png_bytes, write_files
from ..tasks import TASKS, get_task
from .measures import Row
from .report import Report, TaskReport, code_hash, versions, weights_hash
from .runner import Ask, Case, answer_cases, asker, load_done, save_done
from .sheet import pick, stacked, task_sheet

MAIN, PARAPHRASES, UNSEEN = "scenes", "held-out paraphrases", "unseen pairs"


def evaluate_scenes(
    model: Any,
    tasks: Sequence[str] | None = None,
    *,
    count: int = 1000,
    output: str | Path | None = None,
    steps: int | None = None,
    solver: str | None = None,
    schedule: str | None = None,
    guidance: tuple[float, float] | str | None = None,
    batch_size: int = 64,
    split: str = "test",
    seed: int = 0,
    level: int = 3,
    size: int | None = None,
    oracle: bool = False,
    quiet: bool = False,
) -> Report:
    """Ask `model` about `count` scenes a task (None: all tasks), print the table, and return the report.

    Beside the `count` scenes of the seeds seed, seed + 1, ... come a fifth as many of the same scenes worded
    with paraphrases that training never sees, and a fifth as many of pairs that it never sees.
    What is None comes from the model's settings for each task. size: side of the scenes in pixels (None:
    the model's resolution). oracle: the true pictures through the autoencoder answer in place of the UNet.

    output: a folder for results.json, table.md, sheet.png and tasks/<task>.json with a row for every answer.
    A task whose file is there, made with the same settings, weights and code, is not asked again, so that a
    stopped run goes on where it was. quiet: nothing is printed.
    ValueError for an unknown task, split or setting before anything is asked; OSError where output cannot
    be written.
    """
    names = [get_task(name).name for name in (tasks if tasks is not None else TASKS)]
    _check(count, batch_size, split, seed)
    folder = None if output is None else check_writable(output)
    changes = {"steps": steps, "solver": solver, "schedule": schedule, "guidance": guidance}
    asked = {name: _settings(model, name, changes) for name in names}
    components = getattr(model, "components", None)
    side = size or int(getattr(components, "resolution", 64))
    common = {
        "benchmark": "scenes",
        "split": split,
        "seeds": [seed, seed + count - 1],
        "count": count,
        "level": level,
        "size": side,
        "oracle": oracle,
        "weights": weights_hash(components),
        "code": code_hash(),
    }
    cases_of = partial(scene_cases, count=count, split=split, seed=seed, level=level, size=side)
    if oracle:
        from .oracle import Oracle

        ask: Ask = Oracle(model).ask
    else:
        ask = asker(model, {k: v for k, v in changes.items() if v is not None}, batch_size)
    reports = []
    for name in names:
        settings = {**common, "task": name, **asked[name]}
        path = None if folder is None else folder / "tasks" / f"{name}.json"
        reports.append(_task(model, name, cases_of(name), ask, batch_size, settings, path, quiet))
    shared: dict[str, Any] = {
        **common,
        "batch_size": batch_size,
        "model": str(getattr(components, "path", "")) or None,
    }
    report = Report(shared, versions(), tuple(reports))
    if folder is not None:
        files = report.files(folder)
        sheets = [folder / "tasks" / f"{name}.png" for name in names]
        files[folder / "sheet.png"] = png_bytes(stacked([s for s in sheets if s.is_file()]))
        write_files(files)
    if not quiet:
        print(report.table())
    return report


def scene_cases(
    task: str, *, count: int, split: str = "test", seed: int = 0, level: int = 3, size: int = 64
) -> list[Case]:
    """The cases of a task: count scenes, then a fifth as many worded anew and, where there are, of unseen pairs."""
    make = partial(make_example, task, split=split, size=size, level=level)
    few = range(seed, seed + max(1, count // 5))
    cases = [Case(s, MAIN, partial(make, s)) for s in range(seed, seed + count)]
    cases += [Case(s, PARAPHRASES, partial(make, s, held_out=True)) for s in few]
    if task in UNSEEN_TASKS and split != "train":
        cases += [Case(s, UNSEEN, partial(make, s, unseen=True)) for s in few]
    return cases


def _task(
    model: Any,
    name: str,
    cases: Sequence[Case],
    ask: Ask,
    batch_size: int,
    settings: dict[str, Any],
    path: Path | None,
    quiet: bool,
) -> TaskReport:
    """The report of a task: from its file where that is of the same making, else by asking."""
    from tqdm import tqdm

    done = None if path is None else load_done(path, settings)
    if done is not None:
        if not quiet:
            print(f"{name}: done before, taken from {path}")
        return TaskReport(name, settings, done["rows"], done["seconds"])
    started = time.monotonic()
    editor = getattr(model, "editor", None)
    rows: list[Row] = []
    with tqdm(total=len(cases), desc=name, unit="scene", disable=quiet, smoothing=0.1) as bar:
        for answered in answer_cases(ask, cases, batch_size, editor):
            rows.append(answered.row)
            bar.update()
    seconds = round(time.monotonic() - started, 2)
    if path is not None:
        # A few are asked again for the sheet, rather than all answers held in memory.
        names, numbers = zip(*pick([row for row in rows if row["subset"] == MAIN]))
        again = answer_cases(ask, [cases[i] for i in numbers], batch_size, editor)
        sheet = task_sheet(list(zip(names, again)))
        # The file with the rows comes last: it says that the task is done.
        write_files({path.with_suffix(".png"): png_bytes(sheet)})
        save_done(path, settings, rows, seconds=seconds)
    return TaskReport(name, settings, rows, seconds)


def _check(count: int, batch_size: int, split: str, seed: int) -> None:
    if count < 1 or batch_size < 1 or seed < 0:
        raise ValueError(
            f"expected a count and batch size of at least 1 and a seed of at least 0, got {count}, {batch_size}, {seed}"
        )
    if split not in ("train", "val", "test"):
        raise ValueError(f"expected a split, one of train, val, test; got {split!r}")


def _settings(model: Any, task: str, changes: dict[str, Any]) -> dict[str, Any]:
    """How the task will be asked, as plain data, with the UNet evaluations that an answer costs."""
    known = getattr(model, "settings", None)
    if known is None:
        return {**{k: v for k, v in changes.items() if v is not None}, "evaluations": None}
    from ..sampling import make_plan

    settings = known[task].changed(**changes)
    sigmas = model.schedule.sigmas(settings.schedule, settings.steps)
    plan = make_plan(sigmas, settings.solver, settings.guide(), model.schedule)
    return {**settings.to_dict(), "evaluations": plan.evaluations}
