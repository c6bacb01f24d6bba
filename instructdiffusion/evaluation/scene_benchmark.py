"""Evaluation on scenes: made-up pictures with exact truth that training never sees."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..datasets.synthetic.examples import make_example
from ..datasets.synthetic.scene import UNSEEN_TASKS
from ..tasks import TASKS, get_task
from ..utils.files import check_writable, clear_leftovers, png_bytes, write_files
from ..utils.locks import only_writer
from ..utils.old_names import accept_old_keywords
from .breadth import Breadth
from .evaluator import (
    Answered,
    Ask,
    Case,
    answer_benchmark,
    answer_cases,
    asker,
    load_done,
    save_done,
    scene_row,
)
from .journal import Journal, Memory
from .measures import Row
from .processes import Processes
from .reports.gallery import Card, make_cards
from .reports.page import page
from .reports.report import Report, TaskReport, gpu_name, made_by, versions
from .reports.sheet import pick, stacked, task_sheet
from .request import (
    asked_settings,
    check_readable,
    check_upscale,
    decoder_of,
    decoder_settings,
    in_order,
    scales_of,
    settings_hash,
    upscale_of,
)

MAIN, PARAPHRASES, OTHER, UNSEEN = "scenes", "held-out paraphrases", "other words", "unseen pairs"


class Scenes:
    """A task's scenes as a benchmark: a unit is a scene, with one question."""

    name = "scenes"
    row = staticmethod(scene_row)

    def __init__(self, task: str, split: str, cases: Sequence[Case]) -> None:
        self.task, self.split, self._cases = task, split, cases

    def __len__(self) -> int:
        return len(self._cases)

    def cases(self, unit: int) -> list[Case]:
        """The one question."""
        return [self._cases[unit]]


@accept_old_keywords(zoom="upscale")
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
    decoder: str = "closed",
    upscale: float | None = None,
    scales: Sequence[float] | None = None,
    breadth: Breadth | None = None,
    quiet: bool = False,
    processes: Processes | None = None,
) -> Report:
    """Ask `model` about `count` scenes a task (None: all tasks), print the table, and return the report.

    Beside the `count` scenes of the seeds seed, seed + 1, ... come a fifth as many of the same scenes worded
    with paraphrases that training never sees, as many worded as people may (`tasks.wordings`), and as many of pairs
    that training never sees; and, where `breadth` says so, scenes of other shapes and things of other sizes.
    What is None comes from the model's settings for each task. size: side of the scenes in pixels (None:
    the model's resolution). oracle: the true pictures through the autoencoder answer in place of the UNet. decoder:
    how masks are read ("unet": the light U-Net); of all tasks the others are read in closed form. upscale: .25 to 4,
    how many times as large pictures are made that are worked on in tiles; the other tasks are asked as without it.
    scales: at which tasks that perceive see pictures (`Settings.scales`), None for the model's; (1,) looks once.

    output: a folder for results.json, table.md, sheet.png, report.html and tasks/<task>.json with a row for every
    answer. Answers are journalled in output/answers as they come; what is there, made with the same settings,
    weights and code, is not asked again, so that a run stopped in any way goes on where it was. quiet: nothing is
    printed. processes: several share the work (they need an output); the first writes and prints.
    breadth: scenes of other shapes and things of other sizes to ask about too (None: neither).
    ValueError for an unknown task, split, setting or decoder, for tasks named of which none has masks to read with it
    or pictures to enlarge, and for a breadth with the oracle, before anything is asked, and where another run is
    writing to output; OSError where that cannot be written.
    """
    names = [get_task(name).name for name in (tasks if tasks is not None else TASKS)]
    _check(count, batch_size, split, seed)
    check_readable(names, decoder)
    check_upscale(names, upscale)
    read = {name: decoder_settings(decoder_of(name, decoder)) for name in names}
    breadth = breadth or Breadth()
    if oracle and breadth.settings:
        raise ValueError("the oracle answers pictures of the model's own size only: leave ratios and extents out")
    processes = processes or Processes()
    if processes.count > 1 and output is None:
        raise ValueError("several processes share their answers through the output folder: name one")
    folder = None if output is None else check_writable(output)
    quiet = quiet or not processes.first
    changes = {"steps": steps, "solver": solver, "schedule": schedule, "guidance": guidance}
    own = {name: {"upscale": upscale_of(name, upscale), "scales": scales_of(name, scales)} for name in names}
    task_settings = {name: asked_settings(model, name, {**changes, **own[name]}) for name in names}
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
        **breadth.settings,
        **made_by(components),
    }
    scene_options: dict[str, Any] = {"split": split, "seed": seed, "level": level, "size": side}

    def cases_of(name: str) -> list[Case]:
        return scene_cases(name, count=count, **scene_options) + breadth.cases(name, **scene_options)

    changed = {k: v for k, v in changes.items() if v is not None}

    def asks(name: str) -> Ask:
        options: dict[str, Any] = {}
        if read[name]["decoder"] != "closed":
            options["decoder"] = read[name]["decoder"]
        if own[name]["upscale"] is not None:
            options["upscale"] = upscale
        if own[name]["scales"] is not None and not oracle:  # the oracle looks once
            options["scales"] = scales
        if oracle:
            from .oracle import Oracle

            return Oracle(model, **options).ask
        return asker(model, {**changed, **options}, batch_size)

    reports: list[TaskReport] = []
    cards: list[Card] = []
    with contextlib.ExitStack() as held:
        if folder is not None and processes.first:
            held.enter_context(only_writer(folder / "answers", "evaluation"))
            clear_leftovers(folder, folder / "tasks", *folder.glob("answers/*"))
        for name in names:
            settings = {**common, "task": name, **read[name], **task_settings[name]}
            run = _Run(model, asks(name), batch_size, folder, quiet, processes)
            made, some = run.task(Scenes(name, split, cases_of(name)), settings)
            reports.append(made)
            cards += some
    shared: dict[str, Any] = {
        **common,
        **decoder_settings(decoder),
        "batch_size": batch_size,
        "processes": processes.count,
        "GPU": gpu_name(components),
        "model": str(getattr(components, "path", "")) or None,
    }
    report = Report(shared, versions(), tuple(reports))
    if folder is not None and processes.first:
        files = report.files(folder)
        title = f"{Path(shared['model'] or 'a model').name} on scenes"
        answers = sum(len(r.rows) for r in reports)
        subtitle = f"{len(reports)} tasks, {answers} answers to made-up pictures that training never sees"
        files[folder / "report.html"] = page(title, report.sections(), cards, subtitle).encode()
        sheets = [folder / "tasks" / f"{name}.png" for name in names]
        files[folder / "sheet.png"] = png_bytes(stacked([s for s in sheets if s.is_file()]))
        write_files(files)
    if not quiet:
        print(report.table())
    return report


