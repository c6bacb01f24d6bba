"""Keep what did not change: the edit laid on the source instead of the autoencoder's copy of it.

Masks and marks are added as differences, to be read back; pictures people look at get the edit itself where it
changed something.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from .resize import resize_field

FLOOR, FULL = 0.02, 0.06  # changes below FLOOR are the autoencoder's own unrest, above FULL surely meant
# Of `keep_detail`, chosen on 160 validation scenes: 29.0 dB, where the drawn pictures themselves have 27.2.
_NOISY = 1.3  # how much of the difference noise may explain, as a multiple of its variance
_NEAR = 1.5  # pixels, sigma of the neighbourhood over which the difference is averaged
_NOISE_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6


def keep_unchanged(source: np.ndarray, edited: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
    """source + gate * (edited - reconstruction), uint8 [h, w, 3] at the source's own size.

    The autoencoder loses the same detail in the edit and in the reconstruction of the source, so it cancels.
    gate rises smoothly from 0 to 1 where the change near a pixel goes from 2 % to 6 % of full scale.

    source: uint8 [h, w, 3]; edited, reconstruction: float 0..1 of one size, any (the change is brought to
    the source's size).
    """
    check_sizes(edited, reconstruction)
    delta = edited - reconstruction
    strength = _smooth(np.abs(delta).max(axis=2))
    rise = np.clip((strength - FLOOR) / (FULL - FLOOR), 0, 1)
    gate = rise * rise * (3 - 2 * rise)
    delta = resize_field(delta * gate[..., None], source.shape[:2])
    return to_uint8(source.astype(np.float32) / 255 + delta)


def replace_changed(
    source: np.ndarray, edited: np.ndarray, reconstruction: np.ndarray, low: float, high: float
) -> np.ndarray:
    """The source with the edit in place of what it changed, uint8 [h, w, 3] at the source's own size.

    What changed are the connected regions of more than `low` (of full scale, mean of 3x3 pixels) that somewhere
    reach `high`: unrest of the autoencoder is weak or scattered, a meant change has a core. There the edit itself
    is taken, since source + difference would leave what the autoencoder loses of a thing that is gone. Where more
    than half of the picture changed it is a change of style, and the difference is added to keep the detail.
    """
    from scipy import ndimage

    check_sizes(edited, reconstruction)
    strength = _smooth(np.abs(edited - reconstruction).max(axis=2))
    region = ndimage.binary_propagation(strength > high, mask=strength > low)
    gate = ndimage.gaussian_filter(ndimage.binary_dilation(region).astype(np.float32), 0.6)[..., None]
    size, plain = source.shape[:2], source.astype(np.float32) / 255
    if region.mean() > 0.5:
        return to_uint8(plain + resize_field((edited - reconstruction) * gate, size))
    gate = np.clip(resize_field(gate, size), 0, 1)
    if gate.ndim == 2:
        gate = gate[..., None]
    return to_uint8(plain + gate * (resize_field(edited, size) - plain))


def add_difference(source: np.ndarray, edited: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
    """source + (edited - reconstruction), uint8 [h, w, 3] at the source's own size.

    For changes that are everywhere and small, such as sharpening: what the autoencoder loses of the source and of the
    edit is nearly the same, and so stays what the source has. Pictures as for `keep_unchanged`.
    """
    check_sizes(edited, reconstruction)
    return to_uint8(source.astype(np.float32) / 255 + resize_field(edited - reconstruction, source.shape[:2]))


def keep_detail(source: np.ndarray, denoised: np.ndarray) -> np.ndarray:
    """The denoised picture with the detail of the source that is not noise, uint8 [h, w, 3] at the source's own size.

    Where source and denoised picture differ by more than the noise accounts for, the rest is detail that the
    autoencoder lost, and as large a share of the difference is given back: Wiener's 1 - noise / power, the power a
    mean around each pixel, the noise's variance read from the source itself (Immerkaer 1996, with a median in place
    of the mean). A picture without noise so comes back nearly as it was. denoised: float 0..1, of any size.
    """
    from scipy import ndimage

    plain = source.astype(np.float32) / 255
    drawn = resize_field(denoised, source.shape[:2])
    variance = _noise_variance(plain)
    difference = plain - drawn
    power = ndimage.gaussian_filter((difference * difference).mean(axis=2), _NEAR)
    share = np.clip(1 - _NOISY * variance / np.maximum(power, np.float32(1e-9)), 0, 1)
    return to_uint8(drawn + share[..., None] * difference)


def _noise_variance(picture: np.ndarray) -> float:
    """Variance of the noise in a picture float [h, w, 3], from second differences, which see little else.

    Pixels amid others just like them are left out: a frame, or what is over-exposed, has no noise to show. 0 where
    nearly all are: a graphic.
    """
    from scipy import ndimage

    seen = np.stack(
        [ndimage.convolve(picture[..., c], _NOISE_KERNEL) for c in range(picture.shape[2])], axis=2
    )
    seen = seen[np.abs(seen).max(axis=2) > 1e-4]
    if len(seen) < 0.2 * picture.shape[0] * picture.shape[1]:
        return 0.0
    # Half of a normal variable's values lie within .67 sigma.
    return float(np.median(np.abs(seen)) / 0.6745) ** 2


def check_sizes(edited: np.ndarray, reconstruction: np.ndarray) -> None:
    """ValueError where the edit and the autoencoder's copy of its source differ in size."""
    if edited.shape != reconstruction.shape:
        raise ValueError(
            f"edited {edited.shape} and reconstruction {reconstruction.shape} must have one size"
        )


def to_uint8(picture: np.ndarray) -> np.ndarray:
    """A float picture 0..1 as uint8, values outside cut off."""
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def _smooth(values: np.ndarray) -> np.ndarray:
    """The mean over 3x3 pixels: a single pixel is noise, a thin line is not."""
    image = Image.fromarray(to_uint8(values))
    return np.asarray(image.filter(ImageFilter.BoxBlur(1)), np.float32) / 255
