"""The way home: a picture that a model drew at a size of its own, brought back to its source's size and place.

Nothing but the pixels comes through ComfyUI's sampling nodes, so the sizes have to say what was done, and where they
leave it open, the pictures themselves.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..instructdiffusion.compositing.rules import keep_unchanged
from ..instructdiffusion.imaging.resize import LONGEST, content_size, model_size, resize_picture
from ..instructdiffusion.imaging.strips import in_strips
from ..instructdiffusion.utils.interrupts import check_interrupt

_MULTIPLES = (8, 16, 32, 64, 128)  # that models' sides may have to be of
_LOOK = 256  # pixels of the longer side at which pictures are compared
_SAME = 0.1  # of full scale: what was drawn differs by more, and must not count by how much
_CLEARLY = 0.95  # of the other's difference


def padded_sides(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    """(height, width) as the next multiples of `multiple`."""
    height, width = (-(-side // multiple) * multiple for side in size)
    return height, width


def bring_home(source: np.ndarray, edited: np.ndarray, name: str = "edited") -> np.ndarray:
    """`edited` (uint8 [eh, ew, 3]) at the source's (uint8 [h, w, 3]) own size, every pixel in its place.

    What was padded is cut off again; what was resized, as a whole or before it was padded, comes back as what changed,
    laid on the source, whose detail stays. Where the sizes allow several of these, what is drawn decides: the way in
    which more of the picture comes to lie on itself.
    ValueError, naming the input, for a picture that none of them explains, such as a part of the source.
    """
    size, edited_size = source.shape[:2], edited.shape[:2]
    if edited_size == size:
        return edited
    regions = {c: _difference(source, edited[: c[0], : c[1]]) for c in _contents(size, edited_size)}
    content = min(regions, key=lambda region: regions[region]) if regions else edited_size
    if content != size:
        part = min((_difference(part, edited) for part in _parts(source, edited_size)), default=1.0)
        if regions:
            belongs = part >= _CLEARLY * regions[content]
        else:
            belongs = _difference(source, edited) < _CLEARLY * part
        if not belongs:
            (h, w), (eh, ew) = size, edited_size
            raise ValueError(
                f"`{name}`: a picture of {ew} x {eh} pixels came with a `source` of {w} x {h}, and it is neither that "
                "picture padded nor that picture resized as a whole: a mask of it would lie elsewhere. Give as "
                "`source` the picture that the model was asked about, or take `edited` from InstructSampler, which "
                "keeps the size"
            )
    cut = edited[: content[0], : content[1]]
    if content == size:
        return cut
    small = resize_picture(source, content)
    return keep_unchanged(source, _in_unit_range(cut), _in_unit_range(small))


def _contents(size: tuple[int, int], edited_size: tuple[int, int]) -> list[tuple[int, int]]:
    """(height, width) of the upper left region of `given` that may be the picture of `size`, the likeliest first: the
    picture itself, padded; the picture with its short side at a model's resolution, padded; the picture resized."""
    sizes = [size for multiple in _MULTIPLES if padded_sides(size, multiple) == edited_size]
    for multiple in _MULTIPLES:
        for resolution in (min(edited_size), max(edited_size) // LONGEST):
            if resolution and resolution % multiple == 0 and model_size(size, resolution, multiple) == edited_size:
                sizes.append(content_size(size, resolution, multiple))
    if _is_resized(size, edited_size):
        sizes.append(edited_size)
    return list(dict.fromkeys(sizes))


def _is_resized(size: tuple[int, int], edited_size: tuple[int, int]) -> bool:
    """Whether one scale explains both sides, each rounded to the largest multiple that `given` allows."""
    multiple = max(m for m in (1, *_MULTIPLES[:-1]) if not any(side % m for side in edited_size))
    low = max((new - multiple / 2) / old for new, old in zip(edited_size, size))
    high = min((new + multiple / 2) / old for new, old in zip(edited_size, size))
    return low < high


def _parts(picture: np.ndarray, edited_size: tuple[int, int]) -> list[np.ndarray]:
    """What other nodes cut out of a picture for a size: the middle of that shape, and the upper left and the middle of
    that size."""
    height, width = picture.shape[:2]
    scale = min(height / edited_size[0], width / edited_size[1])
    shape = max(1, round(edited_size[0] * scale)), max(1, round(edited_size[1] * scale))
    size = min(height, edited_size[0]), min(width, edited_size[1])
    middles = [((height - h) // 2, (width - w) // 2, h, w) for h, w in (shape, size)]
    cuts = (*middles, (0, 0, *size))
    return [picture[y : y + h, x : x + w] for y, x, h, w in cuts if (h, w) != (height, width)]


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    """How far two pictures of one thing differ, 0..1: the mean over all pixels, each counting _SAME at most."""
    check_interrupt()
    scale = min(1.0, _LOOK / max(other.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in other.shape[:2])
    differences = [
        np.asarray(Image.fromarray(p).resize((width, height), Image.Resampling.BOX), np.float32)
        for p in (np.ascontiguousarray(one), np.ascontiguousarray(other))
    ]
    return float(np.minimum(np.abs(differences[0] - differences[1]).max(axis=2) / 255, _SAME).mean() / _SAME)


def _in_unit_range(image: np.ndarray) -> np.ndarray:
    """An image uint8 [h, w, 3] as float32 in 0..1."""
    return in_strips(lambda rows: image[rows] / np.float32(255), image.shape)
