"""Runner: cases through a model in batches, each answer beside its truth, finished work kept on disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets.record import Example
from ..draw import as_bytes
from ..files import write_json
from .measures import PICTURE_TASKS, Row, measure

# examples of one task and their seeds -> answers in the same order, each with `.result` and `.picture`
Ask = Callable[[Sequence[Example], Sequence[int]], Sequence[Any]]


@dataclass(frozen=True)
class Case:
    """A question with its truth, made when its turn comes; subset: which part of a benchmark it belongs to."""

    seed: int
    subset: str
    make: Callable[[], Example]


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
        return model.run(
            [e.instruction for e in examples],
            [e.source for e in examples],
            seed=list(seeds),
            batch_size=batch_size,
            **options,
        )

    return ask


def answer_cases(
    ask: Ask, cases: Sequence[Case], batch_size: int = 64, editor: Any = None
) -> Iterator[Answered]:
    """Every case with its answer, batch by batch, in order; the noise of a case is its seed's.

    editor: the model's, for what its autoencoder makes of true pictures (`reconstructed`).
    """
    for first in range(0, len(cases), batch_size):
        batch = cases[first : first + batch_size]
        examples = [case.make() for case in batch]
        answers = ask(examples, [case.seed for case in batch])
        bounds = reconstructed(editor, examples)
        for case, example, answer, bound in zip(batch, examples, answers, bounds, strict=True):
            row = measure(example, answer.result, bound)
            row = {"seed": case.seed, "subset": case.subset, "groups": groups(example), **row}
            yield Answered(case, example, answer, row)


def groups(example: Example) -> list[str]:
    """What a sample counts among in a breakdown: its tags, the kind of its edit or damage, its figure."""
    record = example.record
    found = set(record.tags)
    kind = record.meta.get("kind")
    if isinstance(kind, str):
        found.add(kind.partition(":")[0] if example.instruction.task == "edit" else kind)
    if isinstance(record.meta.get("figure"), str):
        found.add(f"figure: {record.meta['figure']}")
    return sorted(found)


def reconstructed(editor: Any, examples: Sequence[Example]) -> list[np.ndarray | None]:
    """The true pictures through the model's autoencoder, uint8; None where the truth is no picture.

    Also None without an editor, and where a side is no multiple of what it takes.
    """
    bounds: list[np.ndarray | None] = [None] * len(examples)
    wanted = [i for i, e in enumerate(examples) if editor is not None and e.instruction.task in PICTURE_TASKS]
    wanted = [i for i in wanted if not any(side % editor.multiple for side in examples[i].target.shape[:2])]
    for size in {examples[i].target.shape for i in wanted}:
        same = [i for i in wanted if examples[i].target.shape == size]
        copies = editor.decode(editor.encode(np.stack([examples[i].target for i in same])))
        for i, copy in zip(same, copies, strict=True):
            bounds[i] = as_bytes(copy)
    return bounds


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
