"""Reader: a dataset as people have it on disk -> records. The registry of all readers stands in `__init__`."""

from __future__ import annotations

import random
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from ...results import Boxes, Keypoints, Label, Masks
from ...tasks import get_task
from ...utils.errors import UsageError
from ..records import Record
from .index import Builder, Index, open_index
from .problems import POLICIES, BrokenRecord, Flaw, LayoutIncomplete, LayoutMissing, Problem, named, relative
from .stored_images import read_picture, same_size

_SEED = 0x9E3779B97F4A7C15  # spreads consecutive numbers over all records


@runtime_checkable
class RecordReader(Protocol):
    """What training and evaluation need of a reader."""

    name: ClassVar[str]
    task: str
    split: str

    def __len__(self) -> int: ...

    def record(self, index: int, rng: random.Random | None = None) -> Record:
        """Record number `index`; rng decides what is left open (None: the index does)."""
        ...

    def sample(self, seed: int) -> Record:
        """The record that a seed, any whole number, draws."""
        ...


class Reader(ABC):
    """Records of one split of a dataset for one task; decoded when asked for, from an index kept on disk.

    root: the folder of the download. split: one of `splits`. task: one of `tasks` (None: the first).
    images: the folder of pictures where they lie apart from the annotations. cache: where indices go (None:
    the user's cache folder). on_broken: "skip" keeps broken records in `problems` and goes on, "raise" stops at
    the first with BrokenRecord. remake: make the index anew.

    LayoutMissing (a FileNotFoundError) says what was looked for and where the public download is; ValueError
    for an unknown split or task.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]  # where the public download is
    tasks: ClassVar[tuple[str, ...]]
    splits: ClassVar[tuple[str, ...]] = ("train", "val")
    archived: bool = False  # whether pictures lie in archives, which are then among the `files`
    version: ClassVar[int] = 1  # raised when rows come to mean something else

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        task: str | None = None,
        *,
        images: str | Path | None = None,
        cache: str | Path | None = None,
        on_broken: str = "skip",
        remake: bool = False,
    ) -> None:
        if split not in self.splits:
            raise UsageError(f"{self.name} has the splits {', '.join(self.splits)}; got {split!r}")
        if task is not None and task not in self.tasks:
            raise ValueError(f"{self.name} is read for {', '.join(self.tasks)}; got {task!r}")
        if on_broken not in POLICIES:
            raise ValueError(f"expected on_broken to be one of {', '.join(POLICIES)}; got {on_broken!r}")
        self.root = Path(root).absolute()
        self.split = split
        self.task = task or self.tasks[0]
        self.images = None if images is None else Path(images).absolute()
        self.on_broken = on_broken
        if not self.root.is_dir():
            raise LayoutMissing(f"{self.title}: there is no folder {self.root}. Download: {self.source}")
        files = self.files()
        apart = "" if images is None else f"-{hash_of(str(self.images)):x}"
        self._index: Index = open_index(
            self.root,
            f"{self.name.replace('+', 'plus')}-{split}-{self.task}-v{self.version}{apart}",
            files,
            self._build,
            cache=None if cache is None else Path(cache),
            on_broken=on_broken,
            remake=remake,
        )
        self._read_problems: dict[int, Problem] = {}  # by index: ids need not be unique in a broken file

    @abstractmethod
    def files(self) -> list[Path]:
        """The annotation files that the index is made from (none for plain folders); LayoutMissing if not there."""

    @abstractmethod
    def build(self, builder: Builder) -> None:
        """Write the index: a row a record, a problem for each that is broken."""

    @abstractmethod
    def read(self, row: dict[str, Any], rng: random.Random) -> Record:
        """The record of a row; Flaw where a file of it is damaged."""

    def _build(self, builder: Builder) -> None:
        try:
            self.build(builder)
        except Flaw as error:  # of a whole file: a reader names those of records itself
            files = self.files()
            builder.problem(files[0] if files else self.root, "the whole file", error)
        if not builder.count and not builder.problems and not builder.left_out:
            files = self.files()
            builder.problem(files[0] if files else self.root, "all of it", "there is no record")

    def __len__(self) -> int:
        return len(self._index.rows)

    @property
    def items(self) -> int:
        """How many things the dataset has, as a training weight counts them: its records, unless a reader says else."""
        return len(self)

    def draw(self, rng: random.Random) -> int:
        """The index of a record, every one of the `items` as likely; ValueError without records."""
        if not len(self):
            raise ValueError(f"{self.name} {self.split} in {self.root} has no record that can be read")
        return rng.randrange(len(self))

    @property
    def rows(self) -> Sequence[dict[str, Any]]:
        """The rows of the index, decoded when asked for."""
        return self._index.rows  # type: ignore[return-value]

    @property
    def notes(self) -> dict[str, Any]:
        """What the index holds besides its rows: names of categories, ..."""
        return self._index.notes

    @property
    def fresh(self) -> bool:
        """Whether the index was made just now (else it came from the cache)."""
        return self._index.fresh

    @property
    def problems(self) -> list[Problem]:
        """All that is broken: found while indexing, and while reading so far."""
        return [*self._index.problems, *self._read_problems.values()]

    @property
    def left_out(self) -> Counter[str]:
        """What is no record by the dataset's own rules, counted by reason."""
        return self._index.left_out

    @property
    def remarks(self) -> Counter[str]:
        """What is read otherwise than the files say it, counted by what it is."""
        return self._index.remarks

    def path(self, name: str) -> Path:
        """The file of a name in a row (absolute where pictures lie apart)."""
        return named(self.root, name)

    def record(self, index: int, rng: random.Random | None = None) -> Record:
        """Record `index`; what is open in it (which joints, which class) is drawn by `rng` (None: by the index).

        BrokenRecord where one of its files is missing, damaged or of another size; it is then in `problems` too.
        """
        row = self._index.rows[index]
        return self._checked(index, lambda: self.read(row, rng or random.Random(f"{self.name} {index}")))

    def _checked(self, index: int, make: Callable[[], Record]) -> Record:
        row = self._index.rows[index]
        try:
            record = make()
            check_record(record, self.task)
            return record
        except Flaw as error:
            problem = Problem(str(getattr(error, "file", self.picture_of(row))), str(row["id"]), str(error))
        except (OSError, ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
            reason = f"{type(error).__name__}: {error}"
            problem = Problem(self.picture_of(row), str(row["id"]), reason)
        self._read_problems[index] = problem
        raise BrokenRecord(problem)

    def files_of(self, row: dict[str, Any]) -> list[str]:
        """The names of the files that the record of a row is read from, the source picture first."""
        return [row["image"]]

    def picture_of(self, row: dict[str, Any]) -> str:
        """The name of the source picture of a row, for messages."""
        return self.files_of(row)[0]

    def records(self) -> Iterator[tuple[int, Record]]:
        """(index, record) of all that can be read, in order; what cannot is skipped or fatal by `on_broken`."""
        for index in range(len(self)):
            try:
                yield index, self.record(index)
            except BrokenRecord:
                if self.on_broken == "raise":
                    raise

    def sample(self, seed: int) -> Record:
        """A record drawn by `seed`, for training; where it is broken, the next one that can be read.

        BrokenRecord by the policy "raise", or where sixteen in a row are broken; ValueError without records.
        """
        rng = random.Random(f"{self.name} sample {int(seed)}")
        first = self.draw(rng)
        for attempt in range(min(16, len(self))):
            try:
                return self.record((first + attempt) % len(self), rng)
            except BrokenRecord:
                if self.on_broken == "raise" or attempt == min(16, len(self)) - 1:
                    raise
        raise AssertionError("unreachable")

    def load(self, name: str, size: Sequence[int] | None = None, *, turned: bool = False) -> np.ndarray:
        """The picture of a name in a row, uint8 [h, w, 3]; Flaw unless it is of `size` where given."""
        with naming(name):
            picture = read_picture(self.path(name), turned=turned)
            if size is not None:
                same_size(picture, size, "the annotation")
        return picture

    def missing(self, candidates: Sequence[str], what: str = "") -> LayoutMissing:
        """The error that names what was looked for and where it can be had."""
        start = f"{self.title} ({what})" if what else self.title
        if len(candidates) == 1:
            return LayoutMissing(f"{start}: {self.root} lacks {candidates[0]}. Download: {self.source}")
        listed = "\n".join(f"  {name}" for name in candidates)
        return LayoutMissing(f"{start}: {self.root} holds none of\n{listed}\nDownload: {self.source}")

    def incomplete(self, path: Path, candidates: Sequence[str], what: str = "") -> LayoutIncomplete:
        """The error for a split of which `found` is there, and none of what was looked for to go with it."""
        about = f"{self.split}, {what}" if what else self.split
        return LayoutIncomplete(
            f"{self.title} ({about}): {relative(path, self.root)} is there, and in {self.root} there is none of "
            f"{', '.join(candidates)}. Download: {self.source}",
            path,
        )

    def used(self) -> list[Path]:
        """The files and folders that make a folder one of this dataset; LayoutMissing."""
        return self.files()

    @classmethod
    def parts(cls, root: str | Path, images: str | Path | None = None) -> list[tuple[str, str]]:
        """(split, task) of what a folder holds of this dataset."""
        return [(r.split, r.task) for r, error in cls.looks(root, images) if error is None]

    @classmethod
    def looks(
        cls, root: str | Path, images: str | Path | None = None
    ) -> Iterator[tuple[Reader, LayoutMissing | None]]:
        """For every split and task a reader without an index, and what is missing (None: nothing)."""
        for split in cls.splits:
            for task in cls.tasks:
                reader = cls.__new__(cls)
                reader.root, reader.split, reader.task = Path(root).absolute(), split, task
                reader.images = None if images is None else Path(images).absolute()
                try:
                    reader.files()
                except LayoutMissing as error:
                    yield reader, error
                else:
                    yield reader, None


class naming:
    """Within it, a Flaw learns the file that it is about."""

    def __init__(self, file: str) -> None:
        self.file = file

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, Flaw) and not hasattr(error, "file"):
            error.file = self.file  # type: ignore[attr-defined]


