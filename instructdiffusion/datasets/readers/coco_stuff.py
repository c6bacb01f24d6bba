"""COCO-Stuff: 80 things and 91 kinds of stuff, a class number a pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .base import first_file, first_folder
from .cache import Builder
from .labelmaps import VOID, LabelMapReader, read_label_file, stems
from .problems import Flaw

_CLASSES = 171  # of 182 numbers: eleven things were never annotated


class CocoStuff(LabelMapReader):
    """annotations/{train,val}2017/<id>.png with labels.txt, and COCO's pictures.

    The stored numbers are 0 to 181, one less than those of labels.txt ("1: person"); 255 is void. In training
    a fifth of the questions is for a class that does not show, as in the paper.
    """

    name = "coco-stuff"
    title = "COCO-Stuff"
    source = "https://github.com/nightrome/cocostuff (stuffthingmaps_trainval2017.zip, labels.txt)"
    splits: ClassVar[tuple[str, ...]] = ("train", "val")

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
        pictures = first_folder(self.images, [split, ""]) if self.images else first_folder(self.root, wanted)
        if pictures is None:
            raise self.missing(wanted, "pictures")
        return pictures, labels

    def files(self) -> list[Path]:
        """labels.txt."""
        self.folders()
        found = first_file(self.root, ["labels.txt", "annotations/labels.txt", "stuffthingmaps/labels.txt"])
        if found is None:
            raise self.missing(["labels.txt"], "names of the classes")
        return [found]

    def build(self, builder: Builder) -> None:
        """A row a picture."""
        pictures, labels = self.folders()
        names = read_label_file(self.files()[0])
        names.pop(0, None)  # "unlabeled"
        if set(names) - set(range(1, 183)) or len(names) not in (_CLASSES, 182):
            raise Flaw(f"it names {len(names)} classes: expected {_CLASSES}, numbered 1 to 182")
        builder.notes["classes"] = [names[n] for n in sorted(names)]
        builder.notes["numbers"] = sorted(names)
        found = [n.removesuffix("_labelTrainIds") for n in stems(builder, labels, ".png")]
        unpaired = set(stems(builder, pictures, ".jpg")) - set(found)
        self.pairs(builder, pictures, sorted({*found, *unpaired}), labels)

    def labels(self, row: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
        """Stored number n is class n + 1 of labels.txt."""
        table = {number - 1: place for place, number in enumerate(self.notes["numbers"])}
        return self.map_values(row, {**table, 255: VOID})
