"""Half-transparent overlays back to masks.

Under a layer of opacity a a pixel is  out = (1 - a m) src + a m color, so with d = out - src and
u = color - src the covered share is  m = <d, u> / (a |u|^2). Where the picture already has the colour
(u near 0) a pixel says nothing, and its neighbours speak for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import numpy as np

from ..imaging.rasterize import as_float
from ..imaging.strips import gaussian_filter, in_strips, strips, uniform_filter
from ..utils.interrupts import check_interrupt

_MANY = 2**20  # values that are sorted at once between two looks for an interrupt

_QUIET = 0.004  # noise, as a standard deviation, that rounding to 8 bits makes (with a little room)
_TOUCHING = np.ones((3, 3), bool)  # neighbours by side or corner: the tip of a star is a diagonal of pixels
_PRIOR = 0.05  # variance of m around its neighbourhood's mean


def noise_level(residual: np.ndarray) -> float:
    """Standard deviation of the noise in one channel, from residuals [h, w, 3] across one direction each.

    The median length of a two-dimensional normal vector is 1.18 sigma; a median leaves out the few
    pixels that really changed.
    """
    return _noise_of(np.sqrt((residual * residual).sum(-1)))


def _noise_of(lengths: np.ndarray) -> float:
    """`noise_level` from the residuals' lengths [h, w]."""
    check_interrupt()
    return float(np.clip(np.median(lengths) / 1.18, _QUIET, 0.15))


