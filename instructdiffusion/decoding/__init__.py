"""Reading drawn answers back in closed form: overlays, marks and boxes."""

from __future__ import annotations

from .boxes import decode_boxes
from .marks import find_discs
from .overlay import blend_fraction, decode_category, decode_mask, guided_mask, split_components

__all__ = [
    "blend_fraction",
    "decode_boxes",
    "decode_category",
    "decode_mask",
    "find_discs",
    "guided_mask",
    "split_components",
]
