"""The pictures that ComfyUI's template browser shows: the question's picture beside the answer, a graph each."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from .client import Comfy

_SIDE = 192  # pixels of a picture; a thumbnail is two of them wide


def thumbnail(comfy: Comfy, graph: dict[str, Any]) -> Image.Image:
    """Run a graph; its picture (demo scene or Load Image) on the left, the last picture it saved on the right."""
    outputs = comfy.run(graph)
    saved = [
        outputs[number]["images"][0]
        for number, node in graph.items()
        if node["class_type"] == "SaveImage" and number in outputs
    ]
    asked = [outputs[number]["images"][0] for number, node in graph.items() if node["class_type"] == "InstructScene"]
    asked += [
        {"filename": node["inputs"]["image"], "type": "input", "subfolder": ""}
        for node in graph.values()
        if node["class_type"] == "LoadImage"
    ]
    sheet = Image.new("RGB", (2 * _SIDE, _SIDE))
    for column, image in enumerate((asked[0], saved[-1])):
        picture = Image.fromarray(np.asarray(comfy.picture(image))[..., :3])
        sheet.paste(picture.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC), (column * _SIDE, 0))
    return sheet
