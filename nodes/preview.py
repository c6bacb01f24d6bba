"""What a node shows in itself: pictures and a line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image


def shown(picture: Any, message: str) -> dict[str, Any]:
    """A ui.PreviewImage and a message as one dictionary for NodeOutput's `ui`."""
    return {**picture.as_dict(), "text": (message,)}


def contact_sheet(pictures: Sequence[np.ndarray], side: int) -> Image.Image:
    """uint8 [h, w, 3] pictures of one size side by side, row by row, made smaller where the sheet would be larger
    than `side` pixels."""
    height, width = pictures[0].shape[:2]
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    scale = min(1.0, side / max(columns * width, rows * height))
    cell = max(1, round(width * scale)), max(1, round(height * scale))
    sheet = Image.new("RGB", (columns * cell[0], rows * cell[1]))
    for number, picture in enumerate(pictures):
        small = Image.fromarray(picture).resize(cell, Image.Resampling.BOX)
        sheet.paste(small, (number % columns * cell[0], number // columns * cell[1]))
    return sheet
