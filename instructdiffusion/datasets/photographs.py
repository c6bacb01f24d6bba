"""The photographs that scikit-image and scikit-learn carry in their wheels: nothing is downloaded.

Training and testing never share a picture. All are free to redistribute (public domain, CC0, CC BY or BSD; each
package lists the sources beside its files).
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image

from ..imaging.image_files import open_image

_TRAIN = (
    "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "hubble_deep_field.jpg", "retina.jpg",
    "brick.png", "grass.png", "gravel.png", "china.jpg", "flower.jpg",
)  # fmt: skip
_TEST = ("astronaut.png", "coins.png", "ihc.png")
_SKLEARN = ("china.jpg", "flower.jpg")  # scikit-learn's; every other is scikit-image's


def read_photograph(name: str) -> Image.Image:
    """The photograph called `name` at its full size, RGB; ModuleNotFoundError names the pip extra that brings it."""
    distribution, package, inside = "scikit-image", "skimage", "data"
    if name in _SKLEARN:
        distribution, package, inside = "scikit-learn", "sklearn", "datasets/images"
    try:
        spec = importlib.util.find_spec(package)  # does not import it
    except (ImportError, ValueError):
        spec = None
    path = Path(spec.origin).parent / inside / name if spec and spec.origin else None
    if path is None or not path.is_file():
        raise ModuleNotFoundError(
            f"expected the photograph {name}, which {distribution} carries, and did not find it: "
            "pip install 'instructdiffusion[scenes]', or ask for scenes of level 0 or 1, which need none"
        )
    with open_image(path, str(path)) as picture:
        return picture.convert("RGB")


@functools.cache
def photographs(split: str, short_side: int = 240) -> tuple[np.ndarray, ...]:
    """The photographs of a split ("train" or anything else for held-out), uint8 [h, w, 3], shrunk to `short_side`."""
    out = []
    for name in _TRAIN if split == "train" else _TEST:
        picture = read_photograph(name)
        scale = short_side / min(picture.size)
        if scale < 1:
            size = (round(picture.width * scale), round(picture.height * scale))
            picture = picture.resize(size, Image.Resampling.LANCZOS)
        out.append(np.asarray(picture))
    return tuple(out)


def photograph(name: str = "astronaut.png") -> np.ndarray:
    """One held-out photograph at its full size, uint8 [h, w, 3]."""
    return np.asarray(read_photograph(name))
