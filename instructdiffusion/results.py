"""Typed answers: masks, keypoints, boxes, a label. Frozen, validated, sliced all fields together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from .utils.interrupts import check_interrupt

Index = Any  # what numpy takes as an index along the first axis


def _array(name: str, value: Any, dtype: Any, shape: tuple[int | None, ...]) -> np.ndarray:
    array = np.asarray(value)
    if dtype is bool and array.dtype != np.bool_ and array.size:
        raise TypeError(f"{name} must be boolean, got {array.dtype}: threshold it first")
    array = np.asarray(array, dtype)
    if array.ndim != len(shape) or any(w not in (None, g) for g, w in zip(array.shape, shape, strict=True)):
        expected = "[" + ", ".join("any" if s is None else str(s) for s in shape) + "]"
        raise ValueError(f"{name} must have shape {expected}, got {list(array.shape)}")
    if dtype is not bool and not np.isfinite(array).all():
        raise ValueError(f"{name} has values that are not finite")
    return array


def _rows(index: Index, count: int) -> np.ndarray:
    """Row numbers an index selects; a single integer keeps the row axis."""
    if isinstance(index, (int, np.integer)) and not -count <= index < count:
        raise IndexError(f"row {index} asked for, {count} there")  # also what ends a plain iteration
    return np.atleast_1d(np.arange(count)[index])


def _size(size: Any) -> tuple[int, int]:
    h, w = (int(v) for v in size)
    if h < 1 or w < 1:
        raise ValueError(f"canvas_size is (height, width), both at least 1, got {size}")
    return h, w


@dataclass(frozen=True, eq=False)
class Boxes:
    """n boxes: xyxy float32 [n, 4] in pixels (x2, y2 are exclusive edges), scores [n] in 0..1, labels."""

    xyxy: np.ndarray
    scores: np.ndarray
    labels: tuple[str, ...]
    canvas_size: tuple[int, int]
    message: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "xyxy", _array("xyxy", self.xyxy, np.float32, (None, 4)))
        object.__setattr__(self, "scores", _array("scores", self.scores, np.float32, (len(self.xyxy),)))
        object.__setattr__(self, "labels", tuple(self.labels))
        object.__setattr__(self, "canvas_size", _size(self.canvas_size))
        if len(self.labels) != len(self.xyxy):
            raise ValueError(f"{len(self.xyxy)} boxes need as many labels, got {len(self.labels)}")
        if (self.xyxy[:, 2:] < self.xyxy[:, :2]).any():
            raise ValueError("boxes are x1, y1, x2, y2 with x1 <= x2 and y1 <= y2")

    def __len__(self) -> int:
        return len(self.xyxy)

    def __getitem__(self, index: Index) -> Boxes:
        rows = _rows(index, len(self))
        labels = tuple(self.labels[i] for i in rows)
        return replace(self, xyxy=self.xyxy[rows], scores=self.scores[rows], labels=labels)

    @classmethod
    def empty(cls, h: int, w: int, message: str = "") -> Boxes:
        """No boxes on a canvas of (h, w)."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), (), (h, w), message)

    def resize(self, h: int, w: int) -> Boxes:
        """The same boxes on a canvas of (h, w)."""
        scale = np.float32([w / self.canvas_size[1], h / self.canvas_size[0]] * 2)
        return replace(self, xyxy=self.xyxy * scale, canvas_size=(h, w))


@dataclass(frozen=True, eq=False)
class Masks:
    """n masks: data bool [n, h, w], scores float32 [n] in 0..1, labels."""

    data: np.ndarray
    scores: np.ndarray
    labels: tuple[str, ...]
    message: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", _array("data", self.data, bool, (None, None, None)))
        object.__setattr__(self, "scores", _array("scores", self.scores, np.float32, (len(self.data),)))
        object.__setattr__(self, "labels", tuple(self.labels))
        _size(self.data.shape[1:])
        if len(self.labels) != len(self.data):
            raise ValueError(f"{len(self.data)} masks need as many labels, got {len(self.labels)}")

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: Index) -> Masks:
        rows = _rows(index, len(self))
        return replace(
            self, data=self.data[rows], scores=self.scores[rows], labels=tuple(self.labels[i] for i in rows)
        )

    @classmethod
    def empty(cls, h: int, w: int, message: str = "") -> Masks:
        """No masks on a canvas of (h, w)."""
        return cls(np.zeros((0, h, w), bool), np.zeros(0, np.float32), (), message)

    @property
    def canvas_size(self) -> tuple[int, int]:
        """(height, width) of the picture the masks lie on."""
        return int(self.data.shape[1]), int(self.data.shape[2])

    def union(self) -> np.ndarray:
        """bool [h, w]: what any of the masks covers."""
        return self.data.any(0)

    def boxes(self) -> Boxes:
        """The tight box of every mask; a mask without pixels gets the empty box 0, 0, 0, 0."""
        xyxy = np.zeros((len(self), 4), np.float32)
        for row, mask in enumerate(self.data):
            check_interrupt()
            ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            if len(ys):
                xyxy[row] = xs[0], ys[0], xs[-1] + 1, ys[-1] + 1
        return Boxes(xyxy, self.scores, self.labels, self.canvas_size, self.message)

    def resize(self, h: int, w: int) -> Masks:
        """The same masks on a canvas of (h, w): interpolated, then cut at one half."""
        if (h, w) == self.canvas_size:
            return self
        data = np.zeros((len(self), h, w), bool)
        for row, mask in enumerate(self.data):
            check_interrupt()
            image = Image.fromarray(mask.astype(np.uint8) * 255)
            data[row] = np.asarray(image.resize((w, h), Image.Resampling.BILINEAR)) >= 128
        return replace(self, data=data)


