"""Restoration: a damaged picture and the clean one, file by file."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..records import Record
from .index import Builder
from .problems import Flaw, relative
from .reader import Reader
from .stored_images import same_size

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


class PairReader(Reader):
    """Rows of a damaged picture (`image`) and its clean partner (`target`), of one size."""

    @abstractmethod
    def folders(self) -> list[tuple[Path, Path]]:
        """(damaged, clean) folders; LayoutMissing."""

    def files(self) -> list[Path]:
        """None: the folders themselves are watched."""
        self.folders()
        return []

    def used(self) -> list[Path]:
        """The folders."""
        return [folder for pair in self.folders() for folder in pair]

    def pair_in(self, base: Path | None, kinds: Sequence[tuple[str, str]]) -> tuple[Path, Path] | None:
        """The first of the pairs of folders (damaged, clean) that `base` holds.

        None where it holds none; LayoutIncomplete where it holds one half of one.
        """
        if base is None:
            return None
        for names in kinds:
            damaged, clean = (base / name for name in names)
            if damaged.is_dir() and clean.is_dir():
                return damaged, clean
        halves = [base / name for names in kinds for name in names if (base / name).is_dir()]
        if not halves:
            return None
        lacking = [n for names in kinds if halves[0].name in names for n in names if n != halves[0].name]
        raise self.incomplete(
            halves[0], [f"{relative(base / n, self.root)}/" for n in lacking], "the other half"
        )

    def build(self, builder: Builder) -> None:
        """A row a pair; a picture without its partner is a problem."""
        for damaged, clean in self.folders():
            add_pairs(builder, damaged, clean)

    def read(self, row: dict[str, Any], rng: random.Random) -> Record:
        """The damaged picture with the clean one as target."""
        image = self.load(row["image"])
        target = self.load(row["target"])
        try:
            same_size(target, image.shape[:2], "the damaged picture")
        except Flaw as error:
            error.file = row["target"]  # type: ignore[attr-defined]
            raise
        return Record(image, (), target, meta={"name": row["id"]})

    def files_of(self, row: dict[str, Any]) -> list[str]:
        """The damaged picture and the clean one."""
        return [row["image"], row["target"]]


def add_pairs(
    builder: Builder, damaged: Path, clean: Path, partner: Callable[[str], str] = lambda name: name
) -> None:
    """Rows of the pictures of two folders; partner: the name of the clean one of a damaged one's."""
    names = builder.names(damaged, *PICTURES)
    partners = {partner(name) for name in names}
    for name in names:
        with builder.guard(damaged / name, name):
            target = clean / partner(name)
            if not builder.exists(target):
                raise Flaw(f"the clean picture {relative(target, builder.root)} is missing")
            image = relative(damaged / name, builder.root)
            builder.add(id=image, image=image, target=relative(target, builder.root))
    for name in builder.names(clean, *PICTURES):
        if name not in partners:
            builder.problem(clean / name, name, f"the damaged picture in {damaged.name} is missing")


def subfolders(folder: Path) -> Iterator[Path]:
    """Folders in a folder, in order of their names."""
    if folder.is_dir():
        yield from sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
