"""Editing: a picture, words that say what to change, and the changed picture."""

from __future__ import annotations

import random
from typing import Any, ClassVar

import numpy as np

from ...imaging.resize import resize_picture
from ..records import Record
from .archives import read_group, read_member
from .problems import Flaw, text
from .reader import Reader, naming
from .referring import phrase
from .stored_images import read_picture, same_size

_SHARES = {"train": (0.0, 0.9), "val": (0.9, 0.95), "test": (0.95, 1.0)}
TOLERANCE = 0.03  # by which the shapes of source and target may differ; the target is then resized


class EditReader(Reader):
    """Rows of a source (`image`), a `target` and `instructions`, of which one is drawn each time.

    A picture's place in a row is a file name, ["zip", file, place...] or ["parquet", file, row group, row].
    A target of slightly another shape is resized to the source's (then meta["resized"]); of quite another
    shape, the record is broken.
    """

    tasks: ClassVar[tuple[str, ...]] = ("edit",)
    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test")
    columns: ClassVar[tuple[str, ...]] = ()  # of parquet files
    turned = False  # whether EXIF rotations are carried out
    _held: tuple[Any, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_held"}

    def read(self, row: dict[str, Any], rng: random.Random) -> Record:
        """The pair with one of its instructions."""
        row = self.unfolded(row)
        image = self.picture_at(row["image"], "source")
        target = self.picture_at(row["target"], "target")
        meta = {"name": row["id"], **row.get("meta", {})}
        if target.shape != image.shape:
            with naming(place_name(row["target"])):
                target = fitted(target, image)
            meta["resized"] = True
        words = phrase(rng.choice(row["instructions"]))
        return Record(image, (words,), target, caption=row.get("caption", ""), meta=meta)

    def unfolded(self, row: dict[str, Any]) -> dict[str, Any]:
        """The row with all it needs, where the index holds less."""
        return row

    def picture_at(self, place: Any, kind: str) -> np.ndarray:
        """The picture at a place in a row; Flaw."""
        if isinstance(place, str):
            return self.load(place, turned=self.turned)
        with naming(place[1]):
            return read_picture(self.bytes_at(place, kind), turned=self.turned)

    def bytes_at(self, place: Any, kind: str) -> bytes:
        """What lies at a place in an archive; Flaw."""
        if place[0] == "zip":
            return read_member(self.path(place[1]), place[2:])
        cell = self.cell(place, {"source": self.columns[0], "target": self.columns[1]}[kind])
        data = cell.get("bytes") if isinstance(cell, dict) else cell
        if not isinstance(data, bytes):
            raise Flaw(f"the {kind} picture is {type(data).__name__}: expected its bytes")
        return data

    def cell(self, place: Any, column: str) -> Any:
        """A cell of a parquet file; its row group is held until another one is asked for."""
        key = (place[1], place[2])
        if self._held is None or self._held[0] != key:
            self._held = None  # let go of the old one before the new one comes
            self._held = key, read_group(self.path(place[1]), place[2], list(self.columns))
        return self._held[1].column(column)[place[3]].as_py()

    def files_of(self, row: dict[str, Any]) -> list[str]:
        """The files (or archives) of source and target."""
        return [place_name(row["image"]), place_name(row["target"])]

    def share(self, count: int) -> range:
        """The numbers below count that the split has where a dataset is not split: 90, 5 and 5 %, in order.

        A single one is for training.
        """
        if count == 1:
            return range(int(self.split == "train"))
        first, last = _SHARES[self.split]
        return range(int(first * count), int(last * count))


def place_name(place: Any) -> str:
    """The file of a place in a row."""
    return place if isinstance(place, str) else place[1]


def fitted(target: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The target at the source's size; Flaw where their shapes differ by more than `TOLERANCE`."""
    (h, w), (th, tw) = image.shape[:2], target.shape[:2]
    if abs((th * w) / (tw * h) - 1) > TOLERANCE:
        same_size(target, (h, w), "the source")
    return np.ascontiguousarray(resize_picture(target, (h, w)))


def instructions_of(*values: Any) -> list[str]:
    """Words, or lists of words, as one list without repeats; Flaw where there are none."""
    instructions: list[str] = []
    for value in values:
        for words in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(words, str) and words.strip(" .!"):
                instructions.append(text(words, "the instruction"))
    if not instructions:
        raise Flaw("there is no instruction")
    return list(dict.fromkeys(instructions))
