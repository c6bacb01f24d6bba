"""Check: every record of a dataset looked at, what is broken listed, and a sheet of samples drawn."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...imaging.annotate import contact_sheet, enlarged, overlay
from ...imaging.resize import resize_picture
from ...tasks import get_task
from ..records import Example, Record, join
from . import READERS
from .problems import BrokenRecord, LayoutIncomplete, Problem, relative
from .reader import Reader

TITLES = ("given", "to be answered", "truth")
_CELL = 192
_SIDE = 512  # pictures larger than this are shrunk before they are drawn on


@dataclass(frozen=True)
class PartReport:
    """What was found in one split for one task.

    records: in the index. checked: of them, read and drawn. broken: all that is, in index and files. left_out:
    what is no record by the dataset's own rules. tags: how many of the checked carry each. remarks: what is read
    otherwise than the files say it.
    """

    split: str
    task: str
    records: int
    checked: int
    broken: tuple[Problem, ...]
    left_out: dict[str, int]
    tags: dict[str, int]
    seconds: float
    rows: tuple[tuple[str, list[np.ndarray]], ...] = ()
    remarks: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As plain data, without the pictures."""
        return {
            "split": self.split,
            "task": self.task,
            "records": self.records,
            "checked": self.checked,
            "left_out": self.left_out,
            "remarks": self.remarks,
            "tags": self.tags,
            "seconds": self.seconds,
            "broken": [{"file": p.file, "record": p.record, "reason": p.reason} for p in self.broken],
        }


def check_part(
    reader: Reader, *, limit: int | None = None, samples: int = 6, tick: Callable[[], None] = lambda: None
) -> PartReport:
    """Read every record of a reader (or `limit` of them, evenly spread), join it with its task, draw a few.

    tick is called once a record. Nothing is raised for what is broken, whatever the reader's policy: it is
    in the report.
    """
    started = time.monotonic()
    task = get_task(reader.task)
    count = len(reader)
    chosen = range(count) if limit is None or limit >= count else np.linspace(0, count - 1, limit).astype(int)
    sample = (
        set(np.linspace(0, len(chosen) - 1, min(samples, len(chosen))).astype(int).tolist())
        if count
        else set()
    )
    checked, tags, rows = 0, Counter[str](), []
    faults: list[Problem] = []
    for place, index in enumerate(chosen):
        tick()
        try:
            record = reader.record(int(index))
            row = reader.rows[int(index)]
            try:  # words that the task does not take are a fault of the record too
                task.instruct(record.subjects or None, rng=random.Random(int(index)))
            except (ValueError, TypeError) as error:
                faults.append(Problem(reader.picture_of(row), str(row["id"]), str(error)))
                raise BrokenRecord(faults[-1]) from None
        except BrokenRecord:  # what could not be read is among the reader's own problems
            sample.add(place + 1)  # the next one is shown in its stead
            continue
        checked += 1
        tags.update(record.tags)
        if place in sample:
            name = f"{reader.split}: {row['id']}"
            rows.append(_drawn(join(small(record), task, random.Random(f"{name} check")), name))
    seconds = round(time.monotonic() - started, 2)
    left_out = dict(reader.left_out)
    return PartReport(
        reader.split,
        reader.task,
        count,
        checked,
        (*reader.problems, *faults),
        left_out,
        dict(tags),
        seconds,
        tuple(rows[: samples + 2]),
        dict(reader.remarks),
    )


def survey(
    folder: Path, names: Sequence[str], images: Path | None = None
) -> dict[str, tuple[list[tuple[str, str]], list[tuple[str, str, LayoutIncomplete]]]]:
    """dataset -> (split, task) of what a folder holds of it whole, and with the error of what it holds one half of.

    names: the datasets to look for. One that it holds nothing of is left out, as is a half that belongs to what it
    holds of another one whole.
    """
    whole: dict[str, list[tuple[str, str]]] = {}
    halves: dict[str, list[tuple[str, str, LayoutIncomplete]]] = {}
    owner: dict[Path, str] = {}
    for name in names:
        whole[name], halves[name] = [], []
        for reader, error in READERS[name].looks(folder, images):
            if error is None:
                whole[name].append((reader.split, reader.task))
                owner.update(dict.fromkeys(reader.used(), name))
            elif isinstance(error, LayoutIncomplete):
                halves[name].append((reader.split, reader.task, error))
    own = {n: [half for half in halves[n] if owner.get(half[2].found, n) == n] for n in names}
    return {name: (whole[name], own[name]) for name in names if whole[name] or own[name]}


def half_report(folder: Path, split: str, task: str, error: LayoutIncomplete) -> PartReport:
    """The report of a split that is there by half: nothing in it can be read."""
    problem = Problem(relative(error.found, folder.absolute()), "the whole split", str(error))
    return PartReport(split, task, 0, 0, (problem,), {}, {}, 0.0)


def sheet(reports: list[PartReport]) -> np.ndarray:
    """The samples of all parts below one another, uint8 [h, w, 3]: given, to be answered, truth, instruction."""
    rows = [row for report in reports for row in report.rows]
    if not rows:
        return np.full((64, 256, 3), 250, np.uint8)
    titles = TITLES[: max(len(cells) for _, cells in rows)]  # a true picture is what is to be answered
    picture = contact_sheet([cells for _, cells in rows], titles, [text for text, _ in rows], _CELL)
    return np.asarray(picture.convert("RGB"))


def small(record: Record) -> Record:
    """The record with its longer side at most `_SIDE` pixels, target and all."""
    h, w = record.image.shape[:2]
    scale = _SIDE / max(h, w)
    if scale >= 1:
        return record
    size = max(8, round(h * scale)), max(8, round(w * scale))
    target = record.target
    if isinstance(target, np.ndarray):
        target = resize_picture(target, size)
    elif not isinstance(target, tuple):
        target = target.resize(*size)
    return replace(record, image=resize_picture(record.image, size), target=target)


def _drawn(example: Example, name: str) -> tuple[str, list[np.ndarray]]:
    truth = example.record.target
    cells = [example.source, example.target]
    if not isinstance(truth, np.ndarray):
        cells.append(overlay(enlarged(example.source), truth, list(example.instruction.colors) or None))
    return f"{name}\n{example.instruction.text}", [_shrunk(cell) for cell in cells]


def _shrunk(picture: np.ndarray) -> np.ndarray:
    image = Image.fromarray(picture)
    image.thumbnail((2 * _CELL, 2 * _CELL))  # sheets of many large pictures would not fit in memory
    return np.asarray(image)


def report_table(name: str, folder: Path, reports: list[PartReport], limit: int = 20) -> str:
    """The reports as text for people."""
    lines = [f"{name} in {folder}"]
    for report in reports:
        text = f"  {report.split:<9} {report.task:<10} {report.records:>8} records, {report.checked} read"
        text += f", {len(report.broken)} broken" if report.broken else ", none broken"
        if report.left_out:
            text += "; left out: " + ", ".join(f"{count} {why}" for why, count in report.left_out.items())
        lines.append(text + f" ({report.seconds:.1f} s)")
        lines += [f"    {count} {what}" for what, count in report.remarks.items()]
    broken = [problem for report in reports for problem in report.broken]
    lines += [f"  broken: {problem}" for problem in broken[:limit]]
    if len(broken) > limit:
        lines.append(f"  ... and {len(broken) - limit} more: all are in the report")
    return "\n".join(lines)
