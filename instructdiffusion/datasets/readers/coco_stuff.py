"""COCO-Stuff: 80 things and 91 kinds of stuff, a class number a pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .coco import beside
from .index import Builder
from .labelmaps import VOID, LabelMapReader, read_label_file, stems
from .problems import Flaw
from .reader import first_file, first_folder

# Of 182 numbers: labels.txt names these things too ("street sign", "hat", ...), but nobody annotated them. They show in
# no label map, whatever the picture holds, so that to ask for them would teach (and score) wrong answers.
_NEVER = frozenset({12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91})
_CLASSES = 182 - len(_NEVER)


class CocoStuff(LabelMapReader):
    """annotations/{train,val}2017/<id>.png with labels.txt, and COCO's pictures, there or in a folder coco beside.

    The stored numbers are 0 to 181, one less than those of labels.txt ("1: person"); 255 is void. The classes are the
    171 that were annotated. In training a fifth of the questions is for a class that does not show, as in the paper.
    """

    name = "coco-stuff"
    title = "COCO-Stuff"
    source = "https://github.com/nightrome/cocostuff (stuffthingmaps_trainval2017.zip, labels.txt)"
    splits: ClassVar[tuple[str, ...]] = ("train", "val")
    version: ClassVar[int] = 2

    @property
    def absent(self) -> float:  # type: ignore[override]
        """The share of questions for what does not show."""
        return 0.2 if self.split == "train" else 0.0

    def folders(self) -> tuple[Path, Path]:
        """(pictures, label maps); LayoutMissing."""
        split = f"{self.split}2017"
        places = [f"annotations/{split}", f"stuffthingmaps/{split}", f"stuffthingmaps_trainval2017/{split}"]
        labels = first_folder(self.root, places)
        if labels is None:
            raise self.missing(places, self.split)
        wanted = [f"images/{split}", split]
        if self.images:
            pictures = first_folder(self.images, [split, ""])
        else:
            pictures = first_folder(self.root, wanted) or first_folder(self.root.parent, beside(split))
        if pictures is None:
            raise self.incomplete(labels, [*wanted, *(f"../{name}" for name in beside(split))], "pictures")
        return pictures, labels

    def files(self) -> list[Path]:
        """labels.txt."""
        _, labels = self.folders()
        found = first_file(self.root, ["labels.txt", "annotations/labels.txt", "stuffthingmaps/labels.txt"])
        if found is None:
            raise self.incomplete(labels, ["labels.txt"], "names of the classes")
        return [found]

    def build(self, builder: Builder) -> None:
        """A row a picture."""
        pictures, labels = self.folders()
        listed = read_label_file(self.files()[0])
        names = {n: name for n, name in listed.items() if n and n not in _NEVER}  # 0: "unlabeled"
        if set(names) - set(range(1, 183)) or len(names) != _CLASSES:
            raise Flaw(
                f"it names {len(names)} classes: expected the {_CLASSES} of 1 to 182 that are annotated"
            )
        builder.notes["classes"] = [names[n] for n in sorted(names)]
        builder.notes["numbers"] = sorted(names)
        found = [n.removesuffix("_labelTrainIds") for n in stems(builder, labels, ".png")]
        unpaired = set(stems(builder, pictures, ".jpg")) - set(found)
        self.pairs(builder, pictures, sorted({*found, *unpaired}), labels)

    def labels(self, row: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
        """Stored number n is class n + 1 of labels.txt."""
        table = {number - 1: place for place, number in enumerate(self.notes["numbers"])}
        return self.map_values(row, {**table, 255: VOID})
