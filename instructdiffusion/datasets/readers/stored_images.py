"""Pictures of datasets: as they are stored, because annotations were made on the stored pixels."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...imaging.image_files import UnreadableImage, open_image
from ...imaging.images import load_picture
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
    """(height, width) from the head of the file; Flaw, which names the file, for what is no picture."""
    try:
        with _loaded(source, load=False) as image:
            return image.height, image.width
    except Flaw as flaw:  # sizes are read while indexing, where the record alone is named
        raise (Flaw(f"{source.name}: {flaw}") if isinstance(source, Path) else flaw) from None


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
def _loaded(source: Path | bytes, load: bool = True) -> Iterator[Image.Image]:
    """The picture with its pixels; Flaw for what is wrong with it, or with what is made of it within."""
    if isinstance(source, Path) and not source.exists():
        raise Flaw("the file is missing")
    try:
        with open_image(source, "the picture", load=load) as image:
            yield image
    except Flaw:
        raise
    except UnreadableImage as error:
        cut = "truncated" in error.reason.lower()
        raise Flaw("the picture is cut off" if cut else f"the picture {error.reason}") from None
    except (OSError, ValueError) as error:
        raise Flaw(f"the picture cannot be read: {error}") from None
