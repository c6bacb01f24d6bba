"""Suite: benchmarks of datasets on disk, one after the other, and what they come to."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..datasets.readers import reader_named
from ..tasks import DECODERS
from ..utils.errors import UsageError
from ..utils.files import check_writable, clear_leftovers, write_files
from ..utils.locks import only_writer
from .benchmarks import BENCHMARKS, Entry, ReaderBenchmark
from .benchmarks.editing_benchmark import Editing
from .evaluator import Answered, answer_benchmark, answer_cases, asker
from .journal import Journal
from .outcome import Outcome, PartOutcome
from .paper import NEVER_RUN
from .processes import Processes
from .reports.gallery import Card, make_cards
from .reports.page import page
from .reports.report import gpu_name, made_by, versions
from .request import (
    asked_settings,
    check_readable,
    check_upscale,
    decoder_of,
    decoder_settings,
    in_order,
    problems,
    settings_hash,
    upscale_of,
)


@dataclass(frozen=True)
class Asking:
    """How a suite is run; what is None comes from the model's settings for each task.

    count: records a split (None: all). resolution: the side at which the model sees pictures. cards: answers of
    each kind on the page. decoder: how masks are read ("unet": the light U-Net); other tasks have the closed form only.
    upscale: how many times as large pictures are made that are worked on in tiles; to other tasks it means nothing.
    strict: the first broken record or unusable answer is raised, rather than named and left out.
    """

    steps: int | None = None
    solver: str | None = None
    schedule: str | None = None
    guidance: tuple[float, float] | str | None = None
    resolution: int | None = None
    decoder: str = "closed"
    upscale: float | None = None
    count: int | None = None
    batch_size: int = 16
    cards: int = 6
    quiet: bool = False
    strict: bool = False

    def __post_init__(self) -> None:
        if self.decoder not in DECODERS:
            raise UsageError(f"expected a decoder, one of {', '.join(DECODERS)}; got {self.decoder!r}")
        if self.batch_size < 1 or self.cards < 0 or (self.count is not None and self.count < 1):
            raise UsageError("expected a count and a batch size of at least 1, and cards of at least 0")

    @property
    def changes(self) -> dict[str, Any]:
        """What of the model's settings is changed."""
        return {
            "steps": self.steps,
            "solver": self.solver,
            "schedule": self.schedule,
            "guidance": self.guidance,
            "upscale": self.upscale,
        }

    def changes_of(self, task: str) -> dict[str, Any]:
        """What of the model's settings for a task is changed."""
        return {**self.changes, "upscale": upscale_of(task, self.upscale)}

    def options(self, task: str) -> dict[str, Any]:
        """What `InstructDiffusion.run` is told for a task."""
        changes = {**self.changes_of(task), "resolution": self.resolution}
        options = {name: value for name, value in changes.items() if value is not None}
        decoder = decoder_of(task, self.decoder)
        return options if decoder == "closed" else {**options, "decoder": decoder}


Found = tuple[Entry, Path, str]  # benchmark, folder, split


def find_parts(
    data: Path,
    names: Sequence[str] | None = None,
    images: Path | None = None,
    splits: Sequence[str] | None = None,
) -> tuple[list[Found], dict[str, str]]:
    """(what `data` holds of the benchmarks named, column of the paper's tables -> why it is a gap).

    data: a dataset's folder, or one that holds several under their names. names None: all that stand in the
    paper's tables. splits None: those of the paper. ValueError for a split that a benchmark does not have.
    """
    parts: list[Found] = []
    gaps: dict[str, str] = {}
    for entry in BENCHMARKS.values():
        if entry.name not in names if names is not None else entry.table is None:
            continue
        unknown = [s for s in splits or () if s not in entry.splits]
        if unknown:
            raise UsageError(f"{entry.name} has the splits {', '.join(entry.splits)}; got {unknown[0]!r}")
        reader = reader_named(entry.reader)
        chosen = list(entry.places) if splits is None else list(dict.fromkeys(splits))
        folder = entry.folder(data, chosen, images)
        there = [] if folder is None else entry.found(folder, chosen, images)
        parts += [(entry, folder, split) for split in there if folder is not None]
        for split in chosen:
            if split not in there:
                where = "download: " if reader.source.startswith("http") else "it is "
                why = f"no {reader.title} {split} in {data}; {where}{reader.source}"
                gaps.update(dict.fromkeys(entry.columns(split), why))
    return parts, gaps


