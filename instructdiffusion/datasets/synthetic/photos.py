"""Photographs that permissively licensed packages carry, small and ready to crop."""

from __future__ import annotations

import random
from collections.abc import Collection
from functools import cache

import numpy as np
from PIL import Image

from ..photographs import read_photograph
from .canvas import Canvas, Size

# Photographs full of round things (coins, a retina) are left out: too many would answer to "the circles".
TRAIN_PHOTOS = (
    "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "hubble_deep_field.jpg", "brick.png",
    "grass.png", "gravel.png", "china.jpg", "flower.jpg",
)  # fmt: skip
TEST_PHOTOS = ("astronaut.png", "camera.png", "ihc.png", "moon.png", "cell.png")  # training never sees them
# What a photograph shows itself: it is no background where such a thing is asked for.
SHOWS: dict[str, tuple[str, ...]] = {
    "chelsea.png": ("cat",),
    "coffee.png": ("cup", "circle"),
    "motorcycle_left.png": ("circle", "ring"),
    "hubble_deep_field.jpg": ("star",),
    "flower.jpg": ("flower",),
    "china.jpg": ("house", "tree"),
    "astronaut.png": ("woman", "face", "star"),
    "camera.png": ("man", "face"),
    "moon.png": ("moon", "circle", "ring"),
    "cell.png": ("circle", "ring", "moon"),
}
SHORT_SIDE = 192


@cache
def photo(name: str) -> Image.Image:
    """A photograph as RGB with a short side of `SHORT_SIDE` pixels; ModuleNotFoundError names the pip extra."""
    image = read_photograph(name)
    scale = SHORT_SIDE / min(image.size)
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)


def crop(rng: random.Random, size: Size, split: str, without: Collection[str] = ()) -> np.ndarray:
    """A random crop of that size, float32 [h, w, 3] in 0..255, of a photograph that shows nothing of `without`.

    The splits "val" and "test" take photographs kept from training: "val" their left half, "test" their right.
    """
    names = TRAIN_PHOTOS if split == "train" else TEST_PHOTOS
    image = photo(rng.choice([n for n in names if not set(SHOWS.get(n, ())) & set(without)]))
    width = image.width if split == "train" else image.width / 2
    left = width if split == "test" else 0.0
    canvas = Canvas.of(size)
    across, down = canvas.width / canvas.short, canvas.height / canvas.short
    side = rng.uniform(0.33, 1.0) * min(width / across, image.height / down)
    wide, high = side * across, side * down
    x, y = left + rng.uniform(0, width - wide), rng.uniform(0, image.height - high)
    box = (x, y, x + wide, y + high)
    cut = image.resize((canvas.width, canvas.height), Image.Resampling.BILINEAR, box=box)
    if rng.random() < 0.5:
        cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(cut, dtype=np.float32)
