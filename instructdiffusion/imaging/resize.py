"""Sizes: a picture of any size to the model's, and what the model changed back to the picture's."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from ..utils.errors import UsageError
from ..utils.interrupts import check_interrupt
from .strips import strips

RESIZE_MODES = ("shortest_edge", "longest_edge", "stretch", "authors")
LONGEST = 8  # times the resolution: no picture is seen longer than that with its short side at the resolution
_OLD = {"aspect": "longest_edge"}  # the names of one release ago


def as_resize_mode(value: object) -> str:
    """Check the name of a resize mode.

    "aspect", as "longest_edge" was called before, gives a DeprecationWarning.

    Args:
        value: One of RESIZE_MODES.

    Returns:
        The name.

    Raises:
        ValueError: For anything else; it names the modes there are.
    """
    if isinstance(value, str) and value in _OLD:
        new = _OLD[value]
        warnings.warn(f"resize_mode {value!r} is now called {new!r}: say that", DeprecationWarning, stacklevel=3)
        return new
    if value not in RESIZE_MODES:
        raise UsageError(f"unknown resize_mode {value!r}: choose one of {', '.join(RESIZE_MODES)}")
    return str(value)


def resize_mode_in(known: Mapping[str, Any], written: bool = False) -> str | None:
    """Read how pictures come to a model's size from what its file says of it.

    Until the release before, the key was "fit"; it is still read, with a DeprecationWarning.

    Args:
        known: What instructdiffusion.json or a checkpoint says of the model: {"resize_mode": one of RESIZE_MODES}.
        written: Whether the exporter wrote "fit" whatever the model, as in every checkpoint's facts. A "stretch"
            there was nobody's choice, and counts as not said; in instructdiffusion.json, where only a choice was
            written, it stays.

    Returns:
        The mode, or None where nothing is said.

    Raises:
        ValueError: For a mode that there is not.
    """
    if "resize_mode" in known:
        return as_resize_mode(known["resize_mode"])
    if "fit" not in known:
        return None
    warnings.warn(
        'the key "fit" is now called "resize_mode": rename it, or save the model again',
        DeprecationWarning,
        stacklevel=3,
    )
    old = known["fit"]
    return None if written and old == "stretch" else as_resize_mode(_OLD.get(old, old))


def model_size(
    size: tuple[int, int], resolution: int, multiple: int, resize_mode: str = "shortest_edge"
) -> tuple[int, int]:
    """Say at which size a picture goes through the model: both sides are multiples of `multiple`.

    - "shortest_edge": the picture keeps its shape, its short side is `resolution`, and what is missing to multiples
      is padded (`content_size` says what is the picture's). Beyond LONGEST times as long as wide, the long side is
      LONGEST x resolution and the short side is what the shape then leaves.
    - "longest_edge": the long side is `resolution`, both are rounded to multiples.
    - "stretch": resolution x resolution whatever the picture's shape.
    - "authors": as the published code has it: the long side towards `resolution`, the short one then up to a
      multiple and the long one down to one; where shapes differ by less than a multiple the picture is squeezed, not
      cropped as there, so that answers lie where they belong.

    Args:
        size: (height, width) of the picture in pixels.
        resolution: Side in pixels, a multiple of `multiple`.
        multiple: What the model needs both sides to be multiples of (`ComponentsBackend.multiple`).
        resize_mode: One of RESIZE_MODES.

    Returns:
        (height, width) in pixels.

    Raises:
        ValueError: For a resolution that is no multiple of `multiple`, or an unknown mode.
        TypeError: For a resolution that is no whole number.
    """
    mode = as_resize_mode(resize_mode)
    if isinstance(resolution, bool) or not isinstance(resolution, (int, np.integer)):
        raise TypeError(f"resolution is a whole number of pixels, got {resolution!r}")
    if resolution < multiple or resolution % multiple:
        near = max(multiple, round(resolution / multiple) * multiple)
        raise UsageError(f"resolution must be a multiple of {multiple}, got {resolution}: try {near}")
    if mode == "stretch":
        return int(resolution), int(resolution)
    if mode == "shortest_edge":
        height, width = (-(-side // multiple) * multiple for side in _scaled(size, int(resolution)))
        return height, width
    scale = resolution / max(size)
    if mode == "authors":
        short = min(size)
        scale = math.ceil(short * scale / multiple) * multiple / short
        # A side that comes out a hair below a multiple through rounding is that multiple.
        height, width = (math.floor(side * scale / multiple + 1e-9) * multiple for side in size)
        return height, width
    height, width = (max(multiple, round(side * scale / multiple) * multiple) for side in size)
    return height, width


def content_size(
    size: tuple[int, int], resolution: int, multiple: int, resize_mode: str = "shortest_edge"
) -> tuple[int, int]:
    """Say how much of `model_size` is the picture itself, from the upper left corner; the rest is padding.

    Args and errors are `model_size`'s. Returns (height, width) in pixels: another than `model_size` only where
    "shortest_edge" keeps a shape that no multiples have.
    """
    whole = model_size(size, resolution, multiple, resize_mode)
    return _scaled(size, int(resolution)) if as_resize_mode(resize_mode) == "shortest_edge" else whole


def _scaled(size: tuple[int, int], resolution: int) -> tuple[int, int]:
    """(height, width) with the short side at `resolution`, or the long one at LONGEST times that where it is more."""
    scale = min(resolution / min(size), LONGEST * resolution / max(size))
    height, width = (max(1, round(side * scale)) for side in size)
    return height, width


def pad_edge(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Repeat the last row and column of a picture [h, w, c] up to `size` (height, width), at least its own."""
    down, right = (side - own for side, own in zip(size, picture.shape[:2], strict=True))
    return np.pad(picture, ((0, down), (0, right), (0, 0)), mode="edge") if down or right else picture


def resize_picture(picture: np.ndarray, size: tuple[int, int], sharp: bool = False) -> np.ndarray:
    """A picture uint8 [h, w, 3] at `size` (height, width): averaged over areas down, bicubic up.

    Areas, because that is how training pictures come to be: drawn larger, then averaged. sharp: Lanczos both ways,
    as the published checkpoints' authors do (cientgu/InstructDiffusion, edit_cli.py).
    """
    height, width = size
    if picture.shape[:2] == (height, width):
        return picture
    check_interrupt()
    image = Image.fromarray(picture)
    if sharp:
        return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))
    for box in ((width, image.height), (width, height)):  # an axis at a time: one may shrink, one may grow
        shrinks = box[0] < image.width or box[1] < image.height
        method = Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC
        image = image.resize(box, method)
        check_interrupt()
    return np.asarray(image)


