"""Layouts: ComfyUI's pictures, masks, boxes, segments and poses from and to the package's types."""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..instructdiffusion.imaging.images import load_picture
from ..instructdiffusion.results import Boxes, Keypoints
from ..instructdiffusion.utils.interrupts import check_interrupt
from .source_size import bring_home

# The Impact Pack reads these fields by name and by place.
SEG = namedtuple(
    "SEG",
    ["cropped_image", "cropped_mask", "confidence", "crop_region", "bbox", "label", "control_net_wrapper"],
    defaults=[None],
)


def to_pictures(image: Tensor, name: str = "image") -> list[np.ndarray]:
    """An IMAGE [b, h, w, c] in 0..1 as uint8 [h, w, 3] pictures; transparency is laid over white.

    Values outside 0..1, which other nodes may produce, are cut off. ValueError names the input.
    """
    if not isinstance(image, Tensor) or image.ndim != 4 or len(image) == 0:
        got = f"shape {list(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
        raise ValueError(f"`{name}`: expected an IMAGE [batch, height, width, channels], got {got}")
    pictures = []
    for number, one in enumerate(image.detach().float().cpu()):
        check_interrupt()
        if not bool(torch.isfinite(one).all()):
            raise ValueError(f"`{name}`: picture {number} has NaN or infinite values; check the node before")
        try:
            pictures.append(load_picture(one.clamp(0, 1).numpy()))
        except ValueError as error:
            raise ValueError(f"`{name}`: picture {number}: {error}") from None
    return pictures


def to_image(pictures: Sequence[np.ndarray]) -> Tensor:
    """uint8 [h, w, 3] pictures of one size as an IMAGE float32 [b, h, w, 3]."""
    if any(picture.shape != pictures[0].shape for picture in pictures):
        raise ValueError("the pictures of an IMAGE must have one size")
    out = torch.empty(len(pictures), *pictures[0].shape)
    for row, picture in zip(out, pictures):
        check_interrupt()
        row.copy_(torch.from_numpy(np.require(picture, requirements=["C", "W"])))
        check_interrupt()
        row.div_(255)
    return out


def to_image_padded(pictures: Sequence[np.ndarray]) -> Tensor:
    """Pictures of any sizes as one IMAGE: each in the top left of a black canvas of the largest sides."""
    height = max(p.shape[0] for p in pictures)
    width = max(p.shape[1] for p in pictures)
    return to_image(
        [np.pad(p, ((0, height - p.shape[0]), (0, width - p.shape[1]), (0, 0))) for p in pictures]
    )


def to_mask(masks: Sequence[np.ndarray]) -> Tensor:
    """bool or float [h, w] masks of one size as a MASK float32 [b, h, w] on the CPU."""
    out = np.empty((len(masks), *np.shape(masks[0])), np.float32)
    for row, mask in zip(out, masks, strict=True):
        check_interrupt()
        row[:] = mask
    return torch.from_numpy(out)


def from_mask(mask: Tensor, name: str = "mask") -> np.ndarray:
    """A MASK [b, h, w], [h, w] or [b, 1, h, w] as float32 [b, h, w]; ValueError names the input."""
    if not isinstance(mask, Tensor) or mask.ndim not in (2, 3, 4) or mask.numel() == 0:
        got = f"shape {list(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
        raise ValueError(f"`{name}`: expected a MASK [batch, height, width], got {got}")
    array = mask.detach().float().cpu().reshape(-1, *mask.shape[-2:]).numpy()
    if not np.isfinite(array).all():
        raise ValueError(f"`{name}`: the mask has NaN or infinite values; check the node before")
    return array


def paired(source: Tensor, edited: Tensor) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Source and edited pictures of one number and of the sources' size; a single source serves a batch of edits.

    Edited pictures of another size are brought home to their sources (`source_size.bring_home`).
    """
    sources, edits = to_pictures(source, "source"), to_pictures(edited, "edited")
    if len(sources) == 1:
        sources = sources * len(edits)
    if len(sources) != len(edits):
        raise ValueError(
            f"`edited`: {len(edits)} pictures came with {len(sources)} in `source`: give one a picture"
        )
    home = []
    for before, after in zip(sources, edits):
        check_interrupt()
        home.append(bring_home(before, after))
    return sources, home


def to_bounding_boxes(frames: Sequence[Boxes]) -> list[list[dict[str, Any]]]:
    """BOUNDING_BOX: a list of boxes a picture, {x, y, width, height, score, label}, pixels from the top left."""
    out = []
    for boxes in frames:
        rows = []
        for (x1, y1, x2, y2), score, label in zip(boxes.xyxy.tolist(), boxes.scores.tolist(), boxes.labels):
            rows.append(
                {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1, "score": score, "label": label}
            )
        out.append(rows)
    return out


def to_bbox(frames: Sequence[Boxes]) -> list[Any]:
    """BBOX: a list of [x1, y1, x2, y2] a picture, as SAM 2 and Florence-2 nodes pass them."""
    return [[[round(v, 2) for v in row] for row in boxes.xyxy.tolist()] for boxes in frames]


def to_segs(
    boxes: Boxes, masks: Sequence[np.ndarray], picture: np.ndarray | None, padding: int
) -> tuple[tuple[int, int], list[SEG]]:
    """SEGS as the Impact Pack defines them: ((height, width), segments), one a box with its mask cut out.

    crop_region is the box widened by `padding` pixels and held inside the picture.
    """
    height, width = boxes.canvas_size
    segments = []
    for row, score, label, mask in zip(boxes.xyxy, boxes.scores.tolist(), boxes.labels, masks, strict=True):
        x1, y1, x2, y2 = whole_box(row, height, width)
        left, top = max(0, x1 - padding), max(0, y1 - padding)
        right, bottom = min(width, x2 + padding), min(height, y2 + padding)
        cut = np.array(mask[top:bottom, left:right], np.float32)  # a copy, and of the cut alone
        crop = None if picture is None else to_image([picture[top:bottom, left:right]])
        segments.append(
            SEG(crop, cut, score, (left, top, right, bottom), (x1, y1, x2, y2), label or "object")
        )
    return (height, width), segments


def whole_box(row: np.ndarray, height: int, width: int) -> tuple[int, int, int, int]:
    """A box widened to whole pixels inside the picture, at least one pixel on each side."""
    x1, y1 = int(np.floor(row[0])), int(np.floor(row[1]))
    x2, y2 = int(np.ceil(row[2])), int(np.ceil(row[3]))
    x1, y1 = min(max(x1, 0), width - 1), min(max(y1, 0), height - 1)
    return x1, y1, min(max(x2, x1 + 1), width), min(max(y2, y1 + 1), height)


def to_points_json(points: Keypoints) -> str:
    """The found points as JSON, [{"x", "y", "label", "score"}], in pixels; "[]" where there are none."""
    rows = []
    for xy, visible, scores in zip(points.xy.tolist(), points.visible.tolist(), points.scores.tolist()):
        for name, (x, y), is_visible, score in zip(points.names, xy, visible, scores, strict=True):
            if is_visible:
                rows.append({"x": round(x, 2), "y": round(y, 2), "label": name, "score": round(score, 3)})
    return json.dumps(rows)


def alphas(model: Any) -> Any:
    """alphas_cumprod float64 of a MODEL, from its own noise levels."""
    sampling = model.get_model_object("model_sampling")
    if not hasattr(sampling, "sigmas"):
        raise ValueError("`model`: expected a model with discrete noise levels, as Stable Diffusion 1.5 has")
    return 1 / (1 + sampling.sigmas.cpu().double().numpy() ** 2)
