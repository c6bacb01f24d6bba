"""Measures: an answer beside its truth as plain numbers, and the figures of a task from many of them.

Every answer becomes one row of JSON data; figures are made from rows alone, so that a table can be made
again, or for a part of the samples, without the model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..datasets.records import Example
from ..results import Boxes, Keypoints, Label, Masks
from ..tasks import get_task
from .metrics import (
    THRESHOLDS,
    Overlap,
    box_ap,
    box_iou,
    capped_psnr,
    ciou,
    giou,
    match_boxes,
    mean,
    oks,
    oks_ap,
    overlap,
)

Row = dict[str, Any]
NEAR = 0.03  # of the picture's longer side: how far a point may be off to count as near
KEPT_DB = 35.0  # a picture that had to stay counts as left alone from here on


@dataclass(frozen=True)
class Figure:
    """A metric's value over n samples (points, where it counts points); target None: none is set.

    unit: "share" (0..1) or "dB". Larger is better, or smaller where `falling`.
    """

    metric: str
    value: float
    n: int
    target: float | None = None
    unit: str = "share"
    falling: bool = False

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None without a target."""
        if self.target is None or math.isnan(self.value):
            return None
        return self.value <= self.target if self.falling else self.value >= self.target


@dataclass(frozen=True)
class Metric:
    """How answers of a kind are measured, one by one, and what many rows come to.

    Attributes:
        measure: From an example, its answer and the truth through the autoencoder (None where none counts) to a row.
        figures: From rows to figures, the one to compare by first.
    """

    measure: Callable[[Example, Any, np.ndarray | None], Row]
    figures: Callable[[Sequence[Row]], list[Figure]]


def measure(example: Example, result: Any, bound: np.ndarray | None = None) -> Row:
    """The row of an answer: what its task's figures need, `absent`, `empty`, and `quality` to sort by.

    result: as the task decodes it. bound: the true picture through the model's autoencoder, uint8, or None.
    absent: nothing had to be drawn; empty: nothing was. TypeError where the result is not the task's.
    """
    row = METRICS[get_task(example.instruction.task).metric].measure(example, result, bound)
    return {name: plain(value) for name, value in row.items()}


def figures(task: str, rows: Sequence[Row]) -> list[Figure]:
    """The task's figures over rows, the one to compare by first; those without any sample are left out."""
    made, bars = METRICS[get_task(task).metric].figures(rows), get_task(task).bars
    return [replace(f, target=bars.get(f.metric)) for f in made if f.n and not math.isnan(f.value)]


def plain(value: Any) -> Any:
    """JSON data: numbers of numpy as Python's, what is not finite as None."""
    if isinstance(value, np.ndarray):
        return [plain(v) for v in value.tolist()]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _check(result: Any, kind: type) -> None:
    if not isinstance(result, kind):
        raise TypeError(f"expected an answer of kind {kind.__name__}, got {type(result).__name__}")


def _measure_masks(example: Example, result: Any, bound: np.ndarray | None) -> Row:
    _check(result, Masks)
    answer, truth = result.union(), example.record.target.union()
    both, either = overlap(answer, truth)
    return {
        "both": both,
        "either": either,
        "absent": not truth.any(),
        "empty": not answer.any(),
        "quality": Overlap(both, either).iou,
    }


def _measure_points(example: Example, result: Any, bound: np.ndarray | None) -> Row:
    _check(result, Keypoints)
    truth, names = example.record.target, example.instruction.subjects
    xy, visible, scores = _one_row(result, names)
    true_xy, true_visible, _ = _one_row(truth, names)
    area = float(example.record.meta["area"])
    similar = oks(xy, visible, true_xy, true_visible, area)
    both = visible & true_visible
    pixels = np.linalg.norm(xy.astype(np.float64) - true_xy, axis=1)
    off = pixels / max(truth.canvas_size)
    alarms = visible & ~true_visible
    good = 1.0 if math.isnan(similar) else similar
    return {
        "oks": similar,
        "score": float(scores[visible].mean()) if visible.any() else None,
        "asked": len(names),
        "visible": true_visible.sum(),
        "found": both.sum(),
        "near": (off[both] <= NEAR).sum(),
        "close": (pixels[both] <= NEAR * min(truth.canvas_size)).sum(),  # whatever the longer side
        "alarms": alarms.sum(),
        "absent": not true_visible.any(),
        "empty": not visible.any(),
        "quality": good * (1 - alarms.sum() / len(names)),
    }


