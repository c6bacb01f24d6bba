"""Which masks lie on which picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from .convert import to_pictures

_LOAD_IMAGE = (64, 64)  # of the mask that LoadImage gives for a picture without transparency
_PLACEHOLDER = "LoadImage gives such a one, of 64 x 64 pixels, for a picture without transparency"
PLACEHOLDER_HINT = f"nothing found: the mask is empty ({_PLACEHOLDER}: take a mask from MaskExtract, or draw one there)"


def is_placeholder(masks: np.ndarray, image: Tensor | None) -> bool:
    """Whether masks [n, h, w] are, or may be, what LoadImage gives where a picture [b, h, w, c] has none."""
    if masks.shape[1:] != _LOAD_IMAGE or masks.any():
        return False
    return image is None or tuple(image.shape[1:3]) != _LOAD_IMAGE


def frames_of(
    masks: np.ndarray, numbers: Sequence[int] | None, image: Tensor | None, one_picture: bool
) -> list[np.ndarray]:
    """The masks [n, h, w] of each picture.

    Args:
        masks: float32 [m, h, w].
        numbers: The picture that each mask lies on, from 0; None where nobody says.
        image: The pictures, IMAGE [b, h, w, c]; None where there are none.
        one_picture: Whether masks of which nobody says it are of one picture; else they have a picture each.

    Raises:
        ValueError: The pictures do not fit the masks.
    """
    if image is not None and is_placeholder(masks, image):
        return [np.zeros((1, *image.shape[1:3]), np.float32)] * len(image)
    count = None if image is None else len(image)
    if numbers is None:
        return _frames(masks, count, one_picture)
    if len(numbers) != len(masks):
        raise ValueError(
            f"`pictures`: {len(numbers)} numbers came with {len(masks)} masks: connect `mask` and `pictures` of one "
            "MaskExtract, with nothing between them that takes masks out of a batch"
        )
    last = max(numbers)
    if count is not None and last >= count:
        raise ValueError(
            f"`image`: {count} pictures came with masks of {last + 1}: give the `source` that MaskExtract had"
        )
    places = np.asarray(numbers)
    return [masks[places == number] for number in range(last + 1 if count is None else count)]


def _frames(masks: np.ndarray, count: int | None, one_picture: bool) -> list[np.ndarray]:
    """As `frames_of`, where nobody says which mask lies on which picture; count: of pictures."""
    if one_picture:
        if count is not None and count > 1:
            raise ValueError(
                f"`image`: {count} pictures came with {len(masks)} masks of objects, and nothing says which mask lies "
                "on which picture: connect MaskExtract's `pictures` to `pictures`"
            )
        return [masks]
    if count not in (None, 1, len(masks)):
        raise ValueError(
            f"`image`: {count} pictures came with {len(masks)} masks: give one mask a picture (MaskExtract with "
            "per_object off), or connect MaskExtract's `pictures`, which says where each mask lies"
        )
    return list(masks[:, None])


def pictures_under(image: Tensor | None, frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The pictures uint8 [h, w, 3] under the masks; without any, the masks themselves in white on black.

    Raises:
        ValueError: A picture and its masks differ in size.
    """
    count, size = len(frames), frames[0].shape[1:]
    if image is None:
        gray = [np.round(frame.max(0, initial=0).clip(0, 1) * 255).astype(np.uint8) for frame in frames]
        return [np.repeat(g[..., None], 3, axis=2) for g in gray]
    pictures = to_pictures(image)
    if pictures[0].shape[:2] != tuple(size):
        (h, w), (mh, mw) = pictures[0].shape[:2], size
        raise ValueError(
            f"`mask`: a mask of {mw} x {mh} pixels came with an `image` of {w} x {h}: give as `image` the "
            "`source` that MaskExtract had; scaling one of them may displace the mask"
        )
    return pictures * count if len(pictures) == 1 else pictures
