"""What other nodes make of this pack's outputs: ComfyUI's own where its version has them, and other packs' where
COMFYUI_PACKS names checkouts of them (ComfyUI-Impact-Pack, comfyui_controlnet_aux)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from .client import Comfy
from .test_nodes import LOADER, SAMPLER, node, save, scene

SIZE = 64


@pytest.fixture(scope="module")
def known(comfy: Comfy) -> dict[str, Any]:
    """The nodes that the server has."""
    return comfy.call("/object_info")


def need(known: dict[str, Any], kind: str, whose: str) -> None:
    if kind not in known:
        pytest.skip(f"this server has no {kind} ({whose})")


def boxed(masks: str = "truth") -> dict[str, Any]:
    """A mask (4), and the boxes of its regions (5): two white squares, or nothing at all."""
    graph = {
        "1": node("SolidMask", {"value": 0.0, "width": SIZE, "height": SIZE}),
        "2": node("SolidMask", {"value": 1.0, "width": 12, "height": 20}),
    }
    last = "1"
    for number, (x, y) in enumerate([(4, 8), (40, 30)] if masks else [], 3):
        pasted = {"destination": [last, 0], "source": ["2", 0], "x": x, "y": y, "operation": "add"}
        graph[last := str(number)] = node("MaskComposite", pasted)
    graph["9"] = node("EmptyImage", {"width": SIZE, "height": SIZE, "batch_size": 1, "color": 0})
    boxes = {"mask": [last, 0], "masks_are": "a picture each", "threshold": 0.5, "min_area": 4, "padding": 0}
    graph["5"] = node("BoxFromMask", {**boxes, "label": "square", "image": ["9", 0]})
    return graph


def pose() -> dict[str, Any]:
    """A figure's keypoints (5), with the truth in place of a model's answer."""
    source = scene("keypoints", seed=24)
    read = {"source": ["2", 0], "edited": ["2", 3], "instruction": ["2", 1], "threshold": 0.4}
    return {"2": source, "5": node("KeypointExtract", read)}


def test_comfyui_draws_the_boxes(comfy: Comfy, known: dict[str, Any]) -> None:
    need(known, "DrawBBoxes", "newer versions of ComfyUI")
    graph = boxed() | {"6": node("DrawBBoxes", {"image": ["9", 0], "bboxes": ["5", 0]}), "7": save("6")}
    drawn = comfy.pictures(comfy.run(graph), 7)[0].any(2)
    assert drawn[8, 4:16].all() and drawn[30:50, 40].all() and not drawn[14, 9] and not drawn[60].any()


def test_comfyui_cuts_the_boxes_out(comfy: Comfy, known: dict[str, Any]) -> None:
    need(known, "CropByBBoxes", "newer versions of ComfyUI")
    cut = {"image": ["9", 0], "bboxes": ["5", 0], "output_width": 64, "output_height": 64, "padding": 0}
    graph = boxed() | {"6": node("CropByBBoxes", {**cut, "keep_aspect": "stretch"}), "7": save("6")}
    assert comfy.pictures(comfy.run(graph), 7)[0].shape[:2] == (64, 64)


def test_comfyui_takes_boxes_of_nothing(comfy: Comfy, known: dict[str, Any]) -> None:
    need(known, "DrawBBoxes", "newer versions of ComfyUI")
    graph = boxed("") | {"6": node("DrawBBoxes", {"image": ["9", 0], "bboxes": ["5", 0]}), "7": save("6")}
    assert not comfy.pictures(comfy.run(graph), 7)[0].any()


def test_comfyui_draws_the_pose(comfy: Comfy, known: dict[str, Any]) -> None:
    need(known, "SDPoseDrawKeypoints", "newer versions of ComfyUI")
    drawing = {"keypoints": ["5", 0], "draw_feet": False, "stick_width": 2, "face_point_size": 1}
    drawing |= {f"draw_{part}": True for part in ("body", "hands", "face", "head")}
    graph = pose() | {"6": node("SDPoseDrawKeypoints", {**drawing, "score_threshold": 0.3}), "7": save("6")}
    drawn = comfy.pictures(comfy.run(graph), 7)[0]
    assert drawn.shape[:2] == (SIZE, SIZE) and drawn.any()


def test_controlnet_aux_decodes_the_pose(comfy: Comfy, known: dict[str, Any]) -> None:
    need(known, "RenderPeopleKps", "comfyui_controlnet_aux, in COMFYUI_PACKS")
    parts = {f"render_{part}": True for part in ("body", "hand", "face")}
    graph = pose() | {"6": node("RenderPeopleKps", {"kps": ["5", 0], **parts}), "7": save("6")}
    drawn = comfy.pictures(comfy.run(graph), 7)[0]
    assert drawn.shape[:2] == (SIZE, SIZE) and drawn.any()


def test_the_impact_pack_takes_the_segments(comfy: Comfy, known: dict[str, Any]) -> None:
    need(known, "SegsToCombinedMask", "ComfyUI-Impact-Pack, in COMFYUI_PACKS")
    graph = boxed() | {"6": node("SegsToCombinedMask", {"segs": ["5", 2]})}
    graph |= {"7": node("MaskToImage", {"mask": ["6", 0]}), "8": save("7")}
    graph |= {"10": node("MaskToImage", {"mask": ["4", 0]}), "11": save("10")}
    outputs = comfy.run(graph)
    assert np.array_equal(comfy.pictures(outputs, 8)[0], comfy.pictures(outputs, 11)[0])


def test_comfyui_s_own_nodes_take_masks_and_pictures(comfy: Comfy) -> None:
    """Latents are KSampler's, masks are those of mask nodes, cut-outs and overlays are pictures."""
    graph = boxed() | {
        "20": node("GrowMask", {"mask": ["4", 0], "expand": 2, "tapered_corners": True}),
        "21": node("MaskToImage", {"mask": ["20", 0]}),
        "22": node("ImageScale", {
            "image": ["5", 3], "upscale_method": "nearest-exact", "width": 32, "height": 32, "crop": "disabled",
        }),
        "23": save("21"), "24": save("22"), "25": save("5", 4),
        "30": LOADER, "31": scene("edit"),
    }  # fmt: skip
    ask = {**SAMPLER, "image": ["31", 0], "instruction": ["31", 1]}
    ask |= {"model": ["30", 0], "clip": ["30", 1], "vae": ["30", 2]}
    graph["32"] = node("InstructSampler", ask)
    graph["33"] = node(
        "LatentUpscaleBy", {"samples": ["32", 1], "upscale_method": "bilinear", "scale_by": 2.0}
    )
    graph["34"] = node("VAEDecode", {"samples": ["33", 0], "vae": ["30", 2]})
    graph["35"] = save("34")
    outputs = comfy.run(graph)
    assert len(comfy.pictures(outputs, 24)) == 2  # a cut-out a box
    assert comfy.pictures(outputs, 35)[0].shape == (128, 128, 3)
