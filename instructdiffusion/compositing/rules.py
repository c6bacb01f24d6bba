"""Keep what did not change: the edit laid on the source instead of the autoencoder's copy of it.

Masks and marks are added as differences, to be read back; pictures people look at get the edit itself where it
changed something.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageFilter

from ..imaging.resize import resize_field
from .noise_level import estimate_noise, fill_pixels, find_impulses, split_bands
from .sharpness import blur_share

LEARNED = ("dewatermark", "edit")  # the tasks whose answers `learned` can lay

FLOOR, FULL = 0.02, 0.06  # changes below FLOOR are the autoencoder's own unrest, above FULL surely meant
# Of `keep_detail`, chosen on 160 validation scenes: 29.0 dB, where the drawn pictures themselves have 27.2.
_NOISY = 1.3  # how much of the difference noise may explain, as a multiple of its variance
_NEAR = 1.5  # pixels, sigma of the neighbourhood over which the difference is averaged
_NEAR_BANDS = (1.5, 2.0, 4.0)  # the same for the bands of coarse noise


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


def sharpen_blurred(source: np.ndarray, edited: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
    """As `add_difference`, as far as the source is blurred: a picture with sharp edges comes back as it was.

    What is soft beside sharp edges is soft on purpose (`blur`).
    """
    check_sizes(edited, reconstruction)
    share = blur_share(source.astype(np.float32) / 255)
    if share == 0:
        return source.copy()
    return add_difference(source, reconstruction + np.float32(share) * (edited - reconstruction), reconstruction)


def keep_detail(source: np.ndarray, denoised: np.ndarray) -> np.ndarray:
    """The denoised picture with the detail of the source that is not noise, uint8 [h, w, 3] at the source's own size.

    Where source and denoised picture differ by more than the noise accounts for, the rest is detail that the
    autoencoder lost, and as large a share of the difference is given back: Wiener's 1 - noise / power, the power a
    mean around each pixel, the noise's variance told from both pictures (`noise`); band by band where noise is coarser
    than a pixel. Of salt and pepper nothing is given back, and around them the rest as elsewhere. A picture without
    noise so comes back nearly as it was. denoised: float 0..1, of any size.
    """
    drawn = resize_field(denoised, source.shape[:2])
    difference = source.astype(np.float32) / 255 - drawn
    impulses = find_impulses(source, drawn)
    if impulses is not None:
        difference = fill_pixels(difference, impulses)
    noise = estimate_noise(drawn + difference, drawn)
    if not any(noise.coarse):
        return to_uint8(drawn + _detail(difference, noise.white + noise.blocks, _NEAR))
    *bands, rest = split_bands(difference)
    for band, variance, near in zip(bands, noise.bands, _NEAR_BANDS, strict=True):
        rest = rest + _detail(band, variance, near)
    return to_uint8(drawn + rest)


def _detail(difference: np.ndarray, variance: float, near: float) -> np.ndarray:
    """The share of a difference [h, w, 3] that noise of this variance does not account for."""
    from scipy import ndimage

    power = ndimage.gaussian_filter((difference * difference).mean(axis=2), near)
    share = np.clip(1 - _NOISY * variance / np.maximum(power, np.float32(1e-9)), 0, 1)
    return share[..., None] * difference


def join_drawings(copy: np.ndarray, drawings: Sequence[np.ndarray]) -> np.ndarray:
    """Several drawings on one picture as one, in the kind (uint8 or float) and size of `copy` [h, w, 3].

    Every pixel is the drawing's that surely changed it; where several did the smaller drawing lies on top, which a
    larger one would hide whole.
    """
    scale = 255 if copy.dtype == np.uint8 else 1
    strengths = [np.minimum(np.abs(d.astype(np.float32) - copy).max(axis=2) / scale, FULL) for d in drawings]
    joined, best = copy.copy(), np.zeros(copy.shape[:2], np.float32)
    for row in sorted(range(len(drawings)), key=lambda i: -float(strengths[i].sum())):
        # Half a percent: what differs by less is as strong, and the last of them is the smallest.
        wins = strengths[row] >= np.maximum(best - np.float32(0.005), np.float32(1e-6))
        joined[wins] = drawings[row][wins]
        best = np.maximum(best, strengths[row])
    return joined


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
