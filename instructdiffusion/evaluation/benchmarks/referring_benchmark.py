"""Referring segmentation: cIoU, and for phrases that may mean nothing gRefCOCO's gIoU, N-acc and T-acc."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ...datasets.records import Example
from ..evaluator import Case
from ..measures import Figure, Row, measure
from ..metrics import Overlap, ciou, giou, mean, no_target_accuracy, target_accuracy
from .benchmark import ReaderBenchmark, percent, value


class Refer(ReaderBenchmark):
    """A unit is an expression, with one question."""

    task = "refer"

    def cases(self, unit: int) -> list[Case]:
        """The expression."""
        return [self.case(unit, "", partial(self.reader.record, unit))]

    def row(self, case: Case, example: Example, answer: Any, bound: np.ndarray | None) -> Row:
        """Pixels in both masks and in either, at the picture's own size."""
        return measure(example, answer.result)

    def figures(self, rows: Sequence[Row]) -> list[Figure]:
        """cIoU and mean IoU; N-acc and T-acc where some phrase means nothing."""
        overlaps = [Overlap(row["both"], row["either"]) for row in rows]
        absent, empty = [row["absent"] for row in rows], [row["empty"] for row in rows]
        some = any(absent)
        made = [
            Figure("cIoU", ciou(overlaps), len(rows)),
            Figure("gIoU" if some else "mean IoU", giou(overlaps), len(rows)),
            Figure("IoU above .5", mean([float(o.iou > 0.5) for o in overlaps]), len(rows)),
        ]
        if some:
            made += [
                Figure("N-acc", no_target_accuracy(absent, empty), sum(absent)),
                Figure("T-acc", target_accuracy(absent, empty), len(rows) - sum(absent)),
            ]
        return made

    def cell(self, figures: Sequence[Figure]) -> str:
        """cIoU, two digits."""
        return percent(value(figures, "cIoU"), 2)
