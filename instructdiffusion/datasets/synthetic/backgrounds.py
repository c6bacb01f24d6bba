"""What stands behind the objects: plain colours, gradients, patterns and photographs."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from . import photos
from .canvas import Canvas, Size
from .vocabulary import COLORS, Rgb

CLEAR = 105.0  # distance in RGB (0..441) at which an object stands out from a plain background
_NAMED = np.array(list(COLORS.values()), dtype=np.float32)


@dataclass(frozen=True)
class Background:
    """Pixels float32 [h, w, 3], 0..255, and the words for them ("blue background", "photograph")."""

    pixels: np.ndarray
    words: str


def color_word(rgb: Sequence[float]) -> str:
    """The colour name nearest to an RGB value, with "light" or "dark" left out."""
    return list(COLORS)[int(((_NAMED - np.asarray(rgb, np.float32)) ** 2).sum(1).argmin())]


def _distance(a: Sequence[float], b: Sequence[float]) -> float:
    # Green weighs more for the eye; the weights keep the scale of plain RGB distance.
    distance: float = (0.9 * (a[0] - b[0]) ** 2 + 1.3 * (a[1] - b[1]) ** 2 + 0.8 * (a[2] - b[2]) ** 2) ** 0.5
    return distance


def _shade(rng: random.Random) -> tuple[float, float, float]:
    if rng.random() < 0.3:
        value = rng.uniform(20, 250)
        return value, value, value
    return rng.uniform(10, 250), rng.uniform(10, 250), rng.uniform(10, 250)


def _clearance(shade: Sequence[float], inks: Sequence[Sequence[Rgb]]) -> float:
    """How far a colour is from every object; parts besides its body count for less."""
    nearest = 500.0
    for first, *others in inks:
        nearest = min(nearest, _distance(shade, first))
        for other in others:
            nearest = min(nearest, 1.7 * _distance(shade, other))
    return nearest


def far_shade(rng: random.Random, inks: Sequence[Sequence[Rgb]]) -> tuple[float, float, float]:
    """A random colour clear of all the objects' colours, or the best of a few tries."""
    best, best_clearance = (128.0, 128.0, 128.0), -1.0
    for _ in range(14):
        shade = _shade(rng)
        clearance = _clearance(shade, inks)
        if clearance > best_clearance:
            best, best_clearance = shade, clearance
        if clearance >= CLEAR:
            break
    return best


@lru_cache(maxsize=64)
def _field(kind: str, variant: int, canvas: Canvas) -> np.ndarray:
    """float32 [h, w, 1] in 0..1: how much of the second colour a pattern has; it goes on where a side is longer."""
    rng = np.random.default_rng([variant, 7])
    size = canvas.short
    y, x = (np.mgrid[: canvas.height, : canvas.width].astype(np.float32) + 0.5) / size
    turn = rng.uniform(0, np.pi)
    u, v = x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) + y * np.cos(turn)
    if kind == "gradient":
        field = (u - u.min()) / (u.max() - u.min())
    elif kind == "horizon":
        line = rng.uniform(0.35, 0.75) + 0.04 * np.sin(x * rng.uniform(3, 9) + rng.uniform(0, 6))
        field = np.clip((y - line * (canvas.height / size)) * size + 0.5, 0, 1)
    elif kind == "striped":
        field = np.clip(0.5 + 2.5 * np.sin(2 * np.pi * u * rng.uniform(3, 7)), 0, 1)
    elif kind == "checkered":
        count = rng.uniform(2, 4)
        field = np.clip(0.5 + 6 * np.sin(2 * np.pi * u * count) * np.sin(2 * np.pi * v * count), 0, 1)
    elif kind == "dotted":
        count = rng.uniform(4, 7)
        a, b = (u * count) % 1 - 0.5, (v * count) % 1 - 0.5
        field = np.clip((0.3 - np.hypot(a, b)) * size / count + 0.5, 0, 1)
    elif kind == "cloudy":
        field = np.zeros(canvas.shape, np.float32)
        for octave, weight in ((2, 0.5), (4, 0.3), (9, 0.2)):
            ends = [octave * side / size for side in canvas.shape]
            grid = rng.random([math.ceil(end) + 1 for end in ends]).astype(np.float32)
            down, across = (np.linspace(0, end - 1e-3, n) for end, n in zip(ends, canvas.shape))
            low, part = down.astype(int), (down % 1).astype(np.float32)[:, None]
            rows = grid[low] * (1 - part) + grid[low + 1] * part
            low, part = across.astype(int), (across % 1).astype(np.float32)
            field += weight * (rows[:, low] * (1 - part) + rows[:, low + 1] * part)
    else:
        raise ValueError(f"unknown pattern {kind!r}")
    return field.astype(np.float32)[..., None]


PATTERNS = (
    "gradient",
    "gradient",
    "horizon",
    "horizon",
    "striped",
    "checkered",
    "dotted",
    "cloudy",
    "cloudy",
)


def plain(rgb: Sequence[float], size: Size) -> Background:
    """One colour all over."""
    return Background(np.full((*Canvas.of(size).shape, 3), rgb, np.float32), f"{color_word(rgb)} background")


def background(
    rng: random.Random,
    level: int,
    size: Size,
    inks: Sequence[Sequence[Rgb]],
    boxes: Sequence[tuple[float, ...]],
    split: str,
    without: Collection[str] = (),
) -> Background:
    """A background on which objects with these colours (body first) in these boxes (xyxy in 0..1) stand out.

    Level 0 is plain, 1 adds patterns, 2 and up photographs; `split` says which of them and which crops,
    and none is taken that shows a category in `without`.
    """
    roll = rng.random()
    if level <= 0 or roll < 0.3:
        return plain(far_shade(rng, inks), size)
    if level == 1 or roll < 0.58:
        first = far_shade(rng, inks)
        second = far_shade(rng, inks)
        kind, variant = rng.choice(PATTERNS), rng.randrange(8)
        if kind in ("striped", "checkered", "dotted"):  # keep patterns calm: they are not what is asked for
            part = rng.uniform(0.25, 0.6)
            second = tuple(a + part * (b - a) for a, b in zip(first, second))  # type: ignore[assignment]
        a, b = np.float32(first), np.float32(second)
        words = f"{color_word(first)} background"
        if kind == "horizon":
            words = f"{color_word(first)} sky and {color_word(second)} ground"
        elif kind != "gradient":
            words = f"{kind} {words}"
        return Background(a + _field(kind, variant, Canvas.of(size)) * (b - a), words)
    pixels = photos.crop(rng, size, split, without)
    gain, lift = rng.uniform(0.75, 1.1), rng.uniform(-15, 15)
    calm = rng.uniform(0.0, 0.3)
    target = far_shade(rng, inks)
    worst = 500.0
    height, width = Canvas.of(size).shape
    for colors, box in zip(inks, boxes):
        x1, y1, x2, y2 = (min(max(int(v * s), 0), s - 1) for v, s in zip(box, (width, height) * 2))
        under = pixels[y1 : y2 + 1, x1 : x2 + 1].mean((0, 1)) * gain + lift
        worst = min(worst, _clearance(under.tolist(), [colors]))
    if (
        worst < 0.8 * CLEAR
    ):  # an object would drown: move the photograph towards a colour far from all objects
        calm = max(calm, 0.75 - 0.25 * worst / (0.8 * CLEAR))
    pixels = pixels * np.float32(gain * (1 - calm)) + (
        np.float32(target) * np.float32(calm) + np.float32(lift)
    )
    return Background(np.clip(pixels, 0, 255, out=pixels), "photograph")
