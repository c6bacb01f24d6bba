"""What spoils a picture: noise, blur and watermarks."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

WORDS = (
    "sample", "photo", "copy", "draft", "demo", "stock", "proof", "image",
    "nice view", "do not copy", "2024", "my pic", "preview", "test", "web", "studio",
)  # fmt: skip


@dataclass(frozen=True)
class Spoiled:
    """A spoiled picture, uint8, and what was done: meta; `mask` bool [h, w] of the pixels a watermark touched."""

    picture: np.ndarray
    meta: dict[str, Any]
    mask: np.ndarray | None = None


def _bytes(pixels: np.ndarray) -> np.ndarray:
    return np.clip(pixels + 0.5, 0, 255).astype(np.uint8)


def add_noise(rng: random.Random, picture: np.ndarray, sigma: float | None = None) -> Spoiled:
    """Gaussian noise of `sigma` (0..1 scale, else drawn from .05-.15), a fifth of its variance following the light."""
    sigma = rng.uniform(0.05, 0.15) if sigma is None else sigma
    numbers = np.random.default_rng(rng.getrandbits(64)).standard_normal(picture.shape, dtype=np.float32)
    light = picture.astype(np.float32)
    numbers *= 255 * sigma * np.sqrt(0.8 + light * np.float32(0.4 / 255))
    return Spoiled(_bytes(light + numbers), {"kind": "gaussian", "sigma": sigma})


def _motion(length: float, angle: float) -> np.ndarray:
    """A line of `length` pixels as a convolution kernel that sums to one."""
    half = int(math.ceil(length / 2))
    kernel = np.zeros((2 * half + 3, 2 * half + 3), np.float32)
    c, s = math.cos(angle), math.sin(angle)
    count = 4 * half + 1
    for i in range(count):
        t = (i / (count - 1) - 0.5) * (length - 1)
        x, y = half + 1 + t * c, half + 1 + t * s
        ix, iy = int(x), int(y)
        fx, fy = x - ix, y - iy
        kernel[iy : iy + 2, ix : ix + 2] += np.outer((1 - fy, fy), (1 - fx, fx))
    return kernel / kernel.sum()


def convolve(picture: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Correlate every channel with a small kernel, edges mirrored; float32."""
    h, w = picture.shape[:2]
    ry, rx = kernel.shape[0] // 2, kernel.shape[1] // 2
    padded = np.pad(picture.astype(np.float32), ((ry, ry), (rx, rx), (0, 0)), mode="reflect")
    out = np.zeros(picture.shape, np.float32)
    for y, x in zip(*np.nonzero(kernel > 1e-4)):
        out += kernel[y, x] * padded[y : y + h, x : x + w]
    return out / kernel[kernel > 1e-4].sum()


def blur(rng: random.Random, picture: np.ndarray, strength: float = 1.0) -> Spoiled:
    """Gaussian (sigma .8-1.8 px at 64) or motion blur (3-7 px at 64), times `strength` and the picture's scale."""
    scale = strength * min(picture.shape[:2]) / 64
    if rng.random() < 0.55:
        sigma = rng.uniform(0.8, 1.8) * scale
        soft = np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(sigma)))
        return Spoiled(soft, {"kind": "gaussian blur", "sigma": sigma})
    length, angle = rng.uniform(3.0, 7.0) * scale, rng.uniform(0, math.pi)
    return Spoiled(
        _bytes(convolve(picture, _motion(length, angle))),
        {"kind": "motion blur", "length": length, "angle": angle},
    )


