"""A view of a picture: a window, turned or not, at another size; pictures, masks, points and boxes go through it alike.

One matrix a view, applied by kornia to all of them. Coordinates are this package's: the centre of the first pixel is
(.5, .5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ..results import Boxes, Keypoints, Label, Masks
from .readers.topdown import cut

if TYPE_CHECKING:
    from torch import Tensor

# torch and kornia are imported where they are used: both take long, and much that imports this makes no view.
_NUDGE = 1e-9  # pixels: which of two a centre belongs to that falls on the edge between them is not left to rounding


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
        """Points float [..., 2] of the picture in the view, float64; they may lie beside it."""
        import torch
        from kornia.geometry.linalg import transform_points

        xy = np.array(xy, np.float64)
        full = torch.from_numpy(np.concatenate([self.matrix, [[0.0, 0.0, 1.0]]]))
        return transform_points(full[None], torch.from_numpy(xy.reshape(-1, 1, 2))).numpy().reshape(xy.shape)

    def shows(self, xy: np.ndarray) -> np.ndarray:
        """bool [...]: which points of the view (float [..., 2]) lie in it."""
        height, width = self.size
        return (xy >= 0).all(-1) & (xy < (width, height)).all(-1)

    def mask(self, data: np.ndarray) -> np.ndarray:
        """Masks bool [..., h, w] in the view: each pixel is the one that its centre falls on.

        A centre on the edge between two is the right or lower one's. bool [..., height, width].
        """
        import torch

        h, w = data.shape[-2:]
        height, width = self.size
        # What goes through the warp are the numbers of columns and rows, from 1, with 0 around the picture: two planes
        # however many masks there are, and expanded they take no memory however large the picture is.
        tall, wide = _exact(h + 2), _exact(w + 2)
        y, x = (torch.arange(n, dtype=torch.float64) for n in (tall, wide))
        planes = (x * (x <= w), (y * (y <= h))[:, None])
        matrix = _moved(self.matrix, 1 + _NUDGE, 1 + _NUDGE)
        sides = _exact(height), _exact(width)
        column, row = (
            _warped(plane.expand(1, 1, tall, wide), matrix, sides, "nearest", "zeros")[0, 0].long().numpy()
            for plane in planes
        )
        column, row = column[:height, :width], row[:height, :width]
        return data[..., row - 1, column - 1] & (row > 0) & (column > 0)

    def boxes(self, xyxy: np.ndarray) -> np.ndarray:
        """Boxes float [n, 4] in the view, which must not be turned (ValueError); they may reach beyond it."""
        if self.angle:
            raise ValueError("boxes cannot be turned: a turned box is no box; take a view without an angle")
        return self.points(np.asarray(xyxy, np.float64).reshape(-1, 2, 2)).reshape(-1, 4)

    def picture(self, image: np.ndarray) -> np.ndarray:
        """The picture uint8 [h, w, 3] in the view, uint8 [height, width, 3]: antialiased down, bicubic up.

        Whole pixels at their own size stay as they are, to views of 4096 pixels.
        """
        import torch
        import torch.nn.functional as F

        (width, height), turn = self.extent, math.radians(self.angle)
        shrink = max(1.0, height / self.size[0]), max(1.0, width / self.size[1])
        cos, sin = abs(math.cos(turn)), abs(math.sin(turn))
        half = np.array([width * cos + height * sin, width * sin + height * cos]) / 2
        # What a turned view shows at its corners is interpolated from pixels beside it.
        margin = 2 * math.ceil(max(shrink)) if self.angle else 0
        patch, left, top = _patch(image, (*(self.center - half), *(self.center + half)), margin)
        h, w = patch.shape[:2]
        small = max(1, round(h / shrink[0])), max(1, round(w / shrink[1]))
        # The warp looks at four pixels along an axis, so pictures are made smaller first. By torch: kornia's resize
        # blurs with a Gaussian, which is softer, slower and refuses strips narrower than its kernel.
        pixels = torch.from_numpy(patch).permute(2, 0, 1)[None]
        pixels = F.interpolate(pixels, small, mode="bicubic", antialias=True).float()
        matrix = _moved(self.matrix, -left, -top)
        matrix[:, :2] *= (w / small[1], h / small[0])
        # `cut` has put the black beside the picture; zeros beside the patch would darken the rim of a whole picture.
        view = _warped(pixels, matrix, self.size, "bicubic", "border")[0].permute(1, 2, 0)
        return view.round().clamp(0, 255).to(torch.uint8).contiguous().numpy()

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
            rows = np.flatnonzero(data.any((1, 2)))
            labels = tuple(target.labels[i] for i in rows)
            return replace(target, data=data[rows], scores=target.scores[rows], labels=labels)
        if isinstance(target, Boxes):
            xyxy = self.boxes(target.xyxy)
            xyxy = np.clip(xyxy, 0, [width, height, width, height])
            rows = np.flatnonzero((xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1]))
            labels = tuple(target.labels[i] for i in rows)
            scores, xyxy = target.scores[rows], np.float32(xyxy[rows])
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


def _moved(matrix: np.ndarray, x: float, y: float) -> np.ndarray:
    """The matrix [2, 3] for what lies (x, y) further right and down than what it was for."""
    return np.column_stack([matrix[:, :2], matrix[:, 2] - matrix[:, :2] @ (x, y)])


def _exact(side: int) -> int:
    """The first side of 2^k + 1 pixels that is not shorter.

    kornia before 0.9 rounds 2 / (side - 1) to float32 also where it reckons in float64; of these nothing is lost.
    """
    return 1 + (1 << (side - 2).bit_length())


def _warped(pixels: Tensor, matrix: np.ndarray, size: tuple[int, int], mode: str, padding: str) -> Tensor:
    """Pixels float [1, c, h, w] at `size` (height, width), by the matrix [2, 3] from their points to the view's."""
    import torch
    from kornia.geometry.transform import warp_affine

    # kornia counts from the centre of the first pixel, this package from its corner.
    linear = matrix[:, :2]
    indices = np.column_stack([linear, matrix[:, 2] + linear.sum(1) / 2 - 0.5])
    # With its corners aligned: without, kornia before 0.9 lays the pixels out in one way and reads them in another.
    return warp_affine(
        pixels, torch.from_numpy(indices)[None].to(pixels.dtype), size, mode, padding, align_corners=True
    )


__all__ = ["View"]
