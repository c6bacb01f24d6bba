"""Photograph: whether a picture looks like one as a whole, told from its pixels alone."""

from __future__ import annotations

import math

import numpy as np

_SIDE = 256  # pixels a side that are looked at; larger pictures are thinned out, which keeps even areas even
_WHITE, _BLACK = 250, 12  # a channel's value beyond which paper and shadow are even in photographs too
_REST = 0.6  # of the picture that must be neither white nor black: less is a thing cut out, or line art
_REST_LEAST = 0.3  # the same where that rest is as soft and as colourful as photographs of things before white paper
_REST_SOFT, _REST_BITS = 0.45, 7.0
_EVEN = 0.003  # of that rest: the most that one exact colour may fill
_EVEN_MANY = 0.01  # the same where there are _MANY colours
_SOFT = 0.05  # of that rest: the least share of middling steps from pixel to pixel, which gradients do not have
_MANY = 8.0  # bits of entropy of the colours, at 5 bits a channel
_SMALL = 128  # pixels a side; below, compression leaves nothing exactly even, and only many colours tell
_SMALL_MANY = 7.5


def looks_like_photograph(picture: np.ndarray) -> bool:
    """Whether a picture uint8 [h, w, 3] looks like a photograph as a whole.

    What is drawn has areas of exactly one colour, whatever lies behind it; a photograph has none but where it is
    white or black. Chosen on own scenes, clip art and photographs; the figures are in docs/messages.md. A photograph
    of a small thing before white paper goes unnoticed, and a drawing under noise or on grainy paper passes for one.
    """
    height, width = picture.shape[:2]
    step = max(1, math.ceil(math.sqrt(height * width) / _SIDE))
    if min(height, width) < 3 * step:
        return False
    red, green, blue = (np.ascontiguousarray(picture[::step, ::step, channel]) for channel in range(3))
    low, high = np.minimum(np.minimum(red, green), blue), np.maximum(np.maximum(red, green), blue)
    rest = (low < _WHITE) & (high > _BLACK)
    count = int(np.count_nonzero(rest))
    small = height * width < _SMALL**2
    if count < (_REST if small else _REST_LEAST) * rest.size:
        return False
    color = (red.astype(np.int32) << 16) | (green.astype(np.int32) << 8) | blue
    entropy = _entropy(color[rest])
    if small and entropy < _SMALL_MANY:
        return False
    if _largest_even(color, rest) > (_EVEN if entropy < _MANY else _EVEN_MANY) * count:
        return False
    softness = _softness((red, green, blue), rest)
    if count < _REST * rest.size:
        return softness >= _REST_SOFT and entropy >= _REST_BITS
    return softness >= _SOFT


def _entropy(color: np.ndarray) -> float:
    """Bits of the colours of pixels int32 [n] (0xRRGGBB), at 5 bits a channel."""
    coarse = ((color >> 9) & 0x7C00) | ((color >> 6) & 0x03E0) | ((color >> 3) & 0x001F)
    counts = np.bincount(coarse)
    share = counts[counts > 0] / len(color)
    return float(-(share * np.log2(share)).sum())


def _largest_even(color: np.ndarray, rest: np.ndarray) -> int:
    """Pixels of the most frequent colour that lie within `rest` among eight neighbours of the same colour."""
    row = (color[:, 2:] == color[:, 1:-1]) & (color[:, 1:-1] == color[:, :-2])
    column = (color[1:] == color[:-1])[:, 1:-1]
    even = row[:-2] & row[1:-1] & row[2:] & column[:-1] & column[1:] & rest[1:-1, 1:-1]
    inside = color[1:-1, 1:-1][even]
    return int(np.unique(inside, return_counts=True)[1].max()) if inside.size else 0


def _softness(channels: tuple[np.ndarray, ...], rest: np.ndarray) -> float:
    """The share, within `rest`, of pixels whose step to the next one is of 9 to 40 levels."""
    largest = np.zeros((rest.shape[0] - 1, rest.shape[1] - 1), np.int16)
    for channel in channels:
        levels = channel.astype(np.int16)
        np.maximum(largest, np.abs(levels[:-1, 1:] - levels[:-1, :-1]), out=largest)
        np.maximum(largest, np.abs(levels[1:, :-1] - levels[:-1, :-1]), out=largest)
    inside = rest[:-1, :-1]
    count = int(np.count_nonzero(inside))
    return float(np.count_nonzero(inside & (largest > 8) & (largest <= 40))) / count if count else 0.0