@cache
def _font(pixels: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(pixels)


def _stamp(rng: random.Random, height: int, width: int) -> tuple[Image.Image, str]:
    """An L picture of that size of the mark at full strength."""
    k = min(height, width) / 64
    stamp = Image.new("L", (width, height))
    draw = ImageDraw.Draw(stamp)
    kind = rng.choice(("text", "text", "text", "tiled text", "logo", "lines"))
    if kind in ("text", "tiled text"):
        word = rng.choice(WORDS)
        if rng.random() < 0.4:
            word = word.upper()
        font = _font(max(6, round(rng.uniform(9, 17 if kind == "text" else 11) * k)))
        left, top, right, bottom = (int(v) for v in draw.textbbox((0, 0), word, font=font))
        ink = Image.new("L", (right - left + 2, bottom - top + 2))
        ImageDraw.Draw(ink).text((1 - left, 1 - top), word, font=font, fill=255)
        angle = rng.choice((0.0, 0.0, rng.uniform(-40, 40)))
        if angle:
            ink = ink.rotate(angle, Image.Resampling.BILINEAR, expand=True)
        if kind == "text":
            x, y = rng.uniform(-0.05, 0.6) * width, rng.uniform(0.02, 0.8) * height
            x, y = min(x, max(width - ink.width, 0)), min(y, max(height - ink.height, 0))
            stamp.paste(ink, (round(x), round(y)))
        else:
            dx, dy = ink.width + round(rng.uniform(3, 9) * k), ink.height + round(rng.uniform(5, 12) * k)
            for row, y in enumerate(range(-ink.height // 2, height, max(dy, 1))):
                for x in range(-(row % 2) * dx // 2, width, max(dx, 1)):
                    stamp.paste(ink, (x, y))
    elif kind == "logo":
        r, line = rng.uniform(9, 16) * k, max(1, round(rng.uniform(2, 4) * k))
        x, y = rng.uniform(0.25, 0.75) * width, rng.uniform(0.25, 0.75) * height
        draw.ellipse((x - r, y - r, x + r, y + r), outline=255, width=line)
        if rng.random() < 0.5:
            draw.line((x - r, y, x + r, y), fill=255, width=line)
            draw.line((x, y - r, x, y + r), fill=255, width=line)
        else:
            draw.regular_polygon((x, y, 0.6 * r), rng.choice((3, 4, 6)), rng.randrange(60), fill=255)
    else:
        gap, line = rng.uniform(9, 16) * k, max(1, round(rng.uniform(1, 2.5) * k))
        slope = rng.choice((-1, 1))
        first, last = sorted((rng.uniform(0, 0.4) * width, rng.uniform(0.6, 1.4) * width))
        at = first
        while at < last:
            draw.line(
                (at, 0, at - slope * height, height) if slope > 0 else (at - height, 0, at, height),
                fill=255,
                width=line,
            )
            at += gap
    return stamp, kind


def watermark(rng: random.Random, picture: np.ndarray) -> Spoiled:
    """A half-transparent word, logo or set of lines over a part of the picture: alpha .3-.7, one colour.

    `meta["mask"]` is where it lies; a mark that would hardly be seen on this picture gets another colour.
    """
    h, w = picture.shape[:2]
    stamp, kind = _stamp(rng, h, w)
    alpha = rng.uniform(0.3, 0.7)
    cover = np.asarray(stamp, dtype=np.float32)[:h, :w, None] * np.float32(alpha / 255)
    light = picture.astype(np.float32)
    under = (light * cover).sum((0, 1)) / max(float(cover.sum()), 1e-3)
    colors = [
        (255, 255, 255),
        (255, 255, 255),
        (0, 0, 0),
        (128, 128, 128),
        (220, 40, 40),
        (40, 80, 200),
        (250, 210, 40),
    ]
    rng.shuffle(colors)
    color = next((c for c in colors if float(np.abs(under - np.float32(c)).sum()) > 170), None)
    if color is None:
        color = (0, 0, 0) if float(under.mean()) > 127 else (255, 255, 255)
    spoiled = _bytes(light + cover * (np.float32(color) - light))
    mask = cover[..., 0] > 0
    return Spoiled(spoiled, {"kind": f"watermark: {kind}", "alpha": alpha, "color": color}, mask)
