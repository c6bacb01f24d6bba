"""Detection: box AP, each category asked for in the pictures that show it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ...datasets.records import Example
from ..evaluator import Case
from ..measures import Figure, Row, figures, measure
from .benchmark import ReaderBenchmark, percent, value


class Detect(ReaderBenchmark):
    """A unit is a category in a picture, with one question."""

    task = "detect"

    def cases(self, unit: int) -> list[Case]:
        """The category."""
        return [self.case(unit, "", partial(self.reader.record, unit))]

    def row(self, case: Case, example: Example, answer: Any, bound: np.ndarray | None) -> Row:
        """Boxes found and true, in pixels."""
        return measure(example, answer.result)

    def figures(self, rows: Sequence[Row]) -> list[Figure]:
        """AP over all categories as one ranking."""
        made = figures("detect", rows)
        return [Figure(f.metric, f.value, f.n) for f in sorted(made, key=lambda f: f.metric != "box AP")]

    def cell(self, figures: Sequence[Figure]) -> str:
        """AP, one digit."""
        return percent(value(figures, "box AP"), 1)

    def notes(self, rows: Sequence[Row]) -> dict[str, Any]:
        """How this AP differs from COCO's."""
        return {"categories": "one ranking; only categories that show are asked for, crowds are left out"}
