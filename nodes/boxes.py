"""BoxFromMask: the boxes around masks, in the forms that other packs read."""

from __future__ import annotations

import numpy as np
from comfy_api.latest import io, ui

from ..instructdiffusion.decoding import split_components
from ..instructdiffusion.draw import overlay
from ..instructdiffusion.resize import resize_picture
from ..instructdiffusion.results import Boxes
from .convert import (
    from_mask,
    to_bbox,
    to_bounding_boxes,
    to_image_padded,
    to_pictures,
    to_segs,
    whole_box,
)
from .preview import shown
from .types import CATEGORY, Bbox, BoundingBox, Segs, valid_choices

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
    def validate_inputs(cls, masks_are) -> bool | str:
        """Refused before anything runs, naming the input."""
        return valid_choices(masks_are=(masks_are, [REGIONS, ONE_PICTURE]))

    @classmethod
    def execute(cls, mask, masks_are, threshold, min_area, padding, label, image=None) -> io.NodeOutput:
        values = from_mask(mask)
        frames = [values] if masks_are == ONE_PICTURE else list(values[:, None])
        pictures = _pictures(image, len(frames), values.shape[1:])
        boxes, regions = [], []
        for frame in frames:
            parts = [f > threshold for f in frame]
            if masks_are == REGIONS:
                parts = split_components(parts[0]) if parts[0].any() else []
            found, kept = boxes_around(parts, frame, values.shape[1:], label, max(1, min_area))
            boxes.append(found)
            regions.append(kept)
        segs = to_segs(boxes[0], regions[0], None if image is None else pictures[0], padding)
        crops = [
            _cut(picture, row, padding) for found, picture in zip(boxes, pictures) for row in found.xyxy
        ] or pictures[:1]
        overlays = to_image_padded([overlay(p, b) for p, b in zip(pictures, boxes, strict=True)])
        message = "\n".join(
            f"found {len(b)}" if len(b) else "nothing found: the mask is empty" for b in boxes
        )
        return io.NodeOutput(
            to_bounding_boxes(boxes),
            to_bbox(boxes),
            segs,
            to_image_padded(_one_size(crops)),
            overlays,
            message,
            ui=shown(ui.PreviewImage(overlays, cls=cls), message),
        )


def boxes_around(parts, frame, size, label, min_area) -> tuple[Boxes, list[np.ndarray]]:
    """(tight boxes of bool [h, w] parts, the parts kept); a part's score is the mean of its mask's values."""
    rows, scores, kept = [], [], []
    for number, part in enumerate(parts):
        if part.sum() < min_area:
            continue
        ys, xs = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
        values = frame[number if len(frame) == len(parts) and len(frame) > 1 else 0]
        rows.append([xs[0], ys[0], xs[-1] + 1, ys[-1] + 1])
        scores.append(min(1.0, max(0.0, float(values[part].mean()))))
        kept.append(part.astype(np.float32))
    height, width = size
    if not rows:
        return Boxes.empty(height, width), []
    return Boxes(np.float32(rows), np.float32(scores), (label,) * len(rows), (height, width)), kept


def _pictures(image, count: int, size: tuple[int, ...]) -> list[np.ndarray]:
    if image is None:
        return [np.zeros((*size, 3), np.uint8)] * count
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
            f"`mask`: a mask of {mw} x {mh} pixels came with an `image` of {w} x {h}: scale one of them"
        )
    return pictures


def _cut(picture: np.ndarray, row: np.ndarray, padding: int) -> np.ndarray:
    height, width = picture.shape[:2]
    x1, y1, x2, y2 = whole_box(row, height, width)
    return picture[max(0, y1 - padding) : y2 + padding, max(0, x1 - padding) : x2 + padding]


def _one_size(crops: list[np.ndarray]) -> list[np.ndarray]:
    """Cut-outs scaled, their shape kept, so that the longer side of each is that of the largest."""
    side = max(max(c.shape[:2]) for c in crops)
    out = []
    for crop in crops:
        scale = side / max(crop.shape[:2])
        size = tuple(max(1, round(s * scale)) for s in crop.shape[:2])
        out.append(crop if size == crop.shape[:2] else resize_picture(crop, size))
    return out
