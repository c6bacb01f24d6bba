"""A view of a picture: a window, turned or not, at another size; pictures, masks, points and boxes go through it alike.

Coordinates are this package's: the centre of the first pixel is (.5, .5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from ..results import Boxes, Keypoints, Label, Masks
from .readers.topdown import cut


@dataclass(frozen=True)
class View:
    """`extent` (width, height) pixels of a picture around `center` (x, y), seen at `size` (height, width).

    angle: degrees by which the picture is turned in the view, clockwise as one looks at it. What lies beside
    the picture is black, and in no mask.
    """

    center: tuple[float, float]
    extent: tuple[float, float]
    size: tuple[int, int]
    angle: float = 0.0

    def __post_init__(self) -> None:
        numbers = (*self.center, *self.extent, self.angle)
        if not all(math.isfinite(v) for v in numbers) or min(*self.extent, *self.size) <= 0:
            raise ValueError(f"a view needs finite numbers and sides above 0, got {self}")

    @classmethod
    def of_window(cls, window: Sequence[float], size: tuple[int, int]) -> View:
        """The view of the window x1, y1, x2, y2."""
        x1, y1, x2, y2 = window
        return cls(((x1 + x2) / 2, (y1 + y2) / 2), (x2 - x1, y2 - y1), size)

    @cached_property
    def matrix(self) -> np.ndarray:
        """float64 [2, 3] that maps points of the picture to points of the view."""
        height, width = self.size
        scale = np.diag([width / self.extent[0], height / self.extent[1]])
        turn = math.radians(self.angle)
        spin = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
        linear = scale @ (spin if self.angle else np.eye(2))
        shift = np.array([width / 2, height / 2]) - linear @ np.asarray(self.center, np.float64)
        return np.concatenate([linear, shift[:, None]], axis=1)

    @cached_property
    def inverse(self) -> np.ndarray:
        """float64 [2, 3] that maps points of the view to points of the picture."""
        linear = np.linalg.inv(self.matrix[:, :2])
        return np.concatenate([linear, -linear @ self.matrix[:, 2:]], axis=1)

    def points(self, xy: np.ndarray) -> np.ndarray:
        """Points float [..., 2] of the picture in the view, exact; they may lie beside it."""
        return np.asarray(xy, np.float64) @ self.matrix[:, :2].T + self.matrix[:, 2]

    def shows(self, xy: np.ndarray) -> np.ndarray:
        """bool [...]: which points of the view (float [..., 2]) lie in it."""
        height, width = self.size
        return (xy >= 0).all(-1) & (xy < (width, height)).all(-1)

    def mask(self, data: np.ndarray) -> np.ndarray:
        """Masks bool [..., h, w] in the view: each pixel is the one that its centre falls on."""
        height, width = self.size
        columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
        (a, b, c), (d, e, f) = self.inverse
        # Centres that fall on an edge between pixels must not be torn apart by the last bit.
        x = np.floor(a * columns + b * rows + c + 1e-9).astype(np.int64)
        y = np.floor(d * columns + e * rows + f + 1e-9).astype(np.int64)
        h, w = data.shape[-2:]
        inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
        return data[..., np.clip(y, 0, h - 1), np.clip(x, 0, w - 1)] & inside

    def boxes(self, xyxy: np.ndarray) -> np.ndarray:
        """Boxes float [n, 4] in the view, which must not be turned (ValueError); they may reach beyond it."""
        if self.angle:
            raise ValueError("boxes cannot be turned: a turned box is no box; take a view without an angle")
        return self.points(np.asarray(xyxy, np.float64).reshape(-1, 2, 2)).reshape(-1, 4)

    def picture(self, image: np.ndarray) -> np.ndarray:
        """The picture uint8 [h, w, 3] in the view: averaged over areas down, bicubic up."""
        (cx, cy), (width, height) = self.center, self.extent
        turn = math.radians(self.angle)
        cos, sin = abs(math.cos(turn)), abs(math.sin(turn))
        half_x = (width * cos + height * sin if self.angle else width) / 2
        half_y = (width * sin + height * cos if self.angle else height) / 2
        if not self.angle:
            x1, y1, x2, y2 = cx - half_x, cy - half_y, cx + half_x, cy + half_y
            patch, left, top = _patch(image, (x1, y1, x2, y2), 0)
            return _resized(patch, (x1 - left, y1 - top, x2 - left, y2 - top), self.size)
        patch, left, top = _patch(image, (cx - half_x, cy - half_y, cx + half_x, cy + half_y), 2)
        h, w = patch.shape[:2]
        # Turned pictures are made smaller first: a turn alone looks at four pixels a point only.
        small = (
            max(1, round(h / max(1.0, height / self.size[0]))),
            max(1, round(w / max(1.0, width / self.size[1]))),
        )
        patch = _resized(patch, (0, 0, w, h), small)
        back = np.diag([small[1] / w, small[0] / h]) @ (self.inverse - [[0, 0, left], [0, 0, top]])
        turned = Image.fromarray(patch).transform(
            (self.size[1], self.size[0]),
            Image.Transform.AFFINE,
            back.ravel().tolist(),
            Image.Resampling.BICUBIC,
        )
        return np.array(turned)

    def target(self, target: Any) -> Any:
        """A record's target in the view.

        Masks that nothing is left of go; boxes are cut at the edge and go where nothing is left; points beside
        the view become invisible; a Label whose region is gone becomes the label of nothing.
        """
        height, width = self.size
        if isinstance(target, np.ndarray):
            return self.picture(target)
        if isinstance(target, Masks):
            data = self.mask(target.data) if len(target) else np.zeros((0, height, width), bool)
            kept = np.flatnonzero(data.any((1, 2)))
            labels = tuple(target.labels[i] for i in kept)
            return replace(target, data=data[kept], scores=target.scores[kept], labels=labels)
        if isinstance(target, Boxes):
            xyxy = self.boxes(target.xyxy)
            xyxy = np.clip(xyxy, 0, [width, height, width, height])
            kept = np.flatnonzero((xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1]))
            labels = tuple(target.labels[i] for i in kept)
            scores, xyxy = target.scores[kept], np.float32(xyxy[kept])
            return replace(target, xyxy=xyxy, scores=scores, labels=labels, canvas_size=self.size)
        if isinstance(target, Keypoints):
            xy = np.float32(self.points(target.xy))
            visible = target.visible & self.shows(xy)
            xy, scores = np.where(visible[..., None], xy, 0), np.where(visible, target.scores, 0)
            return replace(target, xy=xy, visible=visible, scores=scores, canvas_size=self.size)
        if isinstance(target, tuple) and len(target) == 2 and isinstance(target[0], Label):
            label, region = target[0], self.mask(np.asarray(target[1], bool))
            if label.name is not None and not region.any():
                label = Label(None, dict.fromkeys(label.scores, 0.0), label.message)
            return label, region
        raise TypeError(f"cannot look at a {type(target).__name__} through a view")


def _patch(
    image: np.ndarray, window: tuple[float, float, float, float], margin: int
) -> tuple[np.ndarray, int, int]:
    """The whole pixels around a window, black beside the picture, with the place (x, y) of the first."""
    x1, y1 = (math.floor(v + 1e-6) - margin for v in window[:2])
    x2, y2 = (math.ceil(v - 1e-6) + margin for v in window[2:])
    return cut(image, (x1, y1, max(x2, x1 + 1), max(y2, y1 + 1))), x1, y1


def _resized(
    picture: np.ndarray, window: tuple[float, float, float, float], size: tuple[int, int]
) -> np.ndarray:
    """A window of a picture at `size` (height, width), an axis at a time: one may shrink, one may grow."""
    image = Image.fromarray(picture)
    x1, x2 = max(0.0, window[0]), min(float(image.width), window[2])
    y1, y2 = max(0.0, window[1]), min(float(image.height), window[3])
    for axis, low, high, count in ((0, x1, x2, size[1]), (1, y1, y2, size[0])):
        if (low, high) == (0.0, float(image.size[axis])) and count == image.size[axis]:
            continue
        method = Image.Resampling.BOX if high - low > count else Image.Resampling.BICUBIC
        if axis == 0:
            image = image.resize((count, image.height), method, (low, 0, high, image.height))
        else:
            image = image.resize((image.width, count), method, (0, low, image.width, high))
    return np.array(image)


__all__ = ["View"]
