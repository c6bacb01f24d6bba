"""Breadth tables: figures of every shape of picture beside the square's, and of every size of things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...tasks import get_task
from ..breadth import ratio_subset
from ..measures import Figure, Row, figures
from ..metrics import match_boxes, mean

SQUARE = "1:1"
SLACK, SLACK_DB = 0.02, 0.5  # how far below the square's a figure may be
FOUND, FROM, TO = 0.9, 0.08, 0.85  # the share of things to be found that are so large
HALF = 0.5  # of IoU: from here on a thing counts as found
SHAPES, SIZES = "Pictures of other shapes", "Things of other sizes"
BARS = {
    SHAPES: f"shares within {SLACK:g} of 1:1, pictures within {SLACK_DB:g} dB of it",
    SIZES: f"{FOUND:g} found of things of {FROM:.0%} to {TO:.0%} of the shorter side",
}


@dataclass(frozen=True)
class Line:
    """A figure of a task in several columns. judged: columns with a bar -> the least value that reaches it."""

    task: str
    metric: str
    columns: Mapping[str, Figure]
    square: Figure | None = None
    judged: Mapping[str, float] = field(default_factory=dict)

    @property
    def reached(self) -> dict[str, bool]:
        """Whether the bar is reached, of every column with one."""
        return {name: self.columns[name].value >= least for name, least in self.judged.items()}

    def cell(self, name: str) -> str:
        """What stands in a column: the value, and in brackets how far it is from the square's."""
        figure = self.columns.get(name)
        if figure is None:
            return "-"
        digits = 2 if figure.unit == "dB" else 3
        text = f"{figure.value:.{digits}f}"
        if self.square is None or figure is self.square:
            return text
        return f"{text} ({figure.value - self.square.value:+.{digits}f})"

    @property
    def verdict(self) -> str:
        """ "yes", or "no" with the columns that miss; "-" where nothing is judged."""
        missed = [name for name, reached in self.reached.items() if not reached]
        return "-" if not self.judged else "no: " + ", ".join(missed) if missed else "yes"

    def data(self) -> dict[str, Any]:
        """Plain data: column -> value, n, and where there is one the bar and whether it is reached."""
        data: dict[str, Any] = {}
        for name, figure in self.columns.items():
            data[name] = {"value": figure.value, "n": figure.n, "unit": figure.unit}
            if self.square is not None:
                data[name]["difference"] = figure.value - self.square.value
            if name in self.judged:
                data[name] |= {"target": self.judged[name], "reached": self.reached[name]}
        return data


def shape_lines(task: str, rows: Sequence[Row], ratios: Sequence[str]) -> list[Line]:
    """The figures of a task at every ratio: cIoU and recall, points, accuracy, PSNR, judged beside the square's."""
    parts = {r: [row for row in rows if row["subset"] == ratio_subset(r)] for r in ratios}
    made = {r: {f.metric: f for f in shape_figures(task, part)} for r, part in parts.items() if part}
    lines = []
    for metric in dict.fromkeys(metric for some in made.values() for metric in some):
        columns = {r: some[metric] for r, some in made.items() if metric in some}
        square = columns.get(SQUARE)
        judged: dict[str, float] = {}
        if square is not None and metric in JUDGED:
            least = square.value - (SLACK_DB if square.unit == "dB" else SLACK)
            judged = {r: least for r in columns if r != SQUARE}
        lines.append(Line(task, metric, columns, square, judged))
    return lines


def size_lines(task: str, rows: Sequence[Row], extents: Sequence[float]) -> list[Line]:
    """The share of things that a task finds, of every size."""
    columns: dict[str, Figure] = {}
    judged: dict[str, float] = {}
    for extent in extents:
        part = [row for row in rows if row["subset"] == f"extent {extent:g}"]
        if part:
            name = percent(extent)
            columns[name] = _recall(task, part)
            if FROM <= extent <= TO:
                judged[name] = FOUND
    return [Line(task, f"found at IoU {HALF:g}", columns, None, judged)] if columns else []


def percent(extent: float) -> str:
    """A share as a column is headed: "8 %"."""
    return f"{100 * extent:g} %"


# What the bars are for; the others stand beside to explain them.
JUDGED = frozenset(
    (f"recall at IoU {HALF:g}", "cIoU", "visible points found", "visible points found within 3 % of the shorter side",
     "accuracy", "PSNR", "PSNR where changed")
)  # fmt: skip


def shape_figures(task: str, rows: Sequence[Row]) -> list[Figure]:
    """The figures that shapes are compared by; the order is that of the table."""
    usual = {figure.metric: figure for figure in figures(task, rows)}
    metric = get_task(task).metric
    if metric == "masks":
        return [*_some(usual, "cIoU"), *_there(_recall(task, rows)), *_some(usual, "absent answered empty")]
    if metric == "boxes":
        return [*_there(_recall(task, rows)), *_some(usual, "box AP50", "absent answered empty")]
    if metric == "points":
        visible = sum(row["visible"] for row in rows)
        close = sum(row["close"] for row in rows) / visible if visible else float("nan")
        near = Figure("visible points found within 3 % of the shorter side", close, visible)
        return [*_some(usual, "visible points found"), *_there(near), *_some(usual, "OKS AP")]
    if metric == "label":
        return _some(usual, "accuracy")
    if metric == "edit":
        return _some(usual, "PSNR where changed", "PSNR of the rest")
    return _some(usual, "PSNR", "gain over doing nothing")


def _some(usual: Mapping[str, Figure], *names: str) -> list[Figure]:
    return [usual[name] for name in names if name in usual]


def _there(figure: Figure) -> list[Figure]:
    return [figure] if figure.n else []


def _recall(task: str, rows: Sequence[Row]) -> Figure:
    """The share of what is there that is found: pictures' masks together, or single boxes."""
    present = [row for row in rows if not row["absent"]]
    name = f"recall at IoU {HALF:g}"
    if get_task(task).metric != "boxes":
        hits = [float(row["both"] >= HALF * row["either"]) for row in present]
        return Figure(name, mean(hits), len(present))
    matched = total = 0
    for row in present:
        boxes, truth = (np.asarray(row[k], np.float64).reshape(-1, 4) for k in ("boxes", "truth"))
        matched += int(match_boxes(boxes, np.asarray(row["scores"]), truth, HALF).sum())
        total += len(truth)
    return Figure(name, matched / total if total else float("nan"), total)


Heads = tuple[str, ...]


def table_lines(lines: Sequence[Line], names: Sequence[str]) -> list[Heads]:
    """Rows with a head: task, metric, a column for each name, how many samples, and whether bars are reached."""
    head = ("task", "metric", *names, "n", "reached")
    body = [
        (one.task, one.metric, *map(one.cell, names), str(max(f.n for f in one.columns.values())), one.verdict)
        for one in lines
    ]
    return [head, *body]
