"""COCO-Stuff: 80 things and 91 kinds of stuff, a class number a pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .coco import beside
from .index import Builder
from .labelmaps import VOID, LabelMapReader, read_label_file, read_list, stems
from .problems import Flaw
from .reader import first_file, first_folder
from .stored_images import read_values

# Of 182 numbers: labels.txt names these things too ("street sign", "hat", ...), but nobody annotated them. They show in
# no label map, whatever the picture holds, so that to ask for them would teach (and score) wrong answers.
_NEVER = frozenset({12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91})
_CLASSES = 182 - len(_NEVER)
# The two ways of storing them: what is stored for number 1, a person, and for nothing.
_STUFFTHINGMAPS = (0, 255)
_DEFAULT = (1, 0)
_LOOKED_AT = 64  # label maps that are asked which way it is, evenly spread
_SIDECAR = "numbers.txt"


class CocoStuff(LabelMapReader):
    """annotations/{train,val}2017/<id>.png with labels.txt, and COCO's pictures, there or in a folder coco beside.

    The stored numbers are those of stuffthingmaps_trainval2017.zip, 0 to 181, one less than those of labels.txt
    ("1: person"), with 255 for void; or the default ones of labels.txt itself, 1 to 182, with 0 for "unlabeled", as
    the authors' tools write them. Which of the two, the maps themselves tell: each has numbers that the other cannot
    have. Where none of those looked at has one, a file numbers.txt beside labels.txt says it: what is stored for a
    person, 0 or 1. The classes are the 171 that were annotated. In training a fifth of the questions is for a class
    that does not show, as in the paper.
    """

    name = "coco-stuff"
    title = "COCO-Stuff"
    source = "https://github.com/nightrome/cocostuff (stuffthingmaps_trainval2017.zip, labels.txt)"
    splits: ClassVar[tuple[str, ...]] = ("train", "val")
    version: ClassVar[int] = 3

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
        candidates = [f"images/{split}", split]
        if self.images:
            pictures = first_folder(self.images, [split, ""])
        else:
            pictures = first_folder(self.root, candidates) or first_folder(self.root.parent, beside(split))
        if pictures is None:
            raise self.incomplete(labels, [*candidates, *(f"../{name}" for name in beside(split))], "pictures")
        return pictures, labels

    def files(self) -> list[Path]:
        """labels.txt."""
        _, labels = self.folders()
        path = first_file(self.root, ["labels.txt", "annotations/labels.txt", "stuffthingmaps/labels.txt"])
        if path is None:
            raise self.incomplete(labels, ["labels.txt"], "names of the classes")
        sidecar = path.with_name(_SIDECAR)
        return [path, sidecar] if sidecar.is_file() else [path]

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
        maps = stems(builder, labels, ".png")
        person, void = self._numbering([labels / f"{name}.png" for name in maps]) if maps else _STUFFTHINGMAPS
        if (person, void) == _DEFAULT:
            builder.remark(
                "label maps hold the default numbers, 0 unlabeled and 1 person: they are read so", len(maps)
            )
        builder.notes["shift"], builder.notes["void"] = person - 1, void
        bare = [n.removesuffix("_labelTrainIds") for n in maps]
        unpaired = set(stems(builder, pictures, ".jpg")) - set(bare)
        self.pairs(builder, pictures, sorted({*bare, *unpaired}), labels)

    def labels(self, row: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
        """By the way of storing that the index names."""
        shift = self.notes["shift"]
        table = {number + shift: place for place, number in enumerate(self.notes["numbers"])}
        return self.map_values(row, {**table, self.notes["void"]: VOID})

    def _numbering(self, maps: list[Path]) -> tuple[int, int]:
        """(what is stored for a person, for nothing), by numbers.txt or by the maps themselves; Flaw if none tells."""
        if more := self.files()[1:]:
            words = read_list(more[0])
            ways = {str(way[0]): way for way in (_STUFFTHINGMAPS, _DEFAULT)}
            if words[0] not in ways:
                raise Flaw(f"{_SIDECAR} says {words[0]!r}: expected 0 or 1, what is stored for a person")
            return ways[words[0]]
        held: set[int] = set()
        for place in np.unique(np.linspace(0, len(maps) - 1, _LOOKED_AT).astype(int)):
            try:
                held.update(np.unique(read_values(maps[place])).tolist())
            except Flaw:  # a damaged map: named when it is read
                continue
        annotated = {n for n in range(1, 183) if n not in _NEVER}
        fits = [
            (person, void)
            for person, void in (_STUFFTHINGMAPS, _DEFAULT)
            if held <= {void, *(n + person - 1 for n in annotated)}
        ]
        if len(fits) == 1:
            return fits[0]
        if 255 in held or not held:  # damaged in part, or wholly: each map is named when it is read
            return _STUFFTHINGMAPS
        why = "both ways" if fits else "neither way"
        raise Flaw(
            f"the label maps can be read {why}: as stuffthingmaps_trainval2017.zip stores them (0 person, 255 void) or "
            f"by labels.txt (0 unlabeled, 1 person). Write 0 or 1, what is stored for a person, into a file "
            f"{_SIDECAR} beside labels.txt"
        )
