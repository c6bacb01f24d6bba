"""Semantic segmentation: a class number a pixel; a record asks for one class of a picture."""

from __future__ import annotations

import random
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ...results import Masks
from ..records import Record
from .index import Builder
from .problems import Flaw, regular, relative
from .reader import Reader, naming
from .stored_images import read_values

VOID = -1


class LabelMapReader(Reader):
    """One record a picture, asking for one class that is drawn anew each time.

    A class that shows is drawn, or, in the share `absent` of the draws, one that does not (its answer is an
    unchanged picture); also where the picture has no labelled pixel. `ask` asks for a class by name, `present`
    lists those that show: an evaluation over all classes goes through these. meta: class (its name), present
    (the names that show), void (bool [h, w], pixels that do not count, only where there are any).
    """

    tasks: ClassVar[tuple[str, ...]] = ("segment",)
    absent: float = 0.0

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the dataset's order."""
        return tuple(self.notes["classes"])

    @abstractmethod
    def labels(self, row: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
        """int32 [h, w]: the place of each pixel's class in `classes`, VOID where there is none; Flaw."""

    def load_labels(self, row: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
        """`labels`, checked against the picture and the number of classes."""
        with naming(row.get("labels", row["image"])):
            labels = self.labels(row, size)
            if labels.shape != tuple(size):
                raise Flaw(
                    f"the label map is of {labels.shape} and the picture of {tuple(size)} (height, width)"
                )
            if labels.max(initial=VOID) >= len(self.classes) or labels.min(initial=0) < VOID:
                raise Flaw(f"the label map has class {labels.max()}: there are {len(self.classes)}")
        return labels

    def present(self, index: int) -> tuple[str, ...]:
        """The names of the classes that show in a picture, in order; BrokenRecord."""
        return tuple(self._checked(index, lambda: self._asked(self.rows[index], None, None)).meta["present"])

    def ask(self, index: int, name: str) -> Record:
        """The picture of a record asked for the class `name`, whether it shows or not."""
        if name not in self.classes:
            raise ValueError(f"{self.name} has no class {name!r}")
        row = self.rows[index]
        return self._checked(index, lambda: self._asked(row, None, name))

    def read(self, row: dict[str, Any], rng: random.Random) -> Record:
        """The picture asked for a class drawn by `rng`."""
        return self._asked(row, rng, None)

    def files_of(self, row: dict[str, Any]) -> list[str]:
        """The picture and its label map."""
        return [row["image"], row["labels"]] if "labels" in row else [row["image"]]

    def _asked(self, row: dict[str, Any], rng: random.Random | None, name: str | None) -> Record:
        image = self.load(row["image"], row.get("size"))
        size = (image.shape[0], image.shape[1])
        labels = self.load_labels(row, size)
        numbers = [int(n) for n in np.unique(labels) if n != VOID]
        classes = self.classes
        if name is not None:
            number = classes.index(name)
        else:
            rng = rng or random.Random(0)
            hidden = not numbers or rng.random() < self.absent
            pool = sorted(set(range(len(classes))) - set(numbers)) if hidden else numbers
            number = rng.choice(pool or numbers)
        subject = f"the {spoken_class(classes[number], classes)}"
        mask = labels == number
        target = Masks(mask[None], np.ones(1), (subject,)) if mask.any() else Masks.empty(*size)
        meta: dict[str, Any] = {"class": classes[number], "present": tuple(classes[n] for n in numbers)}
        void = labels == VOID
        if void.any():
            meta["void"] = void
        tags = frozenset() if mask.any() else frozenset({"absent"})
        return Record(image, (subject,), target, tags=tags, meta=meta)

    def pairs(
        self,
        builder: Builder,
        folder: Path,
        names: Sequence[str],
        labels: Path,
        suffix: str = ".png",
        listed: Path | None = None,
    ) -> None:
        """Rows of pictures <name>.jpg with label maps <name><suffix>; what has no partner is a problem.

        listed: the file that has the names, for messages.
        """
        for name in names:
            with builder.guard(listed or folder / f"{name}.jpg", name):
                image = builder.picture(folder, f"{name}.jpg")
                partner = labels / f"{name}{suffix}"
                if not builder.exists(partner):
                    raise Flaw(f"its label map {relative(partner, self.root)} is missing")
                builder.add(id=name, image=image, labels=relative(partner, self.root))

    def map_values(self, row: dict[str, Any], table: Mapping[int, int]) -> np.ndarray:
        """The stored numbers of the label map of a row, each through `table`; Flaw for one that is not in it."""
        values = read_values(self.path(row["labels"]))
        if values.ndim != 2:
            raise Flaw("the label map has colours: expected a class number a pixel")
        out = np.full(values.shape, VOID, np.int32)
        for number in np.unique(values).tolist():
            if number not in table:
                raise Flaw(f"the label map has the number {number}, which names no class")
            if table[number] != VOID:
                out[values == number] = table[number]
        return out


def stems(builder: Builder, folder: Path, suffix: str) -> list[str]:
    """Names of the files in a folder with an ending, without it."""
    return [name[: -len(suffix)] for name in builder.names(folder, suffix)]


def read_list(path: Path) -> list[str]:
    """The first word of every line of a text file; Flaw where it holds none or is no text."""
    try:
        lines = regular(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise Flaw("not a text") from None
    stems = [line.split()[0] for line in lines if line.strip()]
    if not stems:
        raise Flaw("the list is empty")
    return stems


def read_label_file(path: Path, count: int | None = None) -> dict[int, str]:
    """number -> name of a file with a line "N: name" a class; Flaw for another form or another count."""
    try:
        lines = regular(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise Flaw("not a text") from None
    names: dict[int, str] = {}
    for place, line in enumerate(lines, 1):
        if not line.strip():
            continue
        match = re.fullmatch(r"\s*(\d+)\s*[:\t]\s*(\S.*?)\s*", line)
        if match is None:
            raise Flaw(f"line {place} is {line[:40]!r}: expected 'number: name'")
        if int(match.group(1)) in names:
            raise Flaw(f"line {place} gives number {match.group(1)} a second time")
        names[int(match.group(1))] = match.group(2)
    if count is not None and len(names) != count:
        raise Flaw(f"it names {len(names)} classes: expected {count}")
    return names


def spoken_class(name: str, classes: Sequence[str] = ()) -> str:
    """How a class is asked for: its first name, without marks; "wall-brick" is "brick wall".

    "building-other" is "building", unless a class of that name exists: then it is "other building".
    """
    first = re.split(r"[,;]", name)[0].strip().lower()
    head, dash, tail = first.partition("-")
    if not dash or first in _AS_WRITTEN:
        return " ".join(first.replace("-", " ").replace("_", " ").split())
    if tail in ("other", "stuff", "merged", "other-merged"):
        return f"other {head}" if head in classes else head
    return " ".join(f"{tail} {head}".replace("-", " ").replace("_", " ").split())


_AS_WRITTEN = {"window-blind", "t-shirt", "door-frame"}
