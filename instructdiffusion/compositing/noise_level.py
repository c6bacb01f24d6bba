"""Noise: how much of a picture is noise, and of what kind, told from the picture and what a model made of it.

Noise is what the source has and the denoised picture has not, everywhere and about equally: where nothing but noise
was taken out, the source and the difference move together. What an autoencoder loses of a clean picture is detail, much
in some places and next to nothing in others, and its own unrest is not in the source at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from ..imaging.strips import gaussian_filter, in_strips, with_margin
from ..utils.interrupts import check_interrupt

SCALES = (1.0, 2.0, 4.0)  # pixels, sigma of the blurs whose differences are the bands of `split_bands`
WHITE_SHARES = (0.761, 0.0358, 0.009)  # of the variance of white noise, what each band but the last holds
_SAMPLE, _STRIP = 2_000_000, 64  # pixels that are enough to measure by, in strips of so many rows
_WINDOWS = (9, 9, 17)  # pixels a side over which a band's noise is measured
_FRAME = 33  # pixels a side: what is of one value over so much has no noise to show
_QUIET, _USUAL = 10, 50  # percentiles of the windows
_SPREAD = 0.5  # of what usual windows have beyond the quiet ones, how much speaks for detail in these
_EXCESS = 1.2  # the quiet windows hold less noise than the mean
_AT_MOST = 3.0  # times what quiet windows show: there is no more white noise than that
_LEAST = (4.2 / 255) ** 2  # variance of coarse noise below which it is left
_BLOCK, _BLOCKY = 8, 1.25  # a JPEG's blocks, and how much larger jumps between them are than inside
_LOST = 0.5  # of that variance, what counts: where there is little detail a JPEG loses less than in the mean
_JUMP = 0.15  # of full scale: by how much an impulse differs from the median of its neighbours, at least
_FEWEST = 0.002  # of the pixels: fewer impulses are not noise
_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6


@dataclass(frozen=True)
class Noise:
    """The noise of a picture with values 0..1, as variances.

    white: of white noise. coarse: of what comes to it in each band of `split_bands` but the last, all 0 where noise is
    white. blocks: of what a JPEG lost.
    """

    white: float = 0.0
    coarse: tuple[float, ...] = (0.0,) * len(SCALES)
    blocks: float = 0.0

    @property
    def bands(self) -> tuple[float, ...]:
        """Variance in each band but the last."""
        plain = self.white + self.blocks
        return tuple(share * plain + more for share, more in zip(WHITE_SHARES, self.coarse, strict=True))


def estimate_noise(source: np.ndarray, denoised: np.ndarray) -> Noise:
    """The noise in source, by what it has and denoised has not; float32 [h, w, 3] in 0..1 without impulses."""
    source, denoised = _sample(source), _sample(denoised)
    difference = source - denoised
    white = white_variance(source)
    clipped = _shown(source, denoised)
    bands = list(zip(split_bands(source), split_bands(difference), _WINDOWS, strict=False))
    check_interrupt()
    quiet = [_quiet(own, lost, window, clipped) for own, lost, window in bands]
    white = min(white, _AT_MOST * quiet[0][0] / WHITE_SHARES[0])
    coarse = []
    for (low, usual), share in zip(quiet, WHITE_SHARES, strict=True):
        floor = _EXCESS * max(0.0, low - _SPREAD * (usual - low))
        coarse.append(max(0.0, floor - share * white))
    if sum(coarse[1:]) < _LEAST:
        coarse = [0.0] * len(coarse)
    return Noise(white, tuple(coarse), _block_variance(source, difference))


def white_variance(picture: np.ndarray) -> float:
    """Variance of the white noise in a picture float [h, w, 3], from second differences, which see little else.

    Immerkaer 1996, with a median in place of the mean. Pixels amid others just like them are left out: a frame, or
    what is over-exposed, has no noise to show. 0 where nearly all are: a graphic.
    """
    from scipy import ndimage

    planes = []
    for channel in range(picture.shape[2]):
        check_interrupt()
        planes.append(ndimage.convolve(picture[..., channel], _KERNEL))
    detail = np.stack(planes, axis=2)
    check_interrupt()
    detail = detail[np.abs(detail).max(axis=2) > 1e-4]
    if len(detail) < 0.2 * picture.shape[0] * picture.shape[1]:
        return 0.0
    # Half of a normal variable's values lie within .67 sigma.
    return float(np.median(np.abs(detail)) / 0.6745) ** 2


def find_impulses(source: np.ndarray, denoised: np.ndarray) -> np.ndarray | None:
    """Salt and pepper, bool [h, w]; None where there is none. source: uint8 [h, w, 3]; denoised: float 0..1.

    A channel at either end of its range, far from the median of its neighbours and from what was drawn, to the same
    side; some in a thousand at least, and scattered as chance scatters: dots and strokes that are meant lie together.
    """
    sample = _sample(source)
    jump = max(_JUMP, 5 * white_variance(sample / np.float32(255)) ** 0.5)
    hit = _far_pixels(sample, _sample(denoised), jump)
    if not _is_scattered(hit):
        return None
    return hit if sample is source else _far_pixels(source, denoised, jump)


def _far_pixels(source: np.ndarray, denoised: np.ndarray, jump: float) -> np.ndarray:
    jump *= 255

    def far(rows: slice) -> np.ndarray:
        wider, own = with_margin(rows, len(source), 1)
        part = source[rows]
        median = np.asarray(Image.fromarray(source[wider]).filter(ImageFilter.MedianFilter(3)))[own]
        away, lost = part.astype(np.int16) - median, part - denoised[rows] * np.float32(255)
        white = (part >= 252) & (away > jump) & (lost > 0.6 * jump)
        black = (part <= 3) & (away < -jump) & (lost < -0.6 * jump)
        return (white | black).any(axis=2)

    return in_strips(far, source.shape)


def _is_scattered(hit: np.ndarray) -> bool:
    from scipy import ndimage

    part = float(hit.mean())
    if part < _FEWEST:
        return False
    neighbours = 9 * ndimage.uniform_filter(hit.astype(np.float32), 3)[hit].mean() - 1
    cells = ndimage.maximum_filter(hit, 16)[8::16, 8::16].mean()
    return bool(neighbours < 12 * part + 0.3 and cells > 0.7 * (1 - (1 - part) ** 256))


def fill_pixels(field: np.ndarray, hit: np.ndarray) -> np.ndarray:
    """Float values [h, w, 3] with those of the pixels `hit` replaced by a mean of the others around them."""
    size = hit.shape
    untouched = 1 - hit.astype(np.float32)
    near = gaussian_filter(in_strips(lambda rows: field[rows] * untouched[rows][..., None], size), 1)
    weight = gaussian_filter(untouched, 1)

    def filled(rows: slice) -> np.ndarray:
        divisor = np.maximum(weight[rows], np.float32(1e-3))[..., None]
        return np.where(hit[rows][..., None], near[rows] / divisor, field[rows])

    return in_strips(filled, size)


def split_bands(picture: np.ndarray) -> list[np.ndarray]:
    """A picture float [h, w, 3] as details that add up to it, from the finest on; what is coarser than all, last."""
    soft = [picture, *(gaussian_filter(picture, s, truncate=3) for s in SCALES)]
    return [_less(a, b) for a, b in zip(soft, soft[1:], strict=False)] + soft[-1:]


def _less(field: np.ndarray, other: np.ndarray) -> np.ndarray:
    return in_strips(lambda rows: field[rows] - other[rows], field.shape)


def _sample(picture: np.ndarray) -> np.ndarray:
    """Strips of a large picture one below the other, evenly spread; a small one whole."""
    height, width = picture.shape[:2]
    count = max(1, _SAMPLE // (_STRIP * width))
    if height * width <= _SAMPLE or count * _STRIP >= height:
        return picture
    starts = np.linspace(0, height - _STRIP, count).astype(int) // _BLOCK * _BLOCK
    return np.concatenate([picture[y : y + _STRIP] for y in starts])


def _shown(source: np.ndarray, denoised: np.ndarray) -> np.ndarray:
    """Where noise would show, bool [h, w]: not in a frame of one colour, nor where it is cut off at white or black."""
    from scipy import ndimage

    across = source.max(axis=2)
    same = ndimage.maximum_filter(across, 3) == ndimage.minimum_filter(across, 3)
    frame = ndimage.uniform_filter(same.astype(np.float32), _FRAME) > 0.999
    frame = ndimage.maximum_filter(frame, _FRAME + max(_WINDOWS))  # and what windows beside it see of it
    light = ndimage.uniform_filter(denoised.mean(axis=2), 9)
    return ~(frame | (~same & ((light > 0.96) | (light < 0.04))))


def _quiet(source: np.ndarray, difference: np.ndarray, window: int, valid: np.ndarray) -> tuple[float, float]:
    """How far a band's source and difference move together, in quiet windows and in usual ones, as variances."""
    from scipy import ndimage

    check_interrupt()
    step = slice(window // 2, None, max(1, window // 2))
    together = ndimage.uniform_filter((source * difference).mean(axis=2), window)[step, step]
    together = together[valid[step, step]]
    if len(together) < 9:
        return 0.0, 0.0
    low, usual = np.percentile(together, (_QUIET, _USUAL))
    return max(0.0, float(low)), max(0.0, float(usual))


def _block_variance(source: np.ndarray, difference: np.ndarray) -> float:
    """Variance of what a JPEG lost; 0 where the picture shows no blocks, or the denoised picture has them too.

    Neighbouring blocks err each for itself: of the squared jumps between them, twice the variance comes to what jumps
    inside them have.
    """
    source, difference = source.mean(axis=2), difference.mean(axis=2)
    if min(source.shape) < 4 * _BLOCK:
        return 0.0
    variances = []
    for own, lost in ((source, difference), (source.T, difference.T)):
        jumps = np.diff(own, axis=1)
        bends = np.abs(jumps[:, 1:-1] - (jumps[:, :-2] + jumps[:, 2:]) / 2)
        shared = (jumps * np.diff(lost, axis=1))[:, 1:-1]
        usual = np.array([np.median(bends[:, phase::_BLOCK]) for phase in range(_BLOCK)])
        mean = np.array([shared[:, phase::_BLOCK].mean() for phase in range(_BLOCK)])
        edge = int(usual.argmax())
        power = np.array([np.square(jumps[:, 1 + phase :: _BLOCK]).mean() for phase in range(_BLOCK)])
        mosaic = power[edge] > 8 * np.median(np.delete(power, edge))
        if mosaic or usual[edge] < _BLOCKY * max(np.delete(usual, edge).max(), 0.3 / 255):
            return 0.0
        variances.append((mean[edge] - np.median(np.delete(mean, edge))) / 2)
    return _LOST * max(0.0, float(np.mean(variances)))
