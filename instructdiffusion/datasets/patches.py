"""Marked patches: what an autoencoder for drawn answers has to reproduce.

A patch is a crop of a photograph, a plain colour, a gradient or a regular texture, with flat shapes on it,
and on top of those the marks this project draws: translucent masks and opaque discs in the palette's
colours. A patch is a pure function of its seed.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ..imaging.colors import MARK_COLORS, MASK_COLORS
from .photographs import photographs

_OVERSAMPLING = 2


def patch(seed: int, size: int = 64) -> np.ndarray:
    """The marked patch of a seed, uint8 [size, size, 3]."""
    rng = np.random.Generator(np.random.PCG64([0x9A7C, seed]))
    side = size * _OVERSAMPLING
    picture = _background(rng, side)
    for _ in range(rng.integers(0, 5)):
        fill = tuple(int(v) for v in rng.integers(0, 256, 3))
        picture.paste(fill, mask=_outline(rng, side))
    out = np.asarray(picture.resize((size, size), Image.Resampling.BOX)).astype(np.float32)
    for _ in range(rng.choice([0, 1, 2], p=[0.4, 0.4, 0.2])):
        color = MASK_COLORS[rng.integers(len(MASK_COLORS))]
        cover = np.asarray(_outline(rng, side).resize((size, size), Image.Resampling.BOX)) / 255.0
        alpha = 0.5 * cover[..., None].astype(np.float32)
        out += alpha * (np.asarray(color.rgb, np.float32) - out)
    if rng.random() < 0.4:
        out = _discs(rng, out)
    if rng.random() < 0.08:
        out = out + rng.normal(0, rng.uniform(3, 20), out.shape)
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)


def _background(rng: np.random.Generator, side: int) -> Image.Image:
    kind = rng.random()
    if kind < 0.5:
        photos = photographs("train")
        photo = photos[rng.integers(len(photos))]
        h, w = photo.shape[:2]
        crop = int(rng.uniform(40, min(h, w)))
        y, x = int(rng.integers(0, h - crop + 1)), int(rng.integers(0, w - crop + 1))
        view = photo[y : y + crop, x : x + crop]
        if rng.random() < 0.5:
            view = view[:, ::-1]
        return Image.fromarray(np.ascontiguousarray(view)).resize((side, side), Image.Resampling.BICUBIC)
    first, second = rng.uniform(0, 255, (2, 3))
    if kind < 0.7:
        mix = np.zeros((side, side, 1))
    elif kind < 0.85:
        angle = rng.uniform(0, 2 * math.pi)
        ys, xs = np.mgrid[0:side, 0:side] / side - 0.5
        mix = np.clip(0.5 + (math.cos(angle) * xs + math.sin(angle) * ys), 0, 1)[..., None]
    else:
        angle, period = rng.uniform(0, math.pi), side * rng.uniform(0.06, 0.25)
        ys, xs = np.mgrid[0:side, 0:side]
        wave = np.sin((math.cos(angle) * xs + math.sin(angle) * ys) * 2 * math.pi / period)
        if rng.random() < 0.5:
            wave = wave * np.sin((math.cos(angle) * ys - math.sin(angle) * xs) * 2 * math.pi / period)
        mix = (wave > 0)[..., None] * rng.uniform(0.2, 1)
    return Image.fromarray((first + mix * (second - first)).astype(np.uint8))


def _outline(rng: np.random.Generator, side: int) -> Image.Image:
    """A random filled shape, 'L' mode 0 or 255."""
    mask = Image.new("L", (side, side))
    draw = ImageDraw.Draw(mask)
    cx, cy = rng.uniform(0, side, 2)
    radius = side * rng.uniform(0.06, 0.3)
    kind = rng.random()
    if kind < 0.25:
        stretch = rng.uniform(0.5, 1.0)
        draw.ellipse((cx - radius, cy - radius * stretch, cx + radius, cy + radius * stretch), fill=255)
    elif kind < 0.5:
        stretch = rng.uniform(0.3, 1.0)
        draw.rectangle((cx - radius, cy - radius * stretch, cx + radius, cy + radius * stretch), fill=255)
    elif kind < 0.9:
        count = int(rng.integers(3, 11))
        angles = rng.uniform(0, 2 * math.pi) + np.arange(count) * 2 * math.pi / count
        reach = radius * rng.uniform(0.4, 1.0, count)
        draw.polygon(
            [(cx + r * math.cos(a), cy + r * math.sin(a)) for r, a in zip(reach, angles, strict=True)],
            fill=255,
        )
    else:
        x2, y2 = rng.uniform(0, side, 2)
        draw.line((cx, cy, x2, y2), fill=255, width=int(rng.integers(2, 9)))
    return mask.filter(ImageFilter.SMOOTH) if rng.random() < 0.1 else mask


def _discs(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    size = len(picture)
    ys, xs = np.mgrid[0:size, 0:size] + 0.5
    for _ in range(rng.integers(1, 6)):
        color = np.asarray(MARK_COLORS[rng.integers(len(MARK_COLORS))].rgb, np.float32)
        x, y = rng.uniform(2, size - 2, 2)
        cover = np.clip(size * rng.uniform(9, 12) / 256 + 0.5 - np.hypot(xs - x, ys - y), 0, 1)[..., None]
        picture = picture + cover * (color - picture)
    return picture