def first_file(root: Path, candidates: Sequence[str]) -> Path | None:
    """The first of the files (relative names, * allowed for one part) that is there."""
    for name in candidates:
        matches = sorted(root.glob(name)) if "*" in name else [root / name]
        for path in matches:
            if path.is_file():
                return path
    return None


def first_folder(root: Path, candidates: Sequence[str]) -> Path | None:
    """The first of the folders that is there ("" is the root itself)."""
    for name in candidates:
        matches = sorted(root.glob(name)) if "*" in name else [root / name if name else root]
        for path in matches:
            if path.is_dir():
                return path
    return None


def hash_of(text: str) -> int:
    """A number for a text that is the same in every process."""
    return zlib.crc32(text.encode())


def check_record(record: Record, task: str) -> None:
    """Flaw unless the target fits the picture and the task."""
    h, w = record.image.shape[:2]
    target = record.target
    if not isinstance(target, get_task(task).target_type):
        raise Flaw(f"{task} needs a target of another kind than {type(target).__name__}")
    if isinstance(target, (Masks, Keypoints, Boxes)) and target.canvas_size != (h, w):
        raise Flaw(f"the target is of {target.canvas_size} and the picture of {(h, w)} (height, width)")
    if isinstance(target, np.ndarray):
        if target.dtype != np.uint8 or target.shape != record.image.shape:
            raise Flaw(
                f"the target picture is of {target.shape[:2]} and the source of {(h, w)} (height, width)"
            )
    if isinstance(target, tuple) and not isinstance(target[0], Label):
        raise Flaw(f"{task} needs a label and a mask")


__all__ = [
    "Builder",
    "Reader",
    "RecordReader",
    "check_record",
    "first_file",
    "first_folder",
    "naming",
    "relative",
]