def open_parts(
    parts: Sequence[Found],
    images: Path | None = None,
    cache: Path | None = None,
    *,
    absent: bool = True,
    lpips: bool = False,
    clip: str | None = None,
    aesthetic: str | Path | None = None,
    giqa: tuple[str | Path, str | Path] | None = None,
    device: str | None = None,
    skip: bool = False,
    strict: bool = False,
) -> tuple[list[tuple[Entry, ReaderBenchmark]], dict[str, str]]:
    """(the benchmarks, opened; column -> why one was skipped).

    absent: whether classes that a picture lacks are asked for. lpips, clip, aesthetic: networks that measure; clip
    "none" leaves CLIP-Sim out. giqa: a picture network and the reference of KNN-GIQA (`metrics.extractors.load_giqa`).
    skip: a benchmark whose network cannot be had becomes a gap instead of an error.
    strict: BrokenRecord for the first record that an index finds broken.
    """
    options: dict[str, Any] = {"absent": absent}
    gaps: dict[str, str] = {}
    if lpips:
        from .metrics.image_metrics import load_lpips

        options["lpips"] = load_lpips(device=device or "cpu")
    if giqa is not None and any("giqa" in entry.wants for entry, _, _ in parts):
        from .metrics.extractors import load_giqa

        options["giqa"] = load_giqa(*giqa, device=device or "cpu")
    opened: list[tuple[Entry, ReaderBenchmark]] = []
    for entry, folder, split in parts:
        if "clip" in entry.wants and clip != "none":
            from .metrics.encoders import CLIP, load_aesthetic, load_clip

            try:
                options["clip"] = load_clip(clip or CLIP, device or "cpu")
                if aesthetic is not None:
                    options["aesthetic"] = load_aesthetic(aesthetic)
            except OSError as error:
                if not skip:
                    raise OSError(f"{error}; or pass --clip none to do without CLIP-Sim") from None
                gaps.update(dict.fromkeys(entry.columns(split), str(error)))
                continue
        policy = "raise" if strict else "skip"
        opened.append((entry, entry.open(folder, split, images, cache, on_broken=policy, **options)))
    return opened, gaps


def evaluate_parts(
    model: Any,
    benchmarks: Sequence[tuple[Entry, ReaderBenchmark]],
    output: str | Path,
    asking: Asking | None = None,
    *,
    name: str = "model",
    gaps: Mapping[str, str] | None = None,
    whole_tables: bool = False,
    processes: Processes | None = None,
) -> Outcome:
    """Ask `model` the questions of the benchmarks, and write results.json, table.md and report.html to `output`.

    Answers are journalled in output/answers as they come: a run that was stopped, in any way, goes on where it
    was, and one that asks for more records keeps the answers it has. Answers of other settings, weights, data or
    code lie beside and are not mixed. With several processes each takes its share, the first writes the reports.

    ValueError where another run is writing there, or the decoder or the upscale means nothing to any benchmark; OSError
    where that cannot be written.
    """
    asking, processes = asking or Asking(), processes or Processes()
    if benchmarks:
        tasks = [benchmark.task for _, benchmark in benchmarks]
        check_readable(tasks, asking.decoder)
        check_upscale(tasks, asking.upscale)
        decoder_settings(asking.decoder)  # weights that cannot be had are named before anything is written
    folder = check_writable(output) if processes.first else Path(output)
    processes.meet()
    if not processes.first:
        return _evaluate(model, benchmarks, folder, asking, name, gaps or {}, whole_tables, processes)
    with only_writer(folder / "answers", "evaluation"):
        clear_leftovers(folder, *(folder / "answers").iterdir())
        return _evaluate(model, benchmarks, folder, asking, name, gaps or {}, whole_tables, processes)


