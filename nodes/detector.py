"""A detector as the Impact Pack's detailers call it, by its methods' names alone: a picture in, SEGS or a mask out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from ..instructdiffusion.results import Boxes, Masks
from .convert import SEG, to_mask, to_pictures, whole_box

Box = tuple[int, int, int, int]  # left, top, right, bottom in whole pixels
Finder = Callable[[np.ndarray], tuple[np.ndarray, Masks | Boxes]]  # picture -> masks [n, h, w], what they come from


class Detector:
    """What BBOX_DETECTOR and SEGM_DETECTOR carry.

    Args:
        find: Reads the masks off a picture uint8 [h, w, 3].
        boxes: Whether a thing's mask is its whole box, as a BBOX_DETECTOR's is.
    """

    def __init__(self, find: Finder, boxes: bool) -> None:
        self.find, self.boxes = find, boxes

    def setAux(self, x: Any) -> None:
        """Take the word that detailers set for detectors without one of their own; this one has its instruction."""

    def detect(
        self,
        image: Tensor,
        threshold: float,
        dilation: int,
        crop_factor: float,
        drop_size: int = 1,
        detailer_hook: Any = None,
    ) -> tuple[tuple[int, int], list[SEG]]:
        """The SEGS of a picture.

        Args:
            image: IMAGE [1, h, w, c].
            threshold: Scores above it count.
            dilation: Pixels by which masks grow, or shrink where it is negative.
            crop_factor: How many times as large as its box a segment's crop region is.
            drop_size: Boxes whose sides are not larger are left out.
            detailer_hook: May change crop regions, and the SEGS at the end.

        Returns:
            ((height, width), segments).

        Raises:
            ValueError: There are several pictures, or none.
        """
        height, width = image.shape[1:3]
        segments = []
        for mask, box, score, label in self._found(image, threshold, dilation):
            x1, y1, x2, y2 = box
            if min(x2 - x1, y2 - y1) <= max(1, drop_size):
                continue
            region = crop_region(box, crop_factor, (height, width))
            if detailer_hook is not None and hasattr(detailer_hook, "post_crop_region"):
                region = tuple(detailer_hook.post_crop_region(width, height, box, region))
            left, top, right, bottom = region
            crop = image[:1, top:bottom, left:right, :3].float().cpu()
            cut = np.array(mask[top:bottom, left:right], np.float32)
            segments.append(SEG(crop, cut, score, region, box, label))
        segs = (height, width), segments
        if detailer_hook is not None and hasattr(detailer_hook, "post_detection"):
            segs = detailer_hook.post_detection(segs)
        return segs

    def detect_combined(self, image: Tensor, threshold: float, dilation: int) -> Tensor:
        """The MASK [h, w] of everything that was found, all zero where that is nothing; arguments as `detect`'s."""
        union = np.zeros(image.shape[1:3], bool)
        for mask, *_ in self._found(image, threshold, dilation):
            union |= mask
        return to_mask([union])[0]

    def _found(self, image: Tensor, threshold: float, dilation: int) -> list[tuple[np.ndarray, Box, float, str]]:
        """(mask bool [h, w], box, score, label) of what scores above the threshold."""
        pictures = to_pictures(image)
        if len(pictures) > 1:
            raise ValueError(f"`image`: a detector takes one picture at a time, got {len(pictures)}: give a list")
        masks, result = self.find(pictures[0])
        boxes = result if isinstance(result, Boxes) else result.boxes()
        rows = []
        for mask, row, score, label in zip(masks, boxes.xyxy, boxes.scores.tolist(), boxes.labels, strict=True):
            if score <= threshold or not mask.any():
                continue
            box = whole_box(row, *mask.shape)
            if self.boxes:
                mask = np.zeros(mask.shape, bool)
                mask[box[1] : box[3], box[0] : box[2]] = True
            rows.append((dilated(mask, dilation), box, score, label or "object"))
        return rows


def dilated(mask: np.ndarray, pixels: int) -> np.ndarray:
    """A mask bool [h, w] grown by a square of so many pixels a side, or shrunk by one of -pixels; 0 leaves it."""
    from scipy import ndimage

    if abs(pixels) < 2:
        return mask
    filtered = ndimage.maximum_filter if pixels > 0 else ndimage.minimum_filter
    grown: np.ndarray = filtered(mask, size=abs(pixels), mode="nearest")
    return grown


def crop_region(box: Box, factor: float, size: tuple[int, int]) -> Box:
    """The box made `factor` times as large about its middle and moved into a picture of `size` (height, width)."""
    ends = []
    for low, high, limit in ((box[0], box[2], size[1]), (box[1], box[3], size[0])):
        side = min(limit, max(1, round((high - low) * factor)))
        start = min(max(0, round((low + high - side) / 2)), limit - side)
        ends.append((start, start + side))
    (left, right), (top, bottom) = ends
    return left, top, right, bottom
