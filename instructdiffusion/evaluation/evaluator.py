"""Runner: a benchmark's questions through a model in batches, each answer beside its truth, journalled as it comes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..datasets.readers.problems import BrokenRecord
from ..datasets.records import Example
from ..imaging.annotate import as_bytes
from ..results import Boxes, Keypoints, Masks
from ..tasks import answers_with_image, get_task
from ..utils.files import write_json
from .journal import Entry, Journal, Memory
from .measures import Row, measure
from .processes import Processes

# examples of one task and their seeds -> answers in the same order, each with `.result` and `.picture`
Ask = Callable[[Sequence[Example], Sequence[int]], Sequence[Any]]
HOPELESS = 50  # answers in a row that fail from the start: then it is not the pictures


@dataclass(frozen=True)
class Case:
    """A question with its truth, made when its turn comes; subset: which part of a benchmark it belongs to.

    key: its name in the journal, one of its own.
    """

    seed: int
    subset: str
    make: Callable[[], Example]
    key: str = ""


class Benchmark(Protocol):
    """Records to ask about and how answers are scored. A unit is a record with all that is asked about it."""

    name: str
    split: str
    task: str

    def __len__(self) -> int: ...

    def cases(self, unit: int) -> Sequence[Case]:
        """The questions about a unit, always the same; BrokenRecord."""

    def row(self, case: Case, example: Example, answer: Any, bound: np.ndarray | None) -> Row:
        """An answer as JSON data with `quality` (larger is better), `absent` and `empty`; ValueError, TypeError.

        bound: the true picture through the model's autoencoder, uint8, or None.
        """


@dataclass(frozen=True)
class Answered:
    """A case, what it was, the model's answer, and the row of measures."""

    case: Case
    example: Example
    answer: Any
    row: Row


def asker(model: Any, options: Mapping[str, Any], batch_size: int) -> Ask:
    """The function that asks `model` (an `InstructDiffusion`, or anything with its `run`) with options of `run`."""

    def ask(examples: Sequence[Example], seeds: Sequence[int]) -> Sequence[Any]:
        answers: Sequence[Any] = model.run(
            [e.instruction for e in examples],
            [e.source for e in examples],
            seed=list(seeds),
            batch_size=batch_size,
            **options,
        )
        return answers

    return ask


def answer_cases(
    ask: Ask,
    cases: Sequence[Case],
    batch_size: int = 64,
    backend: Any = None,
    row: Callable[[Case, Example, Any, np.ndarray | None], Row] | None = None,
) -> Iterator[Answered]:
    """Every case with its answer, batch by batch, in order; the noise of a case is its seed's.

    backend: the model's, for what its autoencoder makes of true pictures (`reconstructed`). row: how an answer
    is measured (None: as scenes are). Raises what making, asking and measuring raise.
    """
    measured = row or scene_row
    for first in range(0, len(cases), batch_size):
        batch = cases[first : first + batch_size]
        examples = [case.make() for case in batch]
        answers = ask(examples, [case.seed for case in batch])
        bounds = reconstructed(backend, examples)
        for case, example, answer, bound in zip(batch, examples, answers, bounds, strict=True):
            check_answer(example, answer)
            yield Answered(case, example, answer, measured(case, example, answer, bound))


