"""BoxFromMask: the boxes around masks, in the forms that other packs read."""

from __future__ import annotations

import numpy as np
from comfy_api.latest import io, ui
from torch import Tensor

from ..instructdiffusion.imaging.annotate import overlay
from ..instructdiffusion.utils.interrupts import check_interrupt, in_thread
from .convert import (
    from_mask,
    to_bbox,
    to_bounding_boxes,
    to_image_padded,
    to_pictures,
    to_segs,
    whole_box,
)
from .interruption import interrupts
from .preview import shown
from .regions import boxes_around, split_regions, to_one_size
from .sockets import CATEGORY, Bbox, BoundingBox, Segs, valid_choices

REGIONS, ONE_PICTURE = "a picture each", "objects of one picture"


class BoxFromMask(io.ComfyNode):
    """Masks to boxes, segments and cut-outs."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BoxFromMask",
            display_name="Box From Mask",
            category=CATEGORY,
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
                        "every mask of the batch becomes one box of the same picture (MaskExtract with per_object on)."
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
            ],
        )

    @classmethod
    def validate_inputs(cls, masks_are: str) -> bool | str:
        """Refused before anything runs, naming the input."""
        return valid_choices(masks_are=(masks_are, [REGIONS, ONE_PICTURE]))

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
    ) -> io.NodeOutput:
        values = from_mask(mask)
        frames = [values] if masks_are == ONE_PICTURE else list(values[:, None])
        pictures = _pictures(image, frames)
        boxes, regions, lines = [], [], []
        for frame in frames:
            check_interrupt()
            if masks_are == REGIONS:
                parts, count = split_regions(frame[0] > threshold, max(1, min_area))
                scored = [frame[0]] * len(parts)
            else:
                parts, scored = [], []
                for values_of in frame:
                    check_interrupt()
                    part = values_of > threshold
                    if part.sum() >= max(1, min_area):
                        parts.append(part)
                        scored.append(values_of)
                count = len(parts)
            boxes.append(boxes_around(parts, scored, label, values.shape[1:]))
            regions.append(parts)
            lines.append(_said(frame > threshold, len(parts), count))
        segs = to_segs(boxes[0], regions[0], None if image is None else pictures[0], padding)
        crops = [
            _cut(picture, row, padding) for row_boxes, picture in zip(boxes, pictures) for row in row_boxes.xyxy
        ] or pictures[:1]
        overlays = to_image_padded([overlay(p, b) for p, b in zip(pictures, boxes, strict=True)])
        message = "\n".join(lines)
        return io.NodeOutput(
            to_bounding_boxes(boxes),
            to_bbox(boxes),
            segs,
            to_image_padded(to_one_size(crops)),
            overlays,
            message,
            ui=shown(in_thread(lambda: ui.PreviewImage(overlays, cls=cls)), message),
        )


def _said(mask: np.ndarray, mask_count: int, count: int) -> str:
    if not mask.any():
        return "nothing found: the mask is empty"
    if not count:
        return "nothing found: every region has fewer pixels than min_area"
    return f"found {count}" + (f": the {mask_count} largest are given, raise min_area" if mask_count < count else "")


def _pictures(image: Tensor | None, frames: list[np.ndarray]) -> list[np.ndarray]:
    """The pictures under the masks; where there are none, the masks themselves in white on black."""
    count, size = len(frames), frames[0].shape[1:]
    if image is None:
        gray = [np.round(frame.max(0).clip(0, 1) * 255).astype(np.uint8) for frame in frames]
        return [np.repeat(g[..., None], 3, axis=2) for g in gray]
    pictures = to_pictures(image)
    if len(pictures) == 1:
        pictures = pictures * count
    if len(pictures) != count:
        raise ValueError(
            f"`image`: {len(pictures)} pictures came with {count} masks: give one a mask, or set masks_are to "
            f"'{ONE_PICTURE}'"
        )
    if pictures[0].shape[:2] != tuple(size):
        (h, w), (mh, mw) = pictures[0].shape[:2], size
        raise ValueError(
            f"`mask`: a mask of {mw} x {mh} pixels came with an `image` of {w} x {h}: give as `image` the "
            "`source` that MaskExtract had; scaling one of them may displace the mask"
        )
    return pictures


def _cut(picture: np.ndarray, row: np.ndarray, padding: int) -> np.ndarray:
    height, width = picture.shape[:2]
    x1, y1, x2, y2 = whole_box(row, height, width)
    return picture[max(0, y1 - padding) : y2 + padding, max(0, x1 - padding) : x2 + padding]
