"""Sizes: a picture of any size to the model's, and what the model changed back to the picture's."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

FITS = ("stretch", "aspect", "authors")


def model_size(
    size: tuple[int, int], resolution: int, multiple: int, fit: str = "stretch"
) -> tuple[int, int]:
    """(height, width) at which the model sees a picture of `size` (height, width).

    "stretch": resolution x resolution whatever the picture's shape, for models that have only seen squares;
    answers are scaled back along each axis. "aspect": the longer side becomes `resolution`, both sides
    multiples of `multiple`. "authors": as the published code has it: the longer side towards `resolution`, the
    shorter then up to a multiple and the longer down to one; where shapes differ by less than a multiple the
    picture is squeezed, not cropped as there, so that answers lie where they belong. ValueError for a resolution
    that is no multiple of `multiple` or an unknown fit.
    """
    if fit not in FITS:
        raise ValueError(f"unknown fit {fit!r}: choose one of {', '.join(FITS)}")
    if isinstance(resolution, bool) or not isinstance(resolution, (int, np.integer)):
        raise TypeError(f"resolution is a whole number of pixels, got {resolution!r}")
    if resolution < multiple or resolution % multiple:
        near = max(multiple, round(resolution / multiple) * multiple)
        raise ValueError(f"resolution must be a multiple of {multiple}, got {resolution}: try {near}")
    if fit == "stretch":
        return int(resolution), int(resolution)
    scale = resolution / max(size)
    if fit == "authors":
        short = min(size)
        scale = math.ceil(short * scale / multiple) * multiple / short
        # A side that comes out a hair below a multiple through rounding is that multiple.
        height, width = (math.floor(side * scale / multiple + 1e-9) * multiple for side in size)
        return height, width
    height, width = (max(multiple, round(side * scale / multiple) * multiple) for side in size)
    return height, width


def resize_picture(picture: np.ndarray, size: tuple[int, int], sharp: bool = False) -> np.ndarray:
    """A picture uint8 [h, w, 3] at `size` (height, width): averaged over areas down, bicubic up.

    Areas, because that is how training pictures come to be: drawn larger, then averaged. sharp: Lanczos both ways,
    as the published checkpoints' authors do (cientgu/InstructDiffusion, edit_cli.py).
    """
    height, width = size
    if picture.shape[:2] == (height, width):
        return picture
    image = Image.fromarray(picture)
    if sharp:
        return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))
    for box in ((width, image.height), (width, height)):  # an axis at a time: one may shrink, one may grow
        shrinks = box[0] < image.width or box[1] < image.height
        method = Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC
        image = image.resize(box, method)
    return np.asarray(image)


def zoomed(size: tuple[int, int], zoom: float) -> tuple[int, int]:
    """(height, width) in whole pixels, at least 1, of what is `zoom` times as large as `size` (height, width)."""
    height, width = (max(1, round(side * zoom)) for side in size)
    return height, width


def zoom_picture(picture: np.ndarray, zoom: float) -> np.ndarray:
    """A picture uint8 [h, w, 3] `zoom` times as large, as `resize_picture` makes it; itself at zoom 1."""
    return resize_picture(picture, zoomed(picture.shape[:2], zoom))


def resize_field(field: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Signed float values [h, w, c] at `size` (height, width), with no overshoot beside an edge.

    Where both sides shrink to a whole part (a half, a third) each value is the mean of its area; else bilinear, with a
    kernel as wide as two such areas where a side shrinks.
    """
    height, width = size
    if field.shape[:2] == (height, width):
        return field
    # Bilinear, a picture enlarged twice and brought back comes out softer than it was: it loses 2.4 dB more.
    whole = field.shape[0] % height == 0 and field.shape[1] % width == 0
    method = Image.Resampling.BOX if whole else Image.Resampling.BILINEAR
    planes = [Image.fromarray(np.ascontiguousarray(plane, np.float32)) for plane in np.moveaxis(field, 2, 0)]
    return np.stack([np.asarray(plane.resize((width, height), method)) for plane in planes], axis=2)