def large_resolution(resolution: int, trained_at: int) -> str:
    """What there is to say before a run at a resolution far beyond the model's own; empty at others.

    Args:
        resolution: Side in pixels that is asked for.
        trained_at: The side at which the model was trained.

    Returns:
        A sentence where a picture has more than 16 times the pixels of one that the model was trained with.
    """
    times = (resolution / trained_at) ** 2
    if times <= 16:
        return ""
    return (
        f"resolution {resolution} takes long, {times:,.0f} times the work of {trained_at}, at which the model was "
        "trained and is best: that is what it takes where no resolution is given"
    )


def scaled_size(size: tuple[int, int], upscale: float) -> tuple[int, int]:
    """(height, width) in whole pixels, at least 1, of what is `upscale` times as large as `size` (height, width)."""
    height, width = (max(1, round(side * upscale)) for side in size)
    return height, width


def scale_image(picture: np.ndarray, upscale: float) -> np.ndarray:
    """A picture uint8 [h, w, 3] `upscale` times as large, as `resize_picture` makes it; itself at upscale 1."""
    return resize_picture(picture, scaled_size(picture.shape[:2], upscale))


def _resized(plane: np.ndarray, size: tuple[int, int], method: Image.Resampling) -> np.ndarray:
    image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.asarray(image.resize(size[::-1], method))


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
    out = np.empty((height, width, field.shape[2]), np.float32)
    for channel in range(field.shape[2]):
        if whole:  # rows of their own for each row of it
            times = field.shape[0] // height
            for rows in strips((height, field.shape[1] * times)):
                part = field[rows.start * times : rows.stop * times, :, channel]
                out[rows, :, channel] = _resized(part, (rows.stop - rows.start, width), method)
            continue
        check_interrupt()
        resized = _resized(field[..., channel], (height, width), method)
        for rows in strips(out.shape):
            out[rows, :, channel] = resized[rows]
    return out
