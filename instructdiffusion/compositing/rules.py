"""Keep what did not change: the edit laid on the source instead of the autoencoder's copy of it.

Masks and marks are added as differences, to be read back; pictures people look at get the edit itself where it
changed something.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageFilter

from ..imaging.resize import resize_field
from ..imaging.strips import connected_to, gaussian_filter, in_strips, strips, with_margin
from .noise_level import estimate_noise, fill_pixels, find_impulses, split_bands
from .sharpness import blur_share

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
    strength = _strength(edited, reconstruction)

    def gated(rows: slice) -> np.ndarray:
        rise = np.clip((strength[rows] - FLOOR) / (FULL - FLOOR), 0, 1)
        gate = rise * rise * (3 - 2 * rise)
        return (edited[rows] - reconstruction[rows]) * gate[..., None]

    return _add(source, resize_field(in_strips(gated, strength.shape), source.shape[:2]))


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
    strength = _strength(edited, reconstruction)
    region = connected_to(strength > high, strength > low)

    def widened(rows: slice) -> np.ndarray:
        wider, own = with_margin(rows, len(region), 1)
        return ndimage.binary_dilation(region[wider])[own].astype(np.float32)

    gate = gaussian_filter(in_strips(widened, region.shape), 0.6)[..., None]
    size = source.shape[:2]
    if region.mean() > 0.5:
        change = in_strips(lambda rows: (edited[rows] - reconstruction[rows]) * gate[rows], region.shape)
        return _add(source, resize_field(change, size))
    gate, edit = resize_field(gate, size), resize_field(edited, size)

    def laid(rows: slice) -> np.ndarray:
        plain = source[rows].astype(np.float32) / 255
        return to_uint8(plain + np.clip(gate[rows], 0, 1) * (edit[rows] - plain))

    return in_strips(laid, size)


def add_difference(source: np.ndarray, edited: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
    """source + (edited - reconstruction), uint8 [h, w, 3] at the source's own size.

    For changes that are everywhere and small, such as sharpening: what the autoencoder loses of the source and of the
    edit is nearly the same, and so stays what the source has. Pictures as for `keep_unchanged`.
    """
    check_sizes(edited, reconstruction)
    change = in_strips(lambda rows: edited[rows] - reconstruction[rows], edited.shape)
    return _add(source, resize_field(change, source.shape[:2]))


def sharpen_blurred(source: np.ndarray, edited: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
    """As `add_difference`, as far as the source is blurred: a picture with sharp edges comes back as it was.

    What is soft beside sharp edges is soft on purpose (`blur`).
    """
    check_sizes(edited, reconstruction)
    share = np.float32(blur_share(in_strips(lambda rows: source[rows].astype(np.float32) / 255, source.shape)))
    if share == 0:
        return source.copy()

    def nearer(rows: slice) -> np.ndarray:
        return reconstruction[rows] + share * (edited[rows] - reconstruction[rows])

    return add_difference(source, in_strips(nearer, edited.shape), reconstruction)


def keep_detail(source: np.ndarray, denoised: np.ndarray) -> np.ndarray:
    """The denoised picture with the detail of the source that is not noise, uint8 [h, w, 3] at the source's own size.

    Where source and denoised picture differ by more than the noise accounts for, the rest is detail that the
    autoencoder lost, and as large a share of the difference is given back: Wiener's 1 - noise / power, the power a
    mean around each pixel, the noise's variance told from both pictures (`noise`); band by band where noise is coarser
    than a pixel. Of salt and pepper nothing is given back, and around them the rest as elsewhere. A picture without
    noise so comes back nearly as it was. denoised: float 0..1, of any size.
    """
    size = source.shape[:2]
    image = resize_field(denoised, size)
    difference = in_strips(lambda rows: source[rows].astype(np.float32) / 255 - image[rows], size)
    impulses = find_impulses(source, image)
    if impulses is not None:
        difference = fill_pixels(difference, impulses)
    noise = estimate_noise(in_strips(lambda rows: image[rows] + difference[rows], size), image)
    if not any(noise.coarse):
        rest = _detail(difference, noise.white + noise.blocks, _NEAR)
    else:
        *bands, rest = split_bands(difference)
        for band, variance, near in zip(bands, noise.bands, _NEAR_BANDS, strict=True):
            more = _detail(band, variance, near)
            for rows in strips(size):
                rest[rows] += more[rows]
    return in_strips(lambda rows: to_uint8(image[rows] + rest[rows]), size)


def _detail(difference: np.ndarray, variance: float, near: float) -> np.ndarray:
    """The share of a difference [h, w, 3] that noise of this variance does not account for."""
    size = difference.shape[:2]
    power = gaussian_filter(
        in_strips(lambda rows: (difference[rows] * difference[rows]).mean(axis=2), size), near
    )

    def detail(rows: slice) -> np.ndarray:
        share = np.clip(1 - _NOISY * variance / np.maximum(power[rows], np.float32(1e-9)), 0, 1)
        return share[..., None] * difference[rows]

    return in_strips(detail, size)


def join_drawings(copy: np.ndarray, drawings: Sequence[np.ndarray]) -> np.ndarray:
    """Several drawings on one picture as one, in the kind (uint8 or float) and size of `copy` [h, w, 3].

    Every pixel is the drawing's that surely changed it; where several did the smaller drawing lies on top, which a
    larger one would hide whole.
    """
    scale, size = 255 if copy.dtype == np.uint8 else 1, copy.shape[:2]

    def strength(drawing: np.ndarray) -> np.ndarray:
        def part(rows: slice) -> np.ndarray:
            change = np.abs(drawing[rows].astype(np.float32) - copy[rows])
            return np.minimum(change.max(axis=2) / scale, FULL)

        return in_strips(part, size)

    strengths = [strength(drawing) for drawing in drawings]
    joined, best = copy.copy(), np.zeros(copy.shape[:2], np.float32)
    for row in sorted(range(len(drawings)), key=lambda i: -float(strengths[i].sum())):
        # Half a percent: what differs by less is as strong, and the last of them is the smallest.
        for rows in strips(size):
            own = strengths[row][rows]
            wins = own >= np.maximum(best[rows] - np.float32(0.005), np.float32(1e-6))
            joined[rows][wins] = drawings[row][rows][wins]
            best[rows] = np.maximum(best[rows], own)
    return joined


def check_sizes(edited: np.ndarray, reconstruction: np.ndarray) -> None:
    """ValueError where the edit and the autoencoder's copy of its source differ in size."""
    if edited.shape != reconstruction.shape:
        raise ValueError(
            f"edited {edited.shape} and reconstruction {reconstruction.shape} must have one size"
        )


def to_uint8(picture: np.ndarray) -> np.ndarray:
    """A float picture 0..1 as uint8, values outside cut off."""
    return in_strips(lambda rows: np.rint(np.clip(picture[rows], 0, 1) * 255).astype(np.uint8), picture.shape)


def _add(source: np.ndarray, change: np.ndarray) -> np.ndarray:
    """source uint8 [h, w, 3] with a change float [h, w, 3] of full scale, as uint8."""
    return in_strips(lambda rows: to_uint8(source[rows].astype(np.float32) / 255 + change[rows]), source.shape)


def _strength(edited: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
    """How strongly each pixel changed, float32 [h, w] in 0..1, smoothed."""
    change = in_strips(lambda rows: np.abs(edited[rows] - reconstruction[rows]).max(axis=2), edited.shape)
    return _smooth(change)


def _smooth(values: np.ndarray) -> np.ndarray:
    """The mean over 3x3 pixels: a single pixel is noise, a thin line is not."""
    image = Image.fromarray(to_uint8(values))
    return np.asarray(image.filter(ImageFilter.BoxBlur(1)), np.float32) / 255