def scene_cases(
    task: str, *, count: int, split: str = "test", seed: int = 0, level: int = 3, size: int = 64
) -> list[Case]:
    """The cases of a task: count scenes, then a fifth as many in each set of other words and unseen pairs."""
    make = partial(make_example, task, split=split, size=size, level=level)
    few = range(seed, seed + max(1, count // 5))
    cases = [Case(s, MAIN, partial(make, s), f"{MAIN} {s}") for s in range(seed, seed + count)]
    cases += [Case(s, PARAPHRASES, partial(make, s, held_out=True), f"{PARAPHRASES} {s}") for s in few]
    cases += [Case(s, OTHER, partial(make, s, other_words=True), f"{OTHER} {s}") for s in few]
    if task in UNSEEN_TASKS and split != "train":
        cases += [Case(s, UNSEEN, partial(make, s, unseen=True), f"{UNSEEN} {s}") for s in few]
    return cases


class _Run:
    """What the tasks of an evaluation share."""

    def __init__(
        self, model: Any, ask: Ask, batch_size: int, folder: Path | None, quiet: bool, processes: Processes
    ) -> None:
        self._ask, self._batch_size, self._folder = ask, batch_size, folder
        self._backend = getattr(model, "backend", None)
        self._quiet, self._processes = quiet, processes

    def task(self, benchmark: Scenes, settings: dict[str, Any]) -> tuple[TaskReport, list[Card]]:
        """The report of a task, from its file where that is of the same making, else by asking; and its cards."""
        name = benchmark.task
        path = place = None
        if self._folder is not None:
            path = self._folder / "tasks" / f"{name}.json"
            place = self._folder / "answers" / f"{name}-{settings_hash(settings)}"
        done = None if path is None else load_done(path, settings)
        if done is None:
            rows, seconds = self._rows(benchmark, settings, place)
        else:
            rows, seconds = done["rows"], done["seconds"]
            if not self._quiet:
                print(f"{name}: done before, taken from {path}")
        report = TaskReport(name, settings, rows, seconds)
        if path is None or not self._processes.first:
            return report, []

        main = [row for row in rows if row["subset"] == MAIN]

        def again(numbers: Sequence[int]) -> list[Answered]:
            cases = [benchmark.cases(i)[0] for i in numbers]
            return list(answer_cases(self._ask, cases, self._batch_size, self._backend))

        # A few are asked again for their pictures, rather than all answers held in memory.
        assert place is not None
        cards = make_cards(name, main, again, cache=place / "cards.json")
        if done is None:
            names, numbers = zip(*pick(main))
            sheet = task_sheet(list(zip(names, again(numbers))))
            # The file with the rows comes last: it says that the task is done.
            write_files({path.with_suffix(".png"): png_bytes(sheet)})
            save_done(path, settings, rows, seconds=seconds)
        return report, cards

    def _rows(
        self, benchmark: Scenes, settings: dict[str, Any], place: Path | None
    ) -> tuple[list[Row], float]:
        from tqdm import tqdm

        journal = Memory() if place is None else Journal(place, settings, self._processes.rank)
        started = time.monotonic()
        units = range(len(benchmark))
        share = len(units[self._processes.rank :: self._processes.count])
        with (
            journal,
            tqdm(total=share, desc=benchmark.task, unit="scene", disable=self._quiet, smoothing=0.1) as bar,
        ):
            answer_benchmark(
                benchmark,
                self._ask,
                journal,
                units,
                batch_size=self._batch_size,
                backend=self._backend,
                processes=self._processes,
                strict=True,
                tick=bar.update,
            )
        rows = [entry["row"] for entry in in_order(journal.entries(), set(units))]
        return rows, round(time.monotonic() - started, 2)


def _check(count: int, batch_size: int, split: str, seed: int) -> None:
    if count < 1 or batch_size < 1 or seed < 0:
        raise ValueError(
            f"expected a count and batch size of at least 1 and a seed of at least 0, got {count}, {batch_size}, {seed}"
        )
    if split not in ("train", "val", "test"):
        raise ValueError(f"expected a split, one of train, val, test; got {split!r}")
