"""An eleventh task of one file, in ComfyUI: offered, asked, and read back by the node that reads such answers."""

from __future__ import annotations

from pathlib import Path

from ..eleventh import lay_outline
from .server import running
from .test_nodes import LOADER, SAMPLER, node, save


def test_a_task_of_one_file_is_asked_and_read_in_comfyui(tmp_path: Path) -> None:
    task = {"task": "outline", "subject": "the star", "color": "blue", "words": ""}
    sampler = {**SAMPLER, "image": ["2", 0], "instruction": ["3", 0]}
    extract = {
        "source": ["2", 0], "edited": ["4", 0], "instruction": ["3", 0], "threshold": 0.45, "min_area": 0,
        "per_object": False, "decoder": "closed",
    }  # fmt: skip
    graph = {
        "1": LOADER,
        "2": node("InstructScene", {"task": "outline", "seed": 7, "count": 1, "size": 64, "background": "textured"}),
        "3": node("InstructTask", task),
        "4": node("InstructSampler", sampler),
        "5": node("MaskExtract", extract),
        "6": save("5", 1),
    }
    with running(tmp_path, pack=lay_outline(tmp_path / "pack")) as comfy:
        kind, details = comfy.call("/object_info/InstructTask")["InstructTask"]["input"]["required"]["task"]
        choices = details["options"] if kind == "COMBO" else kind
        assert choices[-1] == "outline"
        outputs = comfy.run(graph)
        assert outputs["6"]["images"]
        assert "MaskExtract reads it" in str(outputs)
        inputs = {name: extract[name] for name in ("source", "edited", "instruction", "threshold")}
        graph["5"] = node("KeypointExtract", inputs)
        graph["6"] = save("5", 2)
        assert "use MaskExtract" in comfy.fails(graph)