def _one_row(points: Keypoints, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """xy, visible, scores of the one figure asked for, in the order of names; nothing visible where it is none."""
    if not len(points):
        k = len(names)
        return np.zeros((k, 2), np.float32), np.zeros(k, bool), np.zeros(k, np.float32)
    order = [points.names.index(name) for name in names]
    return points.xy[0, order], points.visible[0, order], points.scores[0, order]


def _measure_boxes(example: Example, result: Any, bound: np.ndarray | None) -> Row:
    _check(result, Boxes)
    truth = example.record.target.xyxy
    most = max(len(result), len(truth))
    hits = match_boxes(result.xyxy, result.scores, truth, 0.5)
    apart = box_iou(result.xyxy, truth).max(1)[hits].sum() if hits.any() else 0.0
    return {
        "boxes": np.round(result.xyxy.astype(np.float64), 3),
        "scores": result.scores.astype(np.float64),
        "truth": truth.astype(np.float64),
        "absent": not len(truth),
        "empty": not len(result),
        "quality": float(apart) / most if most else 1.0,
    }


def _measure_label(example: Example, result: Any, bound: np.ndarray | None) -> Row:
    _check(result, Label)
    truth = example.record.target[0].name
    right = result.name == truth
    sure = float(result.scores.get(result.name, 1.0)) if result.name is not None else 1.0
    return {
        "answer": result.name,
        "truth": truth,
        "right": right,
        "absent": truth is None,
        "empty": result.name is None,
        "quality": 0.5 + 0.5 * sure if right else 0.5 - 0.5 * sure,
    }


def _measure_image(example: Example, result: Any, bound: np.ndarray | None) -> Row:
    _check(result, np.ndarray)
    truth = example.target
    got, nothing = capped_psnr(result, truth), capped_psnr(example.source, truth)
    return {
        "psnr": got,
        "nothing": nothing,
        "bound": None if bound is None else capped_psnr(bound, truth),
        "absent": False,
        "empty": False,
        "quality": got - nothing,
    }


def _measure_edit(example: Example, result: Any, bound: np.ndarray | None) -> Row:
    _check(result, np.ndarray)
    truth, source = example.target, example.source
    changed = (truth != source).any(2)
    inside, rest = capped_psnr(result, truth, changed), capped_psnr(result, truth, ~changed)
    everywhere = str(example.record.meta.get("kind", "")).startswith("style")
    return {
        "changed": inside,
        "changed_nothing": capped_psnr(source, truth, changed),
        "changed_bound": None if bound is None else capped_psnr(bound, truth, changed),
        "rest": None if everywhere else rest,  # a style is for the whole picture: nothing has to stay
        "absent": not changed.any(),
        "empty": capped_psnr(result, source) >= KEPT_DB,
        "quality": inside if changed.any() else rest,
    }


def _numbers(rows: Sequence[Row], name: str) -> list[float]:
    return [float("nan") if row[name] is None else float(row[name]) for row in rows]


def _share(rows: Sequence[Row], part: str, whole: str) -> tuple[float, int]:
    """(sum of part / sum of whole, sum of whole)."""
    total = sum(row[whole] for row in rows)
    return (sum(row[part] for row in rows) / total if total else float("nan")), total


def _empty(rows: Sequence[Row], name: str = "absent answered empty") -> Figure:
    absent = [row for row in rows if row["absent"]]
    return Figure(name, mean([float(row["empty"]) for row in absent]), len(absent))


def _mask_figures(rows: Sequence[Row]) -> list[Figure]:
    overlaps = [Overlap(row["both"], row["either"]) for row in rows]
    present = [row for row in rows if not row["absent"]]
    return [
        Figure("cIoU", ciou(overlaps), len(rows)),
        Figure("gIoU", giou(overlaps), len(rows)),
        Figure("present answered", mean([float(not row["empty"]) for row in present]), len(present)),
        _empty(rows),
    ]


def _point_figures(rows: Sequence[Row]) -> list[Figure]:
    similar, scores = _numbers(rows, "oks"), [row["score"] for row in rows]
    ap = [oks_ap(similar, scores, threshold) for threshold in THRESHOLDS]
    near, count = _share(rows, "near", "found")
    recall, visible = _share(rows, "found", "visible")
    correct, _ = _share(rows, "near", "visible")
    unseen = [{"alarms": row["alarms"], "hidden": row["asked"] - row["visible"]} for row in rows]
    alarms, hidden = _share(unseen, "alarms", "hidden")
    return [
        Figure("OKS AP", mean(ap), len(rows)),
        Figure("OKS AP50", ap[0], len(rows)),
        Figure("found points within 3 %", near, count),
        Figure("visible points found", recall, visible),
        Figure("visible points found within 3 %", correct, visible),
        Figure("hidden points marked", alarms, hidden, falling=True),
        _empty(rows),
    ]


def _box_figures(rows: Sequence[Row]) -> list[Figure]:
    def array(values: Any) -> np.ndarray:
        return np.asarray(values, np.float64).reshape(-1, 4)

    pictures = [(array(r["boxes"]), np.asarray(r["scores"]), array(r["truth"])) for r in rows]
    ap = [box_ap(pictures, threshold) for threshold in THRESHOLDS]
    return [
        Figure("box AP50", ap[0], len(rows)),
        Figure("box AP", mean(ap), len(rows)),
        _empty(rows),
    ]


def _label_figures(rows: Sequence[Row]) -> list[Figure]:
    present = [row for row in rows if not row["absent"]]
    return [Figure("accuracy", mean([float(r["right"]) for r in present]), len(present)), _empty(rows)]


def _restoration_figures(rows: Sequence[Row]) -> list[Figure]:
    got, nothing = mean(_numbers(rows, "psnr")), mean(_numbers(rows, "nothing"))
    bound, n = mean(_numbers(rows, "bound")), len(rows)
    return [
        Figure("gain over doing nothing", got - nothing, n, unit="dB"),
        Figure("PSNR", got, n, unit="dB"),
        Figure("PSNR of doing nothing", nothing, n, unit="dB"),
        Figure("PSNR of the VAE bound", bound, n, unit="dB"),
        Figure("above the VAE bound", got - bound, n, unit="dB"),
    ]


def _edit_figures(rows: Sequence[Row]) -> list[Figure]:
    n = sum(not row["absent"] for row in rows)
    rest = [v for v in _numbers(rows, "rest") if not math.isnan(v)]
    return [
        Figure("PSNR where changed", mean(_numbers(rows, "changed")), n, unit="dB"),
        Figure("there, doing nothing", mean(_numbers(rows, "changed_nothing")), n, unit="dB"),
        Figure("there, the VAE bound", mean(_numbers(rows, "changed_bound")), n, unit="dB"),
        Figure("PSNR of the rest", mean(rest), len(rest), unit="dB"),
        _empty(rows, "absent left alone"),
    ]


METRICS: Mapping[str, Metric] = {  # by the name a task has for its own (`Task.metric`)
    "masks": Metric(_measure_masks, _mask_figures),
    "points": Metric(_measure_points, _point_figures),
    "boxes": Metric(_measure_boxes, _box_figures),
    "label": Metric(_measure_label, _label_figures),
    "restoration": Metric(_measure_image, _restoration_figures),
    "edit": Metric(_measure_edit, _edit_figures),
}
