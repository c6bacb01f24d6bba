"""Pictures in: files, PIL images, arrays and tensors become uint8 [h, w, 3]; what cannot be read is refused."""

from __future__ import annotations

import contextlib
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from .image_files import EXTENSIONS, MAX_PIXELS, OTHER_EXTENSIONS, first_frame, open_image
from .strips import in_strips, strips

MIN_SIDE = 8  # pixels; below it there is nothing to see


def load_picture(picture: Any, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """One picture as uint8 [h, w, 3], RGB, turned the way it is to be looked at.

    picture: a path, a PIL image, a numpy array [h, w], [h, w, 1 | 3 | 4], or a torch tensor, which may also
    be [c, h, w]; floats lie in 0..1, uint16 in 0..65535. Gray, palette, 16-bit and CMYK pictures are
    converted, transparency is laid over white, an EXIF rotation is carried out, and of an animation the
    first frame is used, with a warning.

    ValueError: not a picture, truncated, a side under 8 pixels, more than `max_pixels` (found out before
    decoding), values out of range or not finite. FileNotFoundError; TypeError for other kinds.
    """
    if isinstance(picture, (str, os.PathLike)):
        array = _read(Path(picture), max_pixels)
    elif isinstance(picture, Image.Image):
        _check_size(*picture.size[::-1], "the picture", max_pixels)
        array = _from_pil(picture, "the picture")
    elif isinstance(picture, np.ndarray):
        array = _from_array(picture, "the array")
    elif _is_tensor(picture):
        array = _from_array(_tensor_to_array(picture), "the tensor")
    else:
        raise TypeError(
            "expected a picture as a path, PIL image, numpy array or torch tensor, "
            f"got {type(picture).__name__}"
        )
    _check_size(array.shape[0], array.shape[1], "the picture", max_pixels)
    return array


def load_pictures(pictures: Any, *, max_pixels: int = MAX_PIXELS) -> tuple[list[np.ndarray], bool]:
    """(pictures as uint8 [h, w, 3], whether a single one came).

    A list or tuple is several pictures, of any sizes; an array or tensor with four axes is a batch.
    """
    if isinstance(pictures, (list, tuple)):
        return [load_picture(p, max_pixels=max_pixels) for p in pictures], False
    if (isinstance(pictures, np.ndarray) or _is_tensor(pictures)) and pictures.ndim == 4:
        return [load_picture(p, max_pixels=max_pixels) for p in pictures], False
    return [load_picture(pictures, max_pixels=max_pixels)], True


def list_pictures(folder: str | os.PathLike[str]) -> list[Path]:
    """The picture files of a folder (by extension, not of its subfolders), in order of their names.

    Pictures of kinds that cannot be read (HEIC, ...) are among them, so that they are reported.
    """
    endings = EXTENSIONS | OTHER_EXTENSIONS
    paths = [p for p in Path(folder).iterdir() if p.suffix.lower() in endings and not p.is_dir()]
    return sorted(p for p in paths if not p.name.startswith("."))


def _read(path: Path, max_pixels: int) -> np.ndarray:
    with open_image(path, str(path), max_pixels=max_pixels) as image:
        _check_size(image.height, image.width, str(path), max_pixels)
        return _from_pil(image, str(path))


def _check_size(height: int, width: int, name: str, max_pixels: int) -> None:
    if min(height, width) < MIN_SIDE:
        raise ValueError(
            f"{name} is {width}x{height} pixels: expected at least {MIN_SIDE} on each side, send a larger one"
        )
    if height * width > max_pixels:
        raise ValueError(
            f"{name} is {width}x{height} = {height * width / 1e6:.0f} million pixels: "
            f"at most {max_pixels / 1e6:.0f} million are taken, make it smaller first"
        )


def _from_pil(image: Image.Image, name: str) -> np.ndarray:
    frames = first_frame(image, name)
    if frames > 1 and image.format != "MPO":  # the further pictures of an MPO file are previews
        warnings.warn(f"{name} has {frames} frames: the first is used", UserWarning, stacklevel=4)
    # A damaged EXIF block is no reason to refuse the picture: it is taken as it lies.
    with contextlib.suppress(ValueError, TypeError, SyntaxError, KeyError, OSError):
        image = ImageOps.exif_transpose(image) or image
    if image.mode == "F" or image.mode.startswith("I"):
        return _from_array(_high_depth(np.asarray(image), name), name)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return np.array(image.convert("RGB"))


def _high_depth(values: np.ndarray, name: str) -> np.ndarray:
    """Gray values of PIL's modes I, I;16* and F as uint8 or uint16 or float in 0..1."""
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return values.astype(np.uint16)
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 65535:
        raise ValueError(f"{name} holds values outside 0..65535: scale them first")
    if values.dtype.kind == "f" and values.max() <= 1:
        return values
    return values.astype(np.uint8 if values.max() <= 255 else np.uint16)


def _is_tensor(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach")


def _tensor_to_array(tensor: Any) -> np.ndarray:
    """A tensor [h, w], [c, h, w] or [h, w, c] as an array with the channels last."""
    tensor = tensor.detach().cpu()
    array = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    if array.ndim == 4 and array.shape[0] == 1:
        array = array[0]
    if (
        array.ndim == 3
        and array.shape[0] in (1, 3, 4)
        and (array.shape[2] not in (1, 3, 4) or array.shape[0] == 3)
    ):
        array = np.moveaxis(array, 0, 2)
    return array


def _from_array(array: np.ndarray, name: str) -> np.ndarray:
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or array.size == 0:
        hint = ", or a list of pictures" if array.ndim == 4 else ""
        raise ValueError(f"{name} has shape {list(array.shape)}: expected [h, w], [h, w, 1 | 3 | 4]{hint}")
    values = _to_uint8(array, name)
    if values.shape[2] == 4:
        alpha = values[..., 3:].astype(np.uint16)
        values = ((values[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.array(np.broadcast_to(values, (*values.shape[:2], 3)))  # a copy: the answer keeps it


def _to_uint8(array: np.ndarray, name: str) -> np.ndarray:
    kind = array.dtype.kind
    if array.dtype == np.uint8:
        return array
    if kind == "b":
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if kind not in "fiu":
        raise TypeError(f"{name} holds {array.dtype}: expected uint8, uint16 or floats in 0..1")
    if not all(np.isfinite(array[rows]).all() for rows in strips(array.shape)):
        raise ValueError(f"{name} holds values that are not finite (NaN or infinity)")
    low, high = float(array.min()), float(array.max())
    top = 1.0 if kind == "f" else 255.0
    if low < -1e-3 * top or high > 1.001 * top:
        raise ValueError(
            f"{name} ({array.dtype}) holds values from {low:.4g} to {high:.4g}: "
            f"expected 0..{top:g}" + (", divide by 255 or pass uint8" if kind == "f" and high > 1 else "")
        )
    return in_strips(
        lambda rows: np.round(np.clip(array[rows], 0, top) * (255.0 / top)).astype(np.uint8), array.shape
    )