def answer_benchmark(
    benchmark: Benchmark,
    ask: Ask,
    journal: Journal | Memory,
    units: Sequence[int],
    *,
    batch_size: int = 16,
    backend: Any = None,
    processes: Processes | None = None,
    strict: bool = False,
    tick: Callable[[int], Any] = lambda count: None,
) -> None:
    """Answer what the journal does not hold yet of the units' questions, and journal it batch by batch.

    With several processes each takes its share of what is left. tick(n): n more units are done. A record that
    is broken and an answer that is not usable (NaN, another size) become entries with a "problem", which the
    next run tries again; strict: they are raised. ValueError where nothing at all can be answered.
    """
    processes = processes or Processes()
    done = journal.entries()
    answered: dict[int, int] = {}
    expected: dict[int, int] = {}
    for entry in done.values():
        if "problem" not in entry:
            answered[entry["unit"]] = answered.get(entry["unit"], 0) + 1
            expected[entry["unit"]] = entry["of"]
    left = [u for u in units if u not in expected or answered[u] < expected[u]]
    processes.meet()  # all have read what there is before any writes
    mine = left[processes.rank :: processes.count]
    tick(sum(1 for place in range(len(units) - len(left)) if place % processes.count == processes.rank))
    worker = _Worker(benchmark, ask, journal, batch_size, backend, strict, hopeful=bool(answered))
    for unit in mine:
        try:
            cases = benchmark.cases(unit)
        except BrokenRecord as error:
            if strict:
                raise
            journal.add([{"key": f"unit {unit}", "unit": unit, "problem": str(error)}])
            tick(1)
            continue
        left_here = [
            _Asked(case, unit, number, len(cases))
            for number, case in enumerate(cases)
            if "row" not in done.get(case.key, {})
        ]
        for number, question in enumerate(left_here):
            tick(worker.put(question, last=number == len(left_here) - 1))
    tick(worker.flush())
    processes.meet()


@dataclass(frozen=True)
class _Asked:
    case: Case
    unit: int
    number: int
    of: int

    def entry(self, **more: Any) -> Entry:
        return {"key": self.case.key, "unit": self.unit, "n": self.number, "of": self.of, **more}


class _Worker:
    """Gathers questions into batches, asks, and journals."""

    def __init__(
        self,
        benchmark: Benchmark,
        ask: Ask,
        journal: Journal | Memory,
        batch_size: int,
        backend: Any,
        strict: bool,
        hopeful: bool,
    ) -> None:
        self._benchmark, self._ask, self._journal = benchmark, ask, journal
        self._batch_size, self._backend, self._strict = batch_size, backend, strict
        self._hopeful, self._failed = hopeful, 0
        self._batch: list[_Asked] = []
        self._finished = 0

    def put(self, question: _Asked, last: bool) -> int:
        """Take a question; returns how many units this has finished."""
        self._batch.append(question)
        self._finished += int(last)
        return self.flush() if len(self._batch) >= self._batch_size else 0

    def flush(self) -> int:
        """Ask what is gathered; returns how many units this has finished."""
        batch, self._batch = self._batch, []
        finished, self._finished = self._finished, 0
        if batch:
            try:
                entries = [a.entry(row=r) for a, r in zip(batch, self._rows(batch), strict=True)]
            except (BrokenRecord, ValueError, TypeError, FloatingPointError):
                if self._strict:
                    raise
                entries = [self._alone(question) for question in batch]
            self._journal.add(entries)
        return finished

    def _rows(self, batch: Sequence[_Asked]) -> list[Row]:
        cases = [question.case for question in batch]
        return [a.row for a in answer_cases(self._ask, cases, len(cases), self._backend, self._benchmark.row)]

    def _alone(self, question: _Asked) -> Entry:
        """The entry of one question asked by itself, so that one bad record spoils no other's answer."""
        try:
            row = self._rows([question])[0]
            self._hopeful = True
            return question.entry(row=row)
        except BrokenRecord as error:
            return question.entry(problem=str(error))
        except (ValueError, TypeError, FloatingPointError) as error:
            self._failed += 1
            if not self._hopeful and self._failed >= HOPELESS:
                raise ValueError(
                    f"{self._benchmark.name}: none of the first {self._failed} questions could be answered; "
                    f"the last: {error}"
                ) from error
            return question.entry(problem=f"{question.case.key}: {type(error).__name__}: {error}")


def check_answer(example: Example, answer: Any) -> None:
    """ValueError where an answer is of another size than the picture asked about, or holds NaN."""
    size = example.source.shape[:2]
    result = answer.result
    if isinstance(result, np.ndarray):
        if result.dtype.kind == "f" and not np.isfinite(result).all():
            raise ValueError("the answer is a picture with values that are not finite")
        answer_size: tuple[int, ...] | None = result.shape[:2]
    else:
        answer_size = result.canvas_size if isinstance(result, (Boxes, Keypoints, Masks)) else None
    if answer_size is not None and tuple(answer_size) != size:
        raise ValueError(f"the answer is of {tuple(answer_size)} (height, width), the picture of {size}")


