"""Pictures of datasets: as they are stored, because annotations were made on the stored pixels."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from ...imaging.images import MAX_PIXELS, load_picture
from .problems import Flaw


def read_picture(source: Path | bytes, *, turned: bool = False) -> np.ndarray:
    """A picture uint8 [h, w, 3]; `turned` carries out its EXIF rotation. Flaw for what is missing or damaged."""
    with _loaded(source) as image:
        if not turned and image.mode in ("RGB", "L", "CMYK", "YCbCr"):
            return np.array(image.convert("RGB"))
        return load_picture(image)


def read_values(source: Path | bytes) -> np.ndarray:
    """The stored numbers of a label picture, int32 [h, w] (palette indices, gray, 16 bit), or [h, w, 3] of RGB."""
    with _loaded(source) as image:
        values = np.asarray(image.convert("RGB") if image.mode in ("RGBA", "CMYK", "YCbCr") else image)
    if values.ndim == 3 and values.shape[2] == 2:
        values = values[..., 0]
    return values.astype(np.int32)


def picture_size(source: Path | bytes) -> tuple[int, int]:
    """(height, width) from the head of the file; Flaw for what is no picture."""
    try:
        with _opened(source) as image:
            return image.height, image.width
    except UnidentifiedImageError:
        raise Flaw("not a picture that can be read") from None
    except OSError as error:
        raise Flaw(_why(error)) from None


def encoded(picture: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    """The file of a picture uint8 [h, w, 3] or [h, w], or int32 [h, w] (16 bit)."""
    stream = io.BytesIO()
    array = picture.astype(np.uint16) if picture.dtype.kind == "i" else picture
    Image.fromarray(array).save(stream, kind, **options)
    return stream.getvalue()


def same_size(picture: np.ndarray, size: Sequence[int], what: str) -> None:
    """Flaw unless the picture is of `size` (height, width)."""
    if tuple(picture.shape[:2]) != tuple(size):
        raise Flaw(
            f"{what} is of {tuple(size)} and the picture of {tuple(picture.shape[:2])} (height, width)"
        )


@contextmanager
def _loaded(source: Path | bytes) -> Iterator[Image.Image]:
    """The picture with its pixels; Flaw for what is wrong with it, or with what is made of it within."""
    try:
        with _opened(source) as image:
            image.load()
            yield image
    except Flaw:
        raise
    except (UnidentifiedImageError, Image.DecompressionBombError):
        raise Flaw("not a picture that can be read") from None
    except (OSError, SyntaxError, EOFError, ValueError) as error:
        raise Flaw(_why(error)) from None


def _opened(source: Path | bytes) -> Image.Image:
    if isinstance(source, Path):
        if not source.is_file():
            raise Flaw("the file is missing")
        if not os.path.getsize(source):
            raise Flaw("the file is empty")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the check below is stricter
        image = Image.open(source if isinstance(source, Path) else io.BytesIO(source))
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise Flaw(f"{image.width}x{image.height} pixels are more than {MAX_PIXELS}")
    return image


def _why(error: Exception) -> str:
    words = str(error)
    return (
        "the picture is cut off" if "truncated" in words.lower() else f"the picture cannot be read: {words}"
    )
