"""ADE20K with 150 classes (the scene parsing challenge's)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .index import Builder
from .labelmaps import VOID, LabelMapReader, stems
from .problems import Flaw, regular
from .reader import first_file

_COUNT = 150


class Ade20k(LabelMapReader):
    """ADEChallengeData2016/{images,annotations}/{training,validation}; 0 is everything else.

    The names come from objectInfo150.txt of the same download.
    """

    name = "ade20k-150"
    title = "ADE20K-150"
    source = "http://sceneparsing.csail.mit.edu (ADEChallengeData2016.zip)"
    splits: ClassVar[tuple[str, ...]] = ("train", "val")

    def folders(self) -> tuple[Path, Path]:
        """(pictures, label maps); LayoutMissing."""
        name = {"train": "training", "val": "validation"}[self.split]
        bases = [self.root / "ADEChallengeData2016", self.root]
        for base in bases:
            folders = base / "images" / name, base / "annotations" / name
            if all(folder.is_dir() for folder in folders):
                return folders
        candidates = [f"ADEChallengeData2016/{kind}/{name}/" for kind in ("images", "annotations")]
        for half in (base / kind / name for base in bases for kind in ("images", "annotations")):
            if half.is_dir():
                raise self.incomplete(
                    half, [n for n in candidates if half.parent.name not in n], "the other half"
                )
        raise self.missing(candidates)

    def files(self) -> list[Path]:
        """objectInfo150.txt."""
        _, labels = self.folders()
        path = first_file(self.root, ["ADEChallengeData2016/objectInfo150.txt", "objectInfo150.txt"])
        if path is None:
            raise self.incomplete(labels, ["ADEChallengeData2016/objectInfo150.txt"], "names of the classes")
        return [path]

    def build(self, builder: Builder) -> None:
        """A row a picture."""
        pictures, labels = self.folders()
        builder.notes["classes"] = read_object_info(self.files()[0])
        names = {*stems(builder, pictures, ".jpg"), *stems(builder, labels, ".png")}
        self.pairs(builder, pictures, sorted(names), labels)

    def labels(self, row: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
        """Stored numbers 1 to 150 are the classes."""
        return self.map_values(row, {0: VOID, **{n: n - 1 for n in range(1, _COUNT + 1)}})


def read_object_info(path: Path) -> list[str]:
    """The 150 names of objectInfo150.txt (tab-separated: number, ratio, train, val, stuff, name); Flaw."""
    try:
        lines = regular(path).read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise Flaw("not a text") from None
    rows = [line.split("\t") for line in lines if line.strip()]
    names = {int(row[0]): row[-1].strip() for row in rows if row[0].strip().isdigit() and len(row) > 1}
    if sorted(names) != list(range(1, _COUNT + 1)):
        raise Flaw(f"it names {len(names)} classes: expected {_COUNT}, a line each")
    return [names[n] for n in range(1, _COUNT + 1)]
