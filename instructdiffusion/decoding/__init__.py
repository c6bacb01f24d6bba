"""Reading drawn answers back in closed form: overlays, marks and boxes."""

from __future__ import annotations

from .boxes import decode_boxes
from .marks import find_discs
from .overlay import (
    blend_fraction,
    clean_mask,
    decode_category,
    decode_mask,
    guided_mask,
    smallest_area,
    split_components,
    strength,
)

__all__ = [
    "blend_fraction",
    "clean_mask",
    "decode_boxes",
    "decode_category",
    "decode_mask",
    "find_discs",
    "guided_mask",
    "smallest_area",
    "split_components",
    "strength",
]
