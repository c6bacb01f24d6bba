"""BoxFromMask: the boxes around masks, in the forms that other packs read."""

from __future__ import annotations

from typing import Any

import numpy as np
from comfy_api.latest import io
from torch import Tensor

from ..instructdiffusion.utils.interrupts import check_interrupt
from .convert import from_mask, to_bbox, to_bounding_boxes, to_image_padded, to_segs, whole_box
from .framing import PLACEHOLDER_HINT, frames_of, is_placeholder, pictures_under
from .interruption import interrupts
from .preview import Overlays
from .regions import boxes_around, split_regions, to_one_size
from .sockets import CATEGORY, Bbox, BoundingBox, Pictures, Segs, check_choices, found_by

REGIONS, ONE_PICTURE = "a picture each", "objects of one picture"


class BoxFromMask(io.ComfyNode):
    """Masks to boxes, segments and cut-outs."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BoxFromMask",
            display_name="Box From Mask",
            category=CATEGORY,
            **found_by("detect", "bbox", "bounding box", "segs"),
            description=(
                "The boxes around masks, as BOUNDING_BOX, BBOX and SEGS (Impact Pack), with cut-outs. Empty masks give "
                "empty lists and a message."
            ),
            inputs=[
                io.Mask.Input("mask", tooltip="Masks, from MaskExtract or any other node."),
                io.Combo.Input(
                    "masks_are",
                    options=[REGIONS, ONE_PICTURE],
                    default=REGIONS,
                    tooltip=(
                        "a picture each: every connected region of a mask becomes a box. objects of one picture: "
                        "every mask of the batch becomes one box of the same picture (MaskExtract with per_object on; "
                        "of several pictures, connect its `pictures` too)."
                    ),
                ),
                io.Float.Input(
                    "threshold",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="A mask's pixels above it count.",
                ),
                io.Int.Input(
                    "min_area",
                    default=4,
                    min=0,
                    max=2**31 - 1,
                    tooltip="Regions of fewer pixels are left out.",
                ),
                io.Int.Input(
                    "padding",
                    default=0,
                    min=0,
                    max=4096,
                    tooltip="Pixels added around cut-outs and crop regions.",
                ),
                io.String.Input("label", default="object", tooltip="What the boxes are called."),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The pictures the masks lie on, for cut-outs and the overlay.",
                ),
                Pictures.Input(
                    "pictures",
                    optional=True,
                    tooltip=(
                        "MaskExtract's `pictures`: which picture each mask lies on, for masks of objects of a batch."
                    ),
                ),
            ],
            outputs=[
                BoundingBox.Output(
                    "bounding_box",
                    display_name="bounding_box",
                    tooltip="A list of {x, y, width, height, score, label} a picture.",
                ),
                Bbox.Output("bbox", display_name="bbox", tooltip="A list of [x1, y1, x2, y2] a picture."),
                Segs.Output(
                    "segs", display_name="segs", tooltip="Segments of the first picture, for the Impact Pack."
                ),
                io.Image.Output(
                    "crop",
                    display_name="crop",
                    tooltip="The cut-outs, brought to one size; the picture itself where there are none.",
                ),
                io.Image.Output(
                    "overlay",
                    display_name="overlay",
                    tooltip="The pictures with the boxes drawn on, for people.",
                ),
                io.String.Output(
                    "message", display_name="message", tooltip="What there is to say, a line a picture."
                ),
                Segs.Output(
                    "segs_list",
                    display_name="segs_list",
                    is_output_list=True,
                    tooltip=(
                        "The segments of every picture, one SEGS after the other, for nodes that take one at a time."
                    ),
                ),
            ],
        )

    @classmethod
    @interrupts()
    def execute(
        cls,
        mask: Tensor,
        masks_are: str,
        threshold: float,
        min_area: int,
        padding: int,
        label: str,
        image: Tensor | None = None,
        pictures: Any = None,
    ) -> io.NodeOutput:
        check_choices(masks_are=(masks_are, [REGIONS, ONE_PICTURE]))
        values = from_mask(mask)
        frames = frames_of(values, pictures, image, masks_are == ONE_PICTURE)
        sources = pictures_under(image, frames)
        crops: list[np.ndarray] = []
        boxes, segs, overlays, lines = [], [], Overlays(), []
        for frame, source in zip(frames, sources, strict=True):
            check_interrupt()
            parts, scored, count = _parts(frame, masks_are == REGIONS, threshold, max(1, min_area))
            frame_boxes = boxes_around(parts, scored, label, frame.shape[1:])
            boxes.append(frame_boxes)
            segs.append(to_segs(frame_boxes, parts, None if image is None else source, padding))
            crops.extend(_cut(source, row, padding) for row in frame_boxes.xyxy)
            overlays.add(source, frame_boxes)
            lines.append(_said(frame > threshold, len(parts), count))
        if is_placeholder(values, image):
            lines = [PLACEHOLDER_HINT]
        message = "\n".join(lines)
        return io.NodeOutput(
            to_bounding_boxes(boxes),
            to_bbox(boxes),
            segs[0],
            to_image_padded(to_one_size(crops or sources[:1])),
            overlays.image,
            message,
            segs,
            ui=overlays.shown(cls, message),
        )


def _parts(
    frame: np.ndarray, by_region: bool, threshold: float, min_area: int
) -> tuple[list[np.ndarray], list[np.ndarray], int]:
    """(bool [h, w] parts, the mask that each is of, how many there are) of the masks [n, h, w] of a picture."""
    parts, scored, count = [], [], 0
    for mask in frame:
        check_interrupt()
        if by_region:
            regions, number = split_regions(mask > threshold, min_area)
        else:
            whole = mask > threshold
            regions = [whole] if whole.sum() >= min_area else []
            number = len(regions)
        parts += regions
        scored += [mask] * len(regions)
        count += number
    return parts, scored, count


def _said(mask: np.ndarray, mask_count: int, count: int) -> str:
    if not mask.any():
        return "nothing found: the mask is empty"
    if not count:
        return "nothing found: every region has fewer pixels than min_area"
    return f"found {count}" + (f": the {mask_count} largest are given, raise min_area" if mask_count < count else "")


def _cut(picture: np.ndarray, row: np.ndarray, padding: int) -> np.ndarray:
    height, width = picture.shape[:2]
    x1, y1, x2, y2 = whole_box(row, height, width)
    return picture[max(0, y1 - padding) : y2 + padding, max(0, x1 - padding) : x2 + padding]
