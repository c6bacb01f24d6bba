"""The pictures that ComfyUI's template browser shows, square: the answer, and in its corner what was asked about."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from .client import Comfy

_SIDE = 384  # pixels of a thumbnail's side
_INSET = 128  # of the question's picture, in its corner
_EDGE = 4  # of the white line around that


def thumbnail(comfy: Comfy, graph: dict[str, Any]) -> Image.Image:
    """Run a graph; the last picture it saved, with its question (demo scene or Load Image) small in a corner."""
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
    question, answer = (Image.fromarray(np.asarray(comfy.picture(image))[..., :3]) for image in (asked[0], saved[-1]))
    sheet = answer.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    frame = Image.new("RGB", (_INSET + 2 * _EDGE,) * 2, (255, 255, 255))
    frame.paste(question.resize((_INSET, _INSET), Image.Resampling.BICUBIC), (_EDGE, _EDGE))
    sheet.paste(frame, (0, _SIDE - frame.height))
    return sheet