@dataclass(frozen=True, eq=False)
class Keypoints:
    """n sets of k named points: xy float32 [n, k, 2] in pixels, visible bool and scores [n, k], names [k].

    A point at the centre of the first pixel is (0.5, 0.5). Where `visible` is False there is no point
    and xy means nothing.
    """

    xy: np.ndarray
    visible: np.ndarray
    scores: np.ndarray
    names: tuple[str, ...]
    canvas_size: tuple[int, int]
    message: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "xy", _array("xy", self.xy, np.float32, (None, len(self.names), 2)))
        shape = (len(self.xy), len(self.names))
        object.__setattr__(self, "visible", _array("visible", self.visible, bool, shape))
        object.__setattr__(self, "scores", _array("scores", self.scores, np.float32, shape))
        object.__setattr__(self, "canvas_size", _size(self.canvas_size))

    def __len__(self) -> int:
        return len(self.xy)

    def __getitem__(self, index: Index) -> Keypoints:
        rows = _rows(index, len(self))
        return replace(self, xy=self.xy[rows], visible=self.visible[rows], scores=self.scores[rows])

    @classmethod
    def empty(cls, names: tuple[str, ...], h: int, w: int, message: str = "") -> Keypoints:
        """No points on a canvas of (h, w), though `names` were asked for."""
        k = len(names)
        xy, visible = np.zeros((0, k, 2), np.float32), np.zeros((0, k), bool)
        return cls(xy, visible, np.zeros((0, k), np.float32), names, (h, w), message)

    def resize(self, h: int, w: int) -> Keypoints:
        """The same points on a canvas of (h, w)."""
        scale = np.float32([w / self.canvas_size[1], h / self.canvas_size[0]])
        return replace(self, xy=self.xy * scale, canvas_size=(h, w))


@dataclass(frozen=True)
class Label:
    """The category recognised (None: none of them) and the score of every category asked for."""

    name: str | None
    scores: Mapping[str, float] = field(default_factory=dict)
    message: str = ""

    def __post_init__(self) -> None:
        if self.name is not None and not isinstance(self.name, str):
            raise TypeError(f"a label's name is a string or None, got {type(self.name).__name__}")
        if self.name is not None and self.scores and self.name not in self.scores:
            raise ValueError(f"label {self.name!r} has no score among {sorted(self.scores)}")
        object.__setattr__(self, "scores", dict(self.scores))

    def __len__(self) -> int:
        return int(self.name is not None)


Result = Masks | Keypoints | Boxes | Label


def run_lengths(mask: np.ndarray) -> dict[str, list[int]]:
    """COCO's uncompressed run lengths of a mask bool [h, w]: column by column, zeros first."""
    flat = np.asarray(mask, bool).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    if flat.size and flat[0]:
        counts.insert(0, 0)
    return {"size": [int(v) for v in mask.shape], "counts": counts}


def to_coco(result: Result, image_id: int = 1) -> list[dict[str, Any]]:
    """The result as COCO annotations: masks as run lengths, xywh boxes, keypoints x, y, v (2 visible, 0 not).

    A category's id is 1 + its place in the order of first appearance, a Label's 1 + that among its scores;
    the name stands beside it. Points are given in this package's convention (pixel centres at +0.5); their
    box and area are those of the visible ones. A Label has no region: it comes with score and scores.
    """
    if isinstance(result, Label):
        if result.name is None:
            return []
        score = float(result.scores.get(result.name, 1.0))
        scores = {k: float(v) for k, v in result.scores.items()}
        number = list(scores).index(result.name) + 1 if scores else 1
        found_label = {"id": 1, "image_id": image_id, "category_id": number, "category_name": result.name}
        return [{**found_label, "score": score, "scores": scores}]
    annotations: list[dict[str, Any]] = []
    if isinstance(result, Keypoints):
        for xy, visible, scores in zip(result.xy, result.visible, result.scores, strict=True):
            if not visible.any():
                continue
            flags = visible[:, None] * np.float32(2)
            points = np.concatenate([xy * visible[:, None], flags], 1).ravel()
            low, high = xy[visible].min(0), xy[visible].max(0)
            annotations.append(
                {
                    "keypoints": [round(float(v), 3) for v in points],
                    "num_keypoints": int(visible.sum()),
                    "keypoint_names": list(result.names),
                    "bbox": [round(float(v), 3) for v in (*low, *(high - low))],
                    "area": round(float(np.prod(high - low)), 3),
                    "iscrowd": 0,
                    "score": float(scores[visible].mean()),
                }
            )
        return [{"id": i + 1, "image_id": image_id, "category_id": 1, **f} for i, f in enumerate(annotations)]
    if not isinstance(result, (Masks, Boxes)):
        raise TypeError(f"expected Masks, Keypoints, Boxes or Label, got {type(result).__name__}")
    names = list(dict.fromkeys(result.labels))
    boxes = result.boxes() if isinstance(result, Masks) else result
    for row, (x1, y1, x2, y2) in enumerate(boxes.xyxy.tolist()):
        entry: dict[str, Any] = {
            "id": row + 1,
            "image_id": image_id,
            "category_id": names.index(result.labels[row]) + 1,
            "category_name": result.labels[row],
            "bbox": [round(v, 3) for v in (x1, y1, x2 - x1, y2 - y1)],
            "area": round((x2 - x1) * (y2 - y1), 3),
            "score": float(result.scores[row]),
            "iscrowd": 0,
        }
        if isinstance(result, Masks):
            entry["segmentation"] = run_lengths(result.data[row])
            entry["area"] = int(result.data[row].sum())
        annotations.append(entry)
    return annotations