def blend_fraction(
    source: np.ndarray, edited: np.ndarray, color: np.ndarray, alpha: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """How much of the full overlay every pixel got, and how well an overlay explains its change.

    Returns (m, explained), float32 [h, w]. m is about 0..1 (not clipped). explained is
    1 - |residual|^2 / |d|^2 over a 3x3 neighbourhood, less what the noise accounts for, and 1 where nothing
    but noise is left over.
    color: float [3] in 0..1; the pictures [h, w, 3], uint8 or float.
    """
    size, shade = source.shape[:2], np.asarray(color, np.float32)
    num, den, lengths, energy, unexplained, m = (np.empty(size, np.float32) for _ in range(6))

    def changes(rows: slice) -> tuple[np.ndarray, np.ndarray]:
        s = as_float(source[rows])
        return as_float(edited[rows]) - s, shade - s

    for rows in strips(size):
        d, u = changes(rows)
        num[rows] = (d * u).sum(-1) * np.float32(1 / alpha)
        den[rows] = (u * u).sum(-1)
        energy[rows] = (d * d).sum(-1)
        spread = np.clip(num[rows] / (den[rows] + np.float32(1e-3)), 0, 1.15) * np.float32(alpha)
        left = d - spread[..., None] * u
        lengths[rows] = np.sqrt((left * left).sum(-1))
    noise = _noise_of(lengths)
    # Posterior mean of m: data of variance (noise / (a |u|))^2 against the neighbourhood's mean, whose
    # own weak pixels lean on a wider neighbourhood in turn.
    trust = np.float32(noise**2 / (alpha**2 * _PRIOR))
    near = _weighted_mean(num, den, 4.0, 1e-3)
    near = in_strips(lambda rows: num[rows] + trust * near[rows], size)
    near = _weighted_mean(near, in_strips(lambda rows: den[rows] + trust, size), 1.0, 0.0)
    for rows in strips(size):
        d, u = changes(rows)
        m[rows] = (num[rows] + trust * near[rows]) / (den[rows] + trust)
        left = d - (np.clip(m[rows], 0, 1.15) * np.float32(alpha))[..., None] * u
        unexplained[rows] = (left * left).sum(-1)
    energy = uniform_filter(energy, 3, "nearest")
    unexplained = uniform_filter(unexplained, 3, "nearest")

    def explained(rows: slice) -> np.ndarray:
        rest = np.maximum(unexplained[rows] - np.float32(3 * (2 * noise) ** 2), 0)
        return np.clip(1 - rest / np.maximum(energy[rows], np.float32(1e-6)), 0, 1).astype(np.float32)

    return m, in_strips(explained, size)


def _weighted_mean(num: np.ndarray, den: np.ndarray, sigma: float, floor: float) -> np.ndarray:
    """Gaussian means of num over those of den, pulled to 0 where den is below `floor`."""
    top, bottom = (gaussian_filter(field, sigma, "nearest", 2.5) for field in (num, den))
    return in_strips(lambda rows: top[rows] / (bottom[rows] + np.float32(floor)), num.shape)


def decode_mask(
    source: np.ndarray,
    edited: np.ndarray,
    color: np.ndarray,
    *,
    alpha: float = 0.5,
    threshold: float = 0.5,
    min_area: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The mask (bool [h, w]) that was drawn in `color`, and its soft form (float32 [h, w] in 0..1).

    A pixel counts where its share of the overlay is at least `threshold` and an overlay explains more than
    half of its change. Regions below min_area pixels are dropped (None: .07 % of the picture, at least 3).
    """
    if not 0 < threshold < 1:
        raise ValueError(f"threshold is a share between 0 and 1, got {threshold}")
    soft = soft_mask(*blend_fraction(source, edited, color, alpha))
    mask = soft >= threshold
    return clean_mask(mask, soft, threshold, smallest_area(mask.size) if min_area is None else min_area)


def soft_mask(share: np.ndarray, explained: np.ndarray) -> np.ndarray:
    """The soft mask, float32 [h, w] in 0..1, of what `blend_fraction` gives: none where no overlay explains it."""
    return in_strips(
        lambda rows: np.clip(share[rows], 0, 1) * np.clip(explained[rows] * 4 - 1.5, 0, 1), share.shape
    )


def smallest_area(pixels: int) -> int:
    """Pixels below which a region of a picture of that many pixels is noise: .07 % of them, at least 3."""
    return max(3, round(pixels * 0.0007))


def clean_mask(
    mask: np.ndarray, soft: np.ndarray, threshold: float, min_area: int
) -> tuple[np.ndarray, np.ndarray]:
    """(mask, soft) without regions below min_area pixels and without pinholes below a third of it.

    soft float32 [h, w] is brought to the side of `threshold` on which the mask then has each pixel.
    """
    from scipy import ndimage

    mask = _drop_small(mask, min_area, ndimage)
    # What is not drawn hangs together by sides alone: a diagonal line would else leave its two sides one region.
    mask = ~_drop_small(~mask, max(1, min_area // 3), ndimage, sides=True)
    below = np.float32(threshold * 0.999)

    def sided(rows: slice) -> np.ndarray:
        part = soft[rows]
        return np.where(mask[rows], np.maximum(part, threshold), np.minimum(part, below)).astype(np.float32)

    return mask, in_strips(sided, mask.shape)


def _drop_small(mask: np.ndarray, min_area: int, ndimage: ModuleType, sides: bool = False) -> np.ndarray:
    """The mask without regions below min_area pixels; pixels that touch by a corner, or only by `sides`, are one."""
    if min_area <= 1 or not mask.any():
        return mask
    check_interrupt()
    labels, _ = ndimage.label(mask, None if sides else _TOUCHING)
    check_interrupt()
    large = np.bincount(labels.ravel()) >= min_area
    return in_strips(lambda rows: mask[rows] & large[labels[rows]], mask.shape)


def strength(mask: np.ndarray, soft: np.ndarray) -> float:
    """How boldly a mask (bool [h, w]) was drawn where it is boldest, 0..1: the mean of `soft` [h, w] over its strongest
    pixels, .5 % of the picture or all that it has. 0 for an empty mask.
    """
    values, count = soft[mask], max(1, round(0.005 * mask.size))
    check_interrupt()
    if len(values) > count:
        values = np.partition(values, len(values) - count)[-count:]
    values = np.sort(values)[::-1]
    return float(values.mean()) if len(values) else 0.0


def split_components(mask: np.ndarray) -> list[np.ndarray]:
    """The connected regions (8-neighbours) of a bool mask [h, w], the largest first."""
    from scipy import ndimage

    check_interrupt()
    labels, count = ndimage.label(mask, _TOUCHING)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    places = ndimage.find_objects(labels)
    regions = []
    for number in np.argsort(-sizes, kind="stable"):
        check_interrupt()
        region = np.zeros(mask.shape, bool)
        region[places[number]] = labels[places[number]] == number + 1
        regions.append(region)
    return regions


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """The `count` largest of many values [n], in no order."""
    best = values[:0]
    for start in range(0, len(values), _MANY):
        part = np.concatenate([best, values[start : start + _MANY]])
        best = np.partition(part, -count)[-count:] if len(part) > count else part
        check_interrupt()
    return best


def decode_category(
    source: np.ndarray,
    edited: np.ndarray,
    colors: np.ndarray,
    *,
    alpha: float = 0.5,
    min_area: int | None = None,
) -> np.ndarray:
    """Scores float32 [k] of the colours [k, 3] for being the one a region was painted in; all 0 for none.

    The pixels that changed are explained by every colour in turn, at an opacity held near the full one
    (gray and black differ in nothing but how far they darken). scores = softmax of minus the
    unexplained share, times how much the best colour explains.
    """
    from scipy import ndimage

    size = source.shape[:2]
    d = in_strips(lambda rows: as_float(edited[rows]) - as_float(source[rows]), size)
    # Changes are weighed after a little smoothing: noise averages out, a painted region does not.
    calm = gaussian_filter(d, 0.7, "nearest", 3.0)
    power = in_strips(lambda rows: (calm[rows] * calm[rows]).sum(-1), size)
    check_interrupt()
    smallest = max(4, round(power.size * 0.003)) if min_area is None else min_area
    top = float(_largest(power.ravel(), smallest).mean()) if smallest <= power.size else 0.0
    # of very many pixels some tell as much as all
    noise = float(np.median(np.sqrt(power.ravel()[:: max(1, power.size // _MANY)])))
    check_interrupt()
    changed = power > max(0.3 * top, 0.04**2, min((3 * noise) ** 2, 0.5 * top))
    changed = _drop_small(changed, smallest, ndimage)
    if not changed.any():
        return np.zeros(len(colors), np.float32)
    s, d = as_float(source[changed]), d[changed]
    total = float((d * d).sum())
    left = np.empty(len(colors))
    for row, color in enumerate(np.asarray(colors, np.float32)):
        check_interrupt()
        u = color - s
        m = np.clip((d * u).sum(-1) / (alpha * (u * u).sum(-1) + 1e-6), 0.8, 1.1)
        rest = d - (alpha * m)[:, None] * u
        left[row] = (rest * rest).sum() / total
    if left.min() > 0.6:
        return np.zeros(len(colors), np.float32)
    odds = np.exp((left.min() - left) / 0.1)
    return (odds / odds.sum() * (1 - left.min())).astype(np.float32)


def guided_mask(
    mask_soft: np.ndarray, picture: np.ndarray, *, radius: int = 3, eps: float = 1e-3
) -> np.ndarray:
    """A soft mask [h, w] brought to the size of `picture` [H, W, 3], its edge along the picture's edges.

    The fast guided filter (He and Sun, arXiv 1505.00996) with a colour guide: in windows of `radius` at
    the small size mask = A . colour + b by least squares (eps: what colour contrast, squared, is ignored);
    A and b are then interpolated and applied to the large picture. float32 [H, W] in 0..1. It pays at equal
    sizes too: the picture itself knows the edges that the autoencoder blurred (made-up scenes at 64 px, true
    answers through the shipped autoencoder: cIoU .905 without, .955 with).
    """
    height, width = picture.shape[:2]
    h, w = mask_soft.shape
    i = [_resized(as_float(picture[..., c]), h, w) for c in range(3)]
    p = mask_soft.astype(np.float32)

    def mean(plane: np.ndarray) -> np.ndarray:
        return uniform_filter(plane, 2 * radius + 1, "nearest")

    def product(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return mean(in_strips(lambda rows: one[rows] * other[rows], (h, w)))

    # The colour, the mask, their products, and the six products of two channels.
    mean_i, mean_p, mean_ip = [mean(plane) for plane in i], mean(p), [product(plane, p) for plane in i]
    pairs = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    squares = [product(i[j], i[k]) for j, k in pairs]
    lines = np.empty((4, h, w), np.float32)
    for rows in strips((h, w)):
        means, beside = np.stack([m[rows] for m in mean_i]), mean_p[rows]
        sigma = [
            m[rows] - means[j] * means[k] + eps * (j == k) for m, (j, k) in zip(squares, pairs, strict=True)
        ]
        slope = _solved(sigma, np.stack([m[rows] for m in mean_ip]) - means * beside)
        lines[:3, rows], lines[3, rows] = slope, beside - (slope * means).sum(0)
    planes = [_resized(mean(line), height, width) for line in lines]

    def guided(rows: slice) -> np.ndarray:
        large = np.moveaxis(as_float(picture[rows]), -1, 0)
        near = np.stack([plane[rows] for plane in planes])
        return np.clip((near[:3] * large).sum(0) + near[3], 0, 1).astype(np.float32)

    return in_strips(guided, (height, width))


def _solved(sigma: Sequence[np.ndarray], right: np.ndarray) -> np.ndarray:
    """x [3, h, w] with sigma x = right in every pixel; sigma: the rows of the upper triangle, symmetric 3 x 3.

    By the adjugate, in float64 as `numpy.linalg.solve` does it, and seven times as fast on as many small systems.
    """
    rr, rg, rb, gg, gb, bb = (plane.astype(np.float64) for plane in sigma)
    top = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    middle = top[1], rr * bb - rb * rb, rg * rb - rr * gb
    low = top[2], middle[2], rr * gg - rg * rg
    determinant = rr * top[0] + rg * top[1] + rb * top[2]
    rows = [sum(a * b for a, b in zip(row, right, strict=True)) for row in (top, middle, low)]
    return (np.stack(rows) / determinant).astype(np.float32)


def _resized(plane: np.ndarray, h: int, w: int) -> np.ndarray:
    """A plane [h0, w0] brought to (h, w); shrinking averages, enlarging interpolates."""
    from PIL import Image

    check_interrupt()
    if plane.shape == (h, w):
        return plane
    image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.asarray(image.resize((w, h), Image.Resampling.BILINEAR))