def scene_row(case: Case, example: Example, answer: Any, bound: np.ndarray | None) -> Row:
    """The row of a scene's answer: its seed, part and groups, and the measures of its task."""
    row = measure(example, answer.result, bound)
    return {"seed": case.seed, "subset": case.subset, "groups": groups(example), **row}


def groups(example: Example) -> list[str]:
    """What a sample counts among in a breakdown: its tags, the kind of its edit or damage, its figure."""
    record = example.record
    names = set(record.tags)
    kind = record.meta.get("kind")
    if isinstance(kind, str):
        names.add(kind.partition(":")[0] if get_task(example.instruction.task).open_ended else kind)
    if isinstance(record.meta.get("figure"), str):
        names.add(f"figure: {record.meta['figure']}")
    return sorted(names)


def reconstructed(backend: Any, examples: Sequence[Example]) -> list[np.ndarray | None]:
    """The true pictures through the model's autoencoder, uint8; None where the truth is no picture.

    Also None without a backend. A picture that the model sees in one piece goes through whole; larger ones, and
    sides that it does not take, in the tiles in which the model itself works on them.
    """
    bounds: list[np.ndarray | None] = [None] * len(examples)
    numbers = [i for i, e in enumerate(examples) if backend is not None and answers_with_image(e.instruction.task)]
    numbers = [i for i in numbers if "no-target" not in examples[i].record.tags]
    whole = [i for i in numbers if _in_one_piece(backend, examples[i].target.shape)]
    for size in {examples[i].target.shape for i in whole}:
        same = [i for i in whole if examples[i].target.shape == size]
        copies = backend.decode_latents(backend.encode_image(np.stack([examples[i].target for i in same])))
        for i, copy in zip(same, copies, strict=True):
            bounds[i] = as_bytes(copy)
    for i in numbers:
        if bounds[i] is None:
            bounds[i] = tiled_copy(backend, examples[i].target)
    return bounds


def _side(backend: Any) -> int:
    return int(getattr(getattr(backend, "components", None), "resolution", 0))


def _in_one_piece(backend: Any, shape: tuple[int, ...]) -> bool:
    side = _side(backend)
    return not any(s % backend.multiple or (side and s > side) for s in shape[:2])


def tiled_copy(backend: Any, picture: np.ndarray) -> np.ndarray | None:
    """A picture uint8 [h, w, 3] through the autoencoder tile by tile, as restoration goes; None without a size."""
    from ..imaging.resize import model_size
    from ..imaging.tiling import Blend, cut_tiles, overlap_of, pad_for_tiles, plan_tiles

    if not _side(backend):
        return None
    tile = model_size((1, 1), _side(backend), backend.multiple)[0]
    padded = pad_for_tiles(picture, tile, backend.factor)
    blend = Blend(padded.shape[:2], tile, overlap_of(tile))
    places = plan_tiles([padded.shape[:2]], tile, overlap_of(tile), backend.factor)
    for first in range(0, len(places), 16):
        batch = places[first : first + 16]
        copies = backend.decode_latents(backend.encode_image(cut_tiles([padded], batch, tile)))
        for t, copy in zip(batch, copies, strict=True):
            blend.add(t.y, t.x, copy)
    return as_bytes(blend.result()[: picture.shape[0], : picture.shape[1]])


def save_done(path: Path, settings: Mapping[str, Any], rows: Sequence[Row], **more: Any) -> None:
    """Write a finished task whole, with the settings under which it counts as done."""
    write_json(path, {"settings": dict(settings), **more, "rows": list(rows)})


def load_done(path: Path, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """What `save_done` wrote under exactly these settings; None if there is nothing, or it was made otherwise."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        same = data["settings"] == json.loads(json.dumps(dict(settings)))
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None
    return data if same and isinstance(data.get("rows"), list) else None
