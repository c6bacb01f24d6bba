"""Sources: datasets on disk to train on, and a mixture whose entries are scenes' tasks and such sources.

A training sample is a pure function of (the mixture, seed, index): which source, which record of it, what is
asked, how the picture is seen and how the question is worded.
"""

from __future__ import annotations

import hashlib
import math
import os
import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..tasks import get_task
from .augmentation import augment, fitted
from .mixture import Mixture
from .readers import LayoutMissing, open_reader, reader_named
from .readers.problems import BrokenRecord, Problem
from .readers.reader import Reader
from .readers.topdown import MARGIN, PoseReader
from .records import Example, Record, join

IN_A_ROW = 64  # broken records after which a source is given up
_HELD_OUT = ("val", "valid", "test", "testA")


@dataclass(frozen=True)
class Source:
    """A split of a dataset on disk, as a config names it.

    dataset: a reader's name. root: its folder; ~ and ${VARIABLES} are filled in when it is opened. task: one of
    the reader's (None: its first). weight: how often each of its items comes, relative to those of other
    sources (the paper's sampling weights): a source's share grows with weight x items, which are records or, of
    referring expressions, refs with all their sentences. optional: left out
    where it is not there, rather than an error. images: the folder of pictures where they lie apart.
    """

    dataset: str
    root: str
    split: str = "train"
    task: str | None = None
    weight: float = 1.0
    optional: bool = False
    images: str | None = None

    def __post_init__(self) -> None:
        for name in ("dataset", "root", "split"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value:
                raise ValueError(f"expected `{name}` of a source to be a word or a path, got {value!r}")
        number = isinstance(self.weight, (int, float)) and not isinstance(self.weight, bool)
        if not number or not 0 < self.weight < math.inf:
            raise ValueError(f"expected `weight` of {self.dataset} to be above 0, got {self.weight!r}")
        if not isinstance(self.optional, bool):
            raise ValueError(
                f"expected `optional` of {self.dataset} to be true or false, got {self.optional!r}"
            )
        reader = reader_named(self.dataset)
        if self.split not in reader.splits:
            raise ValueError(f"{self.dataset} has the splits {', '.join(reader.splits)}; got {self.split!r}")
        if self.task is not None and self.task not in reader.tasks:
            raise ValueError(f"{self.dataset} is read for {', '.join(reader.tasks)}; got {self.task!r}")

    @property
    def label(self) -> str:
        """ "refcoco train refer": what it is called in messages."""
        return f"{self.dataset} {self.split} {self.asked}"

    @property
    def asked(self) -> str:
        """The task."""
        return self.task or reader_named(self.dataset).tasks[0]


def located(path: str, reader: type[Reader]) -> Path:
    """A path of a config with ~ and ${VARIABLES} filled in; LayoutMissing where a variable is not set."""
    expanded = os.path.expanduser(os.path.expandvars(path))
    if unset := re.findall(r"\$\{?(\w+)", expanded):
        raise LayoutMissing(
            f"{reader.title}: {path} names the variable {unset[0]}, which is not set: set it to the folder of "
            f"your datasets. Download: {reader.source}"
        )
    return Path(expanded)


@dataclass(frozen=True, eq=False)
class OpenSource:
    """A source whose records can be read; pickles small, so that workers get it."""

    source: Source
    reader: Any

    @property
    def share(self) -> float:
        """weight x items."""
        weight: float = self.source.weight * self.reader.items
        return weight

    def indexed(self) -> list[tuple[str, str]]:
        """(source, what is wrong) of the records that the index names as broken."""
        return [(self.source.label, str(problem)) for problem in self.reader.problems]

    def example(self, seed: int, size: int, broken: list[tuple[str, str]], plain: bool = False) -> Example:
        """The example that `seed` draws, `size` pixels square; a pure function of these.

        Where its record is broken, the next one that can be read; what was broken is added to `broken` as
        (source, what is wrong). BrokenRecord where `IN_A_ROW` follow one another, or for the first by the reader's
        policy "raise". plain: no augmentation.
        """
        first = self.reader.draw(random.Random(f"{self.source.label} {int(seed)}"))
        tries = min(IN_A_ROW, len(self.reader))
        for attempt in range(tries):
            try:
                return self._made((first + attempt) % len(self.reader), seed, size, plain)
            except BrokenRecord as error:
                if self.reader.on_broken == "raise":
                    raise _named(error, self.source) from error
                broken.append((self.source.label, str(error)))
                last = error.problem
        reason = f"{tries} records in a row cannot be read; the last: {last.reason}. Run `instructdiffusion data check`"
        raise BrokenRecord(Problem(str(self.reader.root), f"{self.source.label}, {last.record}", reason))

    def _made(self, index: int, seed: int, size: int, plain: bool) -> Example:
        rng = random.Random(f"{self.source.label} {int(seed)} {index}")
        task = self.reader.task
        record = self._record(index, rng)
        try:
            view = fitted(record, task, size, seed) if plain else augment(record, task, seed, size)
            return join(view, get_task(task), rng)
        except (ValueError, TypeError) as error:  # words that no template takes, ...
            row = self.reader.rows[index]
            raise BrokenRecord(
                Problem(self.reader.picture_of(row), str(row["id"]), f"{type(error).__name__}: {error}")
            ) from error

    def _record(self, index: int, rng: random.Random) -> Record:
        reader = self.reader
        if isinstance(reader, PoseReader) and reader.task == "keypoints":
            # All joints of the whole picture: the view is cut from it, and then the joints are chosen that it shows.
            record = reader.ask(index, reader.names)
            margin = type(reader).margin or MARGIN
            return replace(record, meta={**record.meta, "margin": margin, "half_body": reader.half_body})
        plain: Record = reader.record(index, rng)
        return plain


@dataclass(frozen=True, eq=False)
class Sources:
    """The sources of a config that are there, and what was said about those that are not.

    notes: a line for each source that was left out, for each whose index names broken records, and for each kind of
    thing that is read otherwise than its files say.
    """

    opened: tuple[OpenSource, ...]
    notes: tuple[str, ...] = ()

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks, in order, each once."""
        return tuple(dict.fromkeys(s.reader.task for s in self.opened))

    def key(self) -> list[list[Any]]:
        """What samples depend on, as plain data: dataset, split, task, weight, records and a digest of the index.

        Where the folder lies does not matter.
        """
        return [
            [
                s.source.dataset,
                s.source.split,
                s.reader.task,
                s.source.weight,
                len(s.reader),
                index_digest(s.reader),
            ]
            for s in self.opened
        ]


def index_digest(reader: Reader) -> str:
    """A digest of what a reader's index says of its records."""
    digest = hashlib.blake2b(f"{reader.name} {type(reader).version}".encode(), digest_size=12)
    for name in ("offsets.npy", "rows.bin"):
        with open(reader._index.folder / name, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _named(error: BrokenRecord, source: Source) -> BrokenRecord:
    """The error with the source that it is about."""
    problem = error.problem
    return BrokenRecord(replace(problem, record=f"{source.label}, {problem.record}"))


def open_sources(sources: Iterable[Source], on_broken: str = "skip") -> Sources:
    """Open the sources: their indices are made, or read from the cache.

    on_broken: "skip" names broken records in `notes` and goes on with the others, "raise" stops at the first with
    BrokenRecord, here or where it is drawn.

    An optional one that is not there, has no record, or needs a library that is not installed, is left out and
    named in `notes`. LayoutMissing for a required one, which says where its download is; ValueError where it
    has no record.
    """
    opened, notes = [], []
    for source in sources:
        kind = reader_named(source.dataset)
        try:
            root = located(source.root, kind)
            images = None if source.images is None else located(source.images, kind)
            options = {"images": images, "on_broken": on_broken}
            reader = open_reader(source.dataset, root, source.split, source.task, **options)
            if not len(reader):
                first = f": {reader.problems[0]}" if reader.problems else ""
                raise LayoutMissing(
                    f"{kind.title}: {root} has no record of {source.split} that can be read{first}"
                )
        except (LayoutMissing, ModuleNotFoundError) as error:
            if not source.optional:
                raise
            notes.append(f"{source.label} is left out: {str(error).splitlines()[0]}")
            continue
        except BrokenRecord as error:
            raise _named(error, source) from error
        if isinstance(reader, PoseReader) and reader.task == "keypoints":
            reader.margin = None  # whole pictures: augmentation cuts for itself
        if reader.problems:
            count, total = len(reader.problems), len(reader.problems) + len(reader)
            notes.append(f"{source.label}: {count} of {total} records are broken, first {reader.problems[0]}")
        notes += [f"{source.label}: {number} {what}" for what, number in reader.remarks.items()]
        opened.append(OpenSource(source, reader))
    return Sources(tuple(opened), tuple(notes))


@dataclass(frozen=True, eq=False)
class SourceMixture:
    """Tasks drawn as scenes, with weights, beside sources; `scenes_share` of the samples are scenes.

    The share counts where there are both. ValueError where there is neither.
    """

    scenes: Mapping[str, float]
    sources: Sources
    scenes_share: float = 0.5
    _mixture: Mixture = field(init=False, repr=False)
    _entries: dict[str, str | OpenSource] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        scenes = {name: weight for name, weight in self.scenes.items() if weight > 0}
        share = self.scenes_share if scenes and self.sources.opened else float(bool(scenes))
        total = sum(scenes.values())
        entries: dict[str, str | OpenSource] = {}
        weights: dict[str, float] = {}
        for name, weight in scenes.items():
            weights[f"scenes {name}"], entries[f"scenes {name}"] = share * weight / total, name
        whole = sum(s.share for s in self.sources.opened)
        for number, opened in enumerate(self.sources.opened):
            label = opened.source.label
            name = f"{label} ({number})" if label in entries else label
            weights[name], entries[name] = (1 - share) * opened.share / whole, opened
        if not weights:
            said = "".join(f"\n  {note}" for note in self.sources.notes)
            raise LayoutMissing(
                f"there is nothing to train on: no scenes in `data.mixture`, no dataset found{said}"
            )
        object.__setattr__(self, "_mixture", Mixture(weights))
        object.__setattr__(self, "_entries", entries)

    @property
    def shares(self) -> dict[str, float]:
        """The share of the samples that each entry has; they add up to 1."""
        return dict(self._mixture.weights)

    def pick(self, seed: int, index: int) -> tuple[str | OpenSource, int]:
        """The scenes' task or the source, and the record seed, of sample `index`: a pure function of both numbers."""
        name, record_seed = self._mixture.pick(seed, index)
        return self._entries[name], record_seed


def held_out(
    sources: Sequence[Source],
    count: int,
    size: int,
    on_broken: str = "skip",
    broken: list[tuple[str, str]] | None = None,
) -> tuple[dict[str, tuple[Example, ...]], list[str]]:
    """({source: `count` examples, or as many as there are}, notes): plain views of splits that are not trained on.

    The split is val, valid, test or testA, the first that is on disk; sources without one are named in the notes, as
    are broken records. on_broken: as in `open_sources`. broken: (source, what is wrong) of each is added to it.
    """
    by_label: dict[str, tuple[Example, ...]] = {}
    notes: list[str] = []
    for source in sources:
        splits = [s for s in _HELD_OUT if s in reader_named(source.dataset).splits and s != source.split]
        other = None
        for split in splits:
            there = open_sources([replace(source, split=split, optional=True)], on_broken)
            if there.opened:
                other = there.opened[0]
                notes += there.notes
                break
        if other is None:
            notes.append(f"{source.label} has no held-out split on disk: it is not validated")
            continue
        met: list[tuple[str, str]] = []
        number = min(count, len(other.reader))
        examples = tuple(other.example(seed, size, met, plain=True) for seed in range(number))
        by_label[other.source.label] = examples
        notes += told(met)
        if broken is not None:
            broken += [*other.indexed(), *met]
    return by_label, notes


def told(broken: Iterable[tuple[str, str]]) -> list[str]:
    """A line a source for records that could not be read: how many, how often, and the first."""
    return [
        f"{label}: {len(texts)} broken records met {sum(texts.values())} times, the next ones were taken; "
        f"first {next(iter(texts))}"
        for label, texts in by_source(broken).items()
    ]


def by_source(broken: Iterable[tuple[str, str]]) -> dict[str, Counter[str]]:
    """What is wrong and how often it was met, by source, in the order in which each came first."""
    counts: dict[str, Counter[str]] = {}
    for label, text in broken:
        counts.setdefault(label, Counter())[text] += 1
    return counts
