"""Restoration: a damaged picture and the clean one, file by file."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..record import Record
from .base import Reader
from .cache import Builder
from .pictures import same_size
from .problems import Flaw, relative

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

    def partner(self, name: str) -> str:
        """The clean picture's name of a damaged one's."""
        return name

    def build(self, builder: Builder) -> None:
        """A row a pair; a picture without its partner is a problem."""
        for damaged, clean in self.folders():
            add_pairs(builder, damaged, clean, self.partner)

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


def add_pairs(builder: Builder, damaged: Path, clean: Path, partner: Any = lambda name: name) -> None:
    """Rows of the pictures of two folders that have each other's names."""
    names = builder.names(damaged, *PICTURES)
    wanted = {partner(name) for name in names}
    for name in names:
        with builder.guard(damaged / name, name):
            target = clean / partner(name)
            if not builder.exists(target):
                raise Flaw(f"the clean picture {relative(target, builder.root)} is missing")
            image = relative(damaged / name, builder.root)
            builder.add(id=image, image=image, target=relative(target, builder.root))
    for name in builder.names(clean, *PICTURES):
        if name not in wanted:
            builder.problem(clean / name, name, f"the damaged picture in {damaged.name} is missing")


def subfolders(folder: Path) -> Iterator[Path]:
    """Folders in a folder, in order of their names."""
    if folder.is_dir():
        yield from sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
