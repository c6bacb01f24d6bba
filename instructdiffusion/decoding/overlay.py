"""Half-transparent overlays back to masks.

Under a layer of opacity a a pixel is  out = (1 - a m) src + a m color, so with d = out - src and
u = color - src the covered share is  m = <d, u> / (a |u|^2). Where the picture already has the colour
(u near 0) a pixel says nothing, and its neighbours speak for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..imaging.rasterize import as_float

_QUIET = 0.004  # noise, as a standard deviation, that rounding to 8 bits makes (with a little room)
_TOUCHING = np.ones((3, 3), bool)  # neighbours by side or corner: the tip of a star is a diagonal of pixels
_PRIOR = 0.05  # variance of m around its neighbourhood's mean


def noise_level(residual: np.ndarray) -> float:
    """Standard deviation of the noise in one channel, from residuals [h, w, 3] across one direction each.

    The median length of a two-dimensional normal vector is 1.18 sigma; a median leaves out the few
    pixels that really changed.
    """
    lengths = np.sqrt((residual * residual).sum(-1))
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
    from scipy import ndimage

    s = as_float(source)
    d = as_float(edited) - s
    u = np.asarray(color, np.float32) - s
    num = (d * u).sum(-1) * np.float32(1 / alpha)
    den = (u * u).sum(-1)
    spread = np.clip(num / (den + np.float32(1e-3)), 0, 1.15) * np.float32(alpha)
    noise = noise_level(d - spread[..., None] * u)
    # Posterior mean of m: data of variance (noise / (a |u|))^2 against the neighbourhood's mean, whose
    # own weak pixels lean on a wider neighbourhood in turn.
    trust = np.float32(noise**2 / (alpha**2 * _PRIOR))
    wide = _weighted_mean(num, den, 4.0, 1e-3, ndimage)
    near = _weighted_mean(num + trust * wide, den + trust, 1.0, 0.0, ndimage)
    m = (num + trust * near) / (den + trust)
    left = d - (np.clip(m, 0, 1.15) * np.float32(alpha))[..., None] * u
    energy = ndimage.uniform_filter((d * d).sum(-1), 3, mode="nearest")
    unexplained = ndimage.uniform_filter((left * left).sum(-1), 3, mode="nearest")
    unexplained = np.maximum(unexplained - np.float32(3 * (2 * noise) ** 2), 0)
    explained = 1 - unexplained / np.maximum(energy, np.float32(1e-6))
    return m.astype(np.float32), np.clip(explained, 0, 1).astype(np.float32)


def _weighted_mean(num: np.ndarray, den: np.ndarray, sigma: float, floor: float, ndimage) -> np.ndarray:
    """Gaussian means of num over those of den, pulled to 0 where den is below `floor`."""
    top = ndimage.gaussian_filter(num, sigma, mode="nearest", truncate=2.5)
    bottom = ndimage.gaussian_filter(den, sigma, mode="nearest", truncate=2.5)
    return top / (bottom + np.float32(floor))


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
    return np.clip(share, 0, 1) * np.clip(explained * 4 - 1.5, 0, 1)


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
    soft = np.where(mask, np.maximum(soft, threshold), np.minimum(soft, np.float32(threshold * 0.999)))
    return mask, soft.astype(np.float32)


def _drop_small(mask: np.ndarray, min_area: int, ndimage, sides: bool = False) -> np.ndarray:
    """The mask without regions below min_area pixels; pixels that touch by a corner, or only by `sides`, are one."""
    if min_area <= 1 or not mask.any():
        return mask
    labels, _ = ndimage.label(mask, None if sides else _TOUCHING)
    return mask & (np.bincount(labels.ravel()) >= min_area)[labels]


def strength(mask: np.ndarray, soft: np.ndarray) -> float:
    """How boldly a mask (bool [h, w]) was drawn where it is boldest, 0..1: the mean of `soft` [h, w] over its strongest
    pixels, .5 % of the picture or all that it has. 0 for an empty mask.
    """
    values = np.sort(soft[mask])[::-1][: max(1, round(0.005 * mask.size))]
    return float(values.mean()) if len(values) else 0.0


def split_components(mask: np.ndarray) -> list[np.ndarray]:
    """The connected regions (8-neighbours) of a bool mask [h, w], the largest first."""
    from scipy import ndimage

    labels, count = ndimage.label(mask, _TOUCHING)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    return [labels == i + 1 for i in np.argsort(-sizes, kind="stable")]


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

    s = as_float(source)
    d = as_float(edited) - s
    # Changes are weighed after a little smoothing: noise averages out, a painted region does not.
    calm = ndimage.gaussian_filter(d, (0.7, 0.7, 0), mode="nearest", truncate=3.0)
    power = (calm * calm).sum(-1)
    smallest = max(4, round(power.size * 0.003)) if min_area is None else min_area
    top = float(np.partition(power.ravel(), -smallest)[-smallest:].mean()) if smallest <= power.size else 0.0
    noise = float(np.median(np.sqrt(power)))
    changed = power > max(0.3 * top, 0.04**2, min((3 * noise) ** 2, 0.5 * top))
    changed = _drop_small(changed, smallest, ndimage)
    if not changed.any():
        return np.zeros(len(colors), np.float32)
    s, d = s[changed], d[changed]
    total = float((d * d).sum())
    left = np.empty(len(colors))
    for row, color in enumerate(np.asarray(colors, np.float32)):
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
    from scipy import ndimage

    height, width = picture.shape[:2]
    h, w = mask_soft.shape
    large = np.moveaxis(as_float(picture), -1, 0)
    i, p = _resized(large, h, w), mask_soft.astype(np.float32)
    window = (1, 2 * radius + 1, 2 * radius + 1)

    def mean(planes: np.ndarray) -> np.ndarray:
        return ndimage.uniform_filter(planes, window, mode="nearest")

    # One pass over all planes: the colour, the mask, their products, and the six products of two channels.
    means = mean(np.concatenate([i, p[None], i * p, i[0] * i, i[1] * i[1:], i[2] * i[2:]]))
    mean_i, mean_p = means[:3], means[3]
    pairs = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    sigma = [m - mean_i[j] * mean_i[k] + eps * (j == k) for m, (j, k) in zip(means[7:], pairs, strict=True)]
    slope = _solved(sigma, means[4:7] - mean_i * mean_p)
    offset = mean_p - (slope * mean_i).sum(0)
    planes = _resized(mean(np.concatenate([slope, offset[None]])), height, width)
    return np.clip((planes[:3] * large).sum(0) + planes[3], 0, 1).astype(np.float32)


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


def _resized(planes: np.ndarray, h: int, w: int) -> np.ndarray:
    """Planes [c, h0, w0] brought to (h, w); shrinking averages, enlarging interpolates."""
    from PIL import Image

    if planes.shape[1:] == (h, w):
        return planes

    def one(plane: np.ndarray) -> np.ndarray:
        image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
        return np.asarray(image.resize((w, h), Image.Resampling.BILINEAR))

    return np.stack([one(plane) for plane in planes])