def _evaluate(
    model: Any,
    benchmarks: Sequence[tuple[Entry, ReaderBenchmark]],
    folder: Path,
    asking: Asking,
    name: str,
    gaps: Mapping[str, str],
    whole_tables: bool,
    processes: Processes,
) -> Outcome:
    components = getattr(model, "components", None)
    shared = {
        **made_by(components),
        "resolution": asking.resolution or getattr(components, "resolution", None),
    }
    parts: list[PartOutcome] = []
    cards: list[Card] = []
    for entry, benchmark in benchmarks:
        part, some = _part(model, entry, benchmark, folder, asking, shared, processes)
        parts.append(part)
        cards += some
    settings = {
        **shared,
        **decoder_settings(asking.decoder),
        **{k: v for k, v in asking.changes.items() if v is not None},
        "count": asking.count,
        "batch_size": asking.batch_size,
        "processes": processes.count,
        "GPU": gpu_name(components),
        "model": str(getattr(components, "path", "") or name),
    }
    gaps = {**gaps, **_empty_columns(benchmarks, parts), **(NEVER_RUN if whole_tables else {})}
    outcome = Outcome(name, settings, versions(), parts, gaps, whole_tables)
    if processes.first:
        files = outcome.files(folder)
        answers = sum(part.answers for part in parts)
        subtitle = f"{answers} answers to {len(parts)} benchmarks; {outcome.problems} broken or failed"
        html = page(f"{name} on datasets", outcome.sections(), cards, subtitle)
        files[folder / "report.html"] = html.encode()
        write_files(files)
    processes.meet()
    return outcome


def _empty_columns(
    benchmarks: Sequence[tuple[Entry, ReaderBenchmark]], parts: Sequence[PartOutcome]
) -> dict[str, str]:
    """Column -> why nothing stands there, of benchmarks that were run."""
    reasons = {}
    for (entry, benchmark), part in zip(benchmarks, parts, strict=True):
        blind = isinstance(benchmark, Editing) and benchmark.clip is None
        why = "no CLIP measured it (--clip)" if blind else f"{part.title} answered no question of its kind"
        reasons.update({column: why for column in entry.columns(benchmark.split) if column not in part.cells})
    return reasons


def _part(
    model: Any,
    entry: Entry,
    benchmark: ReaderBenchmark,
    folder: Path,
    asking: Asking,
    shared: Mapping[str, Any],
    processes: Processes,
) -> tuple[PartOutcome, list[Card]]:
    from tqdm import tqdm

    settings = {
        "benchmark": benchmark.name,
        "split": benchmark.split,
        "data": benchmark.fingerprint,
        **benchmark.options(),
        **shared,
        **decoder_settings(decoder_of(benchmark.task, asking.decoder)),
        **asked_settings(model, benchmark.task, asking.changes_of(benchmark.task)),
    }
    title = f"{benchmark.name}-{benchmark.split}".replace("+", "plus")
    place = folder / "answers" / f"{title}-{settings_hash(settings)}"
    journal = Journal(place, settings, processes.rank)
    units = benchmark.chosen(asking.count)
    backend = getattr(model, "backend", None)
    ask = asker(model, asking.options(benchmark.task), asking.batch_size)
    started = time.monotonic()
    share = len(range(processes.rank, len(units), processes.count))
    silent = asking.quiet or not processes.first
    with (
        journal,
        tqdm(total=share, desc=f"{benchmark.name} {benchmark.split}", unit="record", disable=silent) as bar,
    ):
        answer_benchmark(
            benchmark,
            ask,
            journal,
            units,
            batch_size=asking.batch_size,
            backend=backend,
            processes=processes,
            strict=asking.strict,
            tick=bar.update,
        )
    entries = journal.entries()
    answered = in_order(entries, set(units))
    rows = [e["row"] for e in answered]
    figures = benchmark.figures(rows) if rows else []
    indexed = [str(problem) for problem in benchmark.reader.problems]
    trouble = list(dict.fromkeys([*indexed, *problems(entries, set(units))]))
    if isinstance(benchmark, Editing):
        cells = benchmark.cells(figures)
    else:
        cells = dict.fromkeys(entry.columns(benchmark.split), benchmark.cell(figures))
    part = PartOutcome(
        benchmark.name,
        benchmark.split,
        benchmark.task,
        settings,
        figures,
        {column: cell for column, cell in cells.items() if cell != "-"},
        {**benchmark.notes(rows), "left out by the dataset's own rules": dict(benchmark.reader.left_out)},
        len(units),
        len(rows),
        trouble,
        round(time.monotonic() - started, 2),
        journal.damaged,
    )
    if not processes.first or not asking.cards:
        return part, []

    def again(numbers: Sequence[int]) -> list[Answered]:
        cases = [benchmark.cases(answered[i]["unit"])[answered[i]["n"]] for i in numbers]
        return list(answer_cases(ask, cases, asking.batch_size, backend, benchmark.row))

    kept_cards = place / f"cards-{asking.cards}.json"
    return part, make_cards(part.title, rows, again, asking.cards, kept_cards)


__all__ = ["DECODERS", "Asking", "evaluate_parts", "find_parts", "open_parts"]
