"""What other nodes make of this pack's outputs: ComfyUI's own where its version has them, and other packs' where
COMFYUI_PACKS names checkouts of them (ComfyUI-Impact-Pack, comfyui_controlnet_aux)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from instructdiffusion.datasets.synthetic.examples import make_example

from .client import Comfy
from .graphs import GRAPHS
from .test_nodes import LOADER, SAMPLER, node, save, scene

SIZE = 64


@pytest.fixture(scope="module")
def known(comfy: Comfy) -> dict[str, Any]:
    """The nodes that the server has."""
    return comfy.call("/object_info")


def need(known: dict[str, Any], kind: str, whose: str) -> None:
    if kind not in known:
        pytest.skip(f"this server has no {kind} ({whose})")


def asked_about(task: str, seed: int) -> tuple[str, ...]:
    """What InstructScene's scene of a seed asks about."""
    return make_example(task, seed, split="test", size=SIZE, level=1).instruction.subjects


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


def test_controlnet_aux_draws_the_animal(comfy: Comfy, known: dict[str, Any]) -> None:
    need(known, "RenderAnimalKps", "comfyui_controlnet_aux, in COMFYUI_PACKS")
    line = {"the neck of the cat", "the nose of the cat"}  # which AP-10K's order joins
    seed = next(s for s in range(200) if line <= {*asked_about("keypoints", s)})
    graph = pose() | {"2": scene("keypoints", seed=seed), "7": save("6")}
    graph["6"] = node("RenderAnimalKps", {"kps": ["5", 0]})
    drawn = comfy.pictures(comfy.run(graph), 7)[0]
    assert drawn.shape[:2] == (SIZE, SIZE) and drawn.any()


def test_the_impact_pack_takes_the_segments(comfy: Comfy, known: dict[str, Any]) -> None:
    need(known, "SegsToCombinedMask", "ComfyUI-Impact-Pack, in COMFYUI_PACKS")
    graph = boxed() | {"6": node("SegsToCombinedMask", {"segs": ["5", 2]})}
    graph |= {"7": node("MaskToImage", {"mask": ["6", 0]}), "8": save("7")}
    graph |= {"10": node("MaskToImage", {"mask": ["4", 0]}), "11": save("10")}
    outputs = comfy.run(graph)
    assert np.array_equal(comfy.pictures(outputs, 8)[0], comfy.pictures(outputs, 11)[0])


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_the_impact_pack_s_detectors_ask_the_model(comfy: Comfy, known: dict[str, Any], kind: str) -> None:
    need(known, "BboxDetectorSEGS", "ComfyUI-Impact-Pack, in COMFYUI_PACKS")
    model = {"model": ["30", 0], "clip": ["30", 1], "vae": ["30", 2]}
    asked = {**model, "text": "", "seed": 2**64 - 1, "resolution": 0, "scales": "task's own", "instruction": ["2", 1]}
    found = {"image": ["2", 0], "threshold": 0.1, "dilation": 0, "crop_factor": 1.5, "drop_size": 2, "labels": "all"}
    at = ("bbox", "segm").index(kind)
    graph = {"2": scene("segment", seed=GRAPHS["segment"].nodes[1].inputs["seed"]), "30": LOADER}
    graph["3"] = node("InstructDetector", asked)
    graph["6"] = node(f"{kind.capitalize()}DetectorSEGS", {**found, f"{kind}_detector": ["3", at]})
    graph["7"] = node("SegsToCombinedMask", {"segs": ["6", 0]})
    whole = {"image": ["2", 0], "threshold": 0.1, "dilation": 0, f"{kind}_detector": ["3", at]}
    graph["17"] = node(f"{kind.capitalize()}DetectorCombined_v2", whole)
    for mask, shown in (("7", "8"), ("17", "18")):
        graph |= {shown: node("MaskToImage", {"mask": [mask, 0]}), f"{shown}0": save(shown)}
    outputs = comfy.run(graph)
    segs, combined = (comfy.pictures(outputs, number)[0] for number in ("80", "180"))
    assert segs.any() and np.array_equal(segs, combined)


def test_the_impact_pack_s_face_detailer_works_on_what_the_model_finds(comfy: Comfy, known: dict[str, Any]) -> None:
    need(known, "FaceDetailer", "ComfyUI-Impact-Pack, in COMFYUI_PACKS")
    model = {"model": ["30", 0], "clip": ["30", 1], "vae": ["30", 2]}
    asked = {**model, "text": "", "seed": 3, "resolution": 0, "scales": "task's own", "instruction": ["2", 1]}
    words = node("CLIPTextEncode", {"clip": ["30", 1], "text": "a star"})
    detail = {
        **model, "image": ["2", 0], "guide_size": 64, "guide_size_for": True, "max_size": 64, "seed": 1, "steps": 1,
        "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal", "positive": ["4", 0], "negative": ["4", 0],
        "denoise": 0.5, "feather": 5, "noise_mask": True, "force_inpaint": True, "bbox_threshold": 0.1,
        "bbox_dilation": 0, "bbox_crop_factor": 2.0, "sam_detection_hint": "none", "sam_dilation": 0,
        "sam_threshold": 0.9, "sam_bbox_expansion": 0, "sam_mask_hint_threshold": 0.7,
        "sam_mask_hint_use_negative": "False", "drop_size": 2, "bbox_detector": ["3", 0], "wildcard": "", "cycle": 1,
        "segm_detector_opt": ["3", 1],
    }  # fmt: skip
    graph = {"2": scene("segment", seed=GRAPHS["segment"].nodes[1].inputs["seed"]), "30": LOADER, "4": words}
    graph |= {"3": node("InstructDetector", asked), "5": node("FaceDetailer", detail), "6": save("5")}
    graph |= {"7": node("MaskToImage", {"mask": ["5", 3]}), "8": save("7")}
    outputs = comfy.run(graph)
    assert comfy.pictures(outputs, 6)[0].shape == (SIZE, SIZE, 3) and comfy.pictures(outputs, 8)[0].any()


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
