"""What a node shows in itself: pictures and a line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from ..instructdiffusion.imaging.annotate import enlarged, overlay
from ..instructdiffusion.imaging.colors import Color
from ..instructdiffusion.results import Result
from ..instructdiffusion.utils.interrupts import in_thread
from .convert import to_image


def shown(picture: Any, message: str) -> dict[str, Any]:
    """A ui.PreviewImage and a message as one dictionary for NodeOutput's `ui`."""
    return {**picture.as_dict(), "text": (message,)}


class Overlays:
    """Answers drawn on their pictures: `image` has the pictures' own size, and the node shows small ones enlarged."""

    def __init__(self) -> None:
        self._own: list[np.ndarray] = []
        self._large: list[np.ndarray] = []

    def add(self, picture: np.ndarray, result: Result, colors: Sequence[Color] | None = None) -> None:
        """Draw one more, on a picture uint8 [h, w, 3]."""
        own = overlay(picture, result, colors, side=1)
        self._own.append(own)
        large = enlarged(picture).shape != picture.shape
        self._large.append(overlay(picture, result, colors) if large else own)

    @property
    def image(self) -> Tensor:
        """The IMAGE of them all."""
        return to_image(self._own)

    def shown(self, cls: type, message: str) -> dict[str, Any]:
        """What NodeOutput takes as `ui` for a node of class `cls`."""
        from comfy_api.latest import ui

        pictures = to_image(self._large)
        return shown(in_thread(lambda: ui.PreviewImage(pictures, cls=cls)), message)


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
