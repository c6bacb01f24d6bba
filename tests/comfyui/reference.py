"""What the package by itself answers to a graph: its scene, its words and its seed, without any ComfyUI."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from instructdiffusion import TASKS, InstructDiffusion
from instructdiffusion.datasets.synthetic.examples import make_example
from instructdiffusion.imaging.images import load_picture
from instructdiffusion.inference.answer import Answer

from .server import comfyui_path

_LEVELS = {"plain": 0, "textured": 1, "photographic": 3}  # InstructScene's backgrounds
GUIDER = {
    "steps": 1,
    "solver": "euler",
    "schedule": "trailing",
    "guidance": "none",
}  # what guider.json is set to


def answers(model: InstructDiffusion, graph: dict[str, Any], asking: str = "InstructSampler") -> list[Answer]:
    """An answer a picture of the graph's scene, or of its Load Image with the words that its sampler has.

    graph: in API form. asking: the kind of node that asks the model.
    """
    if not of_kind(graph, "InstructScene"):
        (image,), (asked,) = of_kind(graph, "LoadImage"), of_kind(graph, asking)
        path = comfyui_path()
        assert path is not None
        found: Any = model.run(asked["text"], load_picture(path / "input" / image["image"]), seed=asked["seed"])
        return [found]
    (scene,), (words,), (asked, *_) = (
        of_kind(graph, kind) for kind in ("InstructScene", "InstructTask", asking)
    )
    sources = [
        make_example(
            scene["task"], scene["seed"] + i, split="test", size=scene["size"], level=_LEVELS[scene["background"]]
        ).source
        for i in range(scene["count"])
    ]  # fmt: skip
    picture = sources[0] if "image" in words else None
    instruction = TASKS[words["task"]].instruct(words["subject"].splitlines() or None, picture=picture)
    if asking == "InstructGuider":
        (noise,) = of_kind(graph, "RandomNoise")
        options: dict[str, Any] = {**GUIDER, "seed": noise["noise_seed"]}
    else:
        options = {"seed": asked["seed"]}
    found = model.run(instruction, sources, **options)
    return found


def of_kind(graph: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """The inputs of every node of a kind."""
    return [node["inputs"] for node in graph.values() if node["class_type"] == kind]


@torch.no_grad()
def with_lora(model: InstructDiffusion, path: Path) -> InstructDiffusion:
    """A copy of the model with a LoRA added to its UNet's weights: W + alpha / rank * up @ down."""
    unet = copy.deepcopy(model.components.unet)
    state = load_file(path)
    layers = {"lora_unet_" + name.replace(".", "_"): layer for name, layer in unet.named_modules()}
    for key in (k.removesuffix(".alpha") for k in state if k.endswith(".alpha")):
        down, up = (state[f"{key}.lora_{side}.weight"].float() for side in ("down", "up"))
        weight = layers[key].weight
        added = up.flatten(1) @ down.flatten(1) * (state[f"{key}.alpha"] / len(down))
        weight += added.reshape(weight.shape)
    return InstructDiffusion(replace(model.components, unet=unet), model.settings)
