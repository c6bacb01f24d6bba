"""The pictures that ComfyUI's template browser shows: the question's picture beside the answer, a graph each.

python -m tests.comfyui.thumbnails PORT    # of a running ComfyUI with this pack
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .client import Comfy
from .graphs import FOLDER, GRAPHS

_SIDE = 192  # pixels of a picture; a thumbnail is two of them wide


def thumbnail(comfy: Comfy, graph: dict[str, Any]) -> Image.Image:
    """Run a graph; its demo scene on the left, the last picture it saved on the right."""
    outputs = comfy.run(graph)
    saved = [
        outputs[number]["images"][0]
        for number, node in graph.items()
        if node["class_type"] == "SaveImage" and number in outputs
    ]
    (scene,) = (number for number, node in graph.items() if node["class_type"] == "InstructScene")
    sheet = Image.new("RGB", (2 * _SIDE, _SIDE))
    for column, image in enumerate((outputs[scene]["images"][0], saved[-1])):
        picture = Image.fromarray(np.asarray(comfy.picture(image))[..., :3])
        sheet.paste(picture.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC), (column * _SIDE, 0))
    return sheet


def main(port: int) -> None:
    """Write workflows/NAME.jpg for every graph."""
    comfy = Comfy(port, Path(), Path())
    for name in GRAPHS:
        graph = json.loads((FOLDER / "api" / f"{name}.json").read_text(encoding="utf-8"))
        thumbnail(comfy, graph).save(FOLDER / f"{name}.jpg", quality=88)
        print(f"workflows/{name}.jpg")


if __name__ == "__main__":
    main(int(sys.argv[1]))
