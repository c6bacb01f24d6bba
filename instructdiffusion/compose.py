"""Keep what did not change: the edit laid on the source instead of the autoencoder's copy of it."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from .resize import resize_field

FLOOR, FULL = 0.02, 0.06  # changes below FLOOR are the autoencoder's own unrest, above FULL surely meant


def keep_unchanged(source: np.ndarray, edited: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
    """source + gate * (edited - reconstruction), uint8 [h, w, 3] at the source's own size.

    The autoencoder loses the same detail in the edit and in the reconstruction of the source, so it cancels.
    gate rises smoothly from 0 to 1 where the change near a pixel goes from 2 % to 6 % of full scale.

    source: uint8 [h, w, 3]; edited, reconstruction: float 0..1 of one size, any (the change is brought to
    the source's size).
    """
    if edited.shape != reconstruction.shape:
        raise ValueError(
            f"edited {edited.shape} and reconstruction {reconstruction.shape} must have one size"
        )
    delta = edited - reconstruction
    strength = _smooth(np.abs(delta).max(axis=2))
    rise = np.clip((strength - FLOOR) / (FULL - FLOOR), 0, 1)
    gate = rise * rise * (3 - 2 * rise)
    delta = resize_field(delta * gate[..., None], source.shape[:2])
    return to_uint8(source.astype(np.float32) / 255 + delta)


def to_uint8(picture: np.ndarray) -> np.ndarray:
    """A float picture 0..1 as uint8, values outside cut off."""
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def _smooth(values: np.ndarray) -> np.ndarray:
    """The mean over 3x3 pixels: a single pixel is noise, a thin line is not."""
    image = Image.fromarray(to_uint8(values))
    return np.asarray(image.filter(ImageFilter.BoxBlur(1)), np.float32) / 255
