"""Semantic segmentation, a class at a time: mcIoU."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ...datasets.readers.labelmaps import LabelMapReader
from ...datasets.records import Example
from ...results import Masks
from ..evaluator import Case
from ..measures import Figure, Row
from ..metrics import Overlap, ciou, mean, mean_class_iou, overlap
from ..metrics.class_iou import ClassOverlaps, class_overlaps
from .benchmark import ReaderBenchmark, percent, value


class Semantic(ReaderBenchmark):
    """A unit is a picture; with `absent` it is asked for every class, else for those that it shows.

    Asking for every class is the standard reading: what is drawn for a class that is not there counts against it. On
    datasets of many classes that is many questions (2,000 pictures x 847 classes).
    """

    task = "segment"
    reader: LabelMapReader

    def __init__(self, name: str, reader: LabelMapReader, absent: bool = True) -> None:
        super().__init__(name, reader)
        self.absent = absent

    def options(self) -> dict[str, Any]:
        """Whether absent classes are asked for."""
        return {"absent classes asked": self.absent}

    def cases(self, unit: int) -> list[Case]:
        """A question a class."""
        names = self.reader.classes if self.absent else self.reader.present(unit)
        return [self.case(unit, name, partial(self.reader.ask, unit, name)) for name in names]

    def row(self, case: Case, example: Example, answer: Any, bound: np.ndarray | None) -> Row:
        """Pixels in both masks and in either, without those that have no label."""
        result = answer.result
        if not isinstance(result, Masks):
            raise TypeError(f"expected an answer of kind Masks, got {type(result).__name__}")
        record = example.record
        union, truth = result.union(), record.target.union()
        over = overlap(union, truth, record.meta.get("void"))
        return {
            "class": record.meta["class"],
            "both": over.both,
            "either": over.either,
            "absent": not truth.any(),
            "empty": not union.any(),
            "quality": over.iou,
        }

    def classes(self, rows: Sequence[Row]) -> dict[str, ClassOverlaps]:
        """The sums of every class asked for."""
        return class_overlaps((r["class"], Overlap(r["both"], r["either"]), not r["absent"]) for r in rows)

    def figures(self, rows: Sequence[Row]) -> list[Figure]:
        """mcIoU over classes that show somewhere, and how often absent classes were left alone."""
        score, count = mean_class_iou(self.classes(rows))
        overlaps = [Overlap(row["both"], row["either"]) for row in rows]
        absent = [row for row in rows if row["absent"]]
        return [
            Figure("mcIoU", score, count),
            Figure("cIoU of all classes together", ciou(overlaps), len(rows)),
            Figure("absent answered empty", mean([float(r["empty"]) for r in absent]), len(absent)),
        ]

    def cell(self, figures: Sequence[Figure]) -> str:
        """mcIoU, two digits."""
        return percent(value(figures, "mcIoU"), 2)

    def notes(self, rows: Sequence[Row]) -> dict[str, Any]:
        """The IoU of every class that shows."""
        classes = self.classes(rows)
        return {
            **self.options(),
            "mean over": "classes that show in a picture asked about",
            "classes": {name: round(c.iou, 4) for name, c in classes.items() if c.shown},
            "classes that show nowhere": sum(not c.shown for c in classes.values()),
        }
