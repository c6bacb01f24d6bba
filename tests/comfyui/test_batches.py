"""Batches: whose mask is whose, a SEGS a picture, frames that are answered alike; and seeds up to the largest."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from PIL import Image

from .client import Comfy
from .test_nodes import LOADER, asked, node, save, scene, upload

LARGEST = 2**64 - 1  # KSampler's and RandomNoise's


def batch(comfy: Comfy, *pictures: np.ndarray) -> dict[str, Any]:
    """Nodes 20, 21, ...: pictures of one size, the last of which is their batch."""
    graph: dict[str, Any] = {}
    for number, picture in enumerate(pictures):
        graph[f"2{number}"] = upload(comfy, f"frame{number}.png", Image.fromarray(picture))
    graph["29"] = node("ImageBatch", {"image1": ["20", 0], "image2": ["21", 0]})
    return graph


def circles(*places: tuple[int, int]) -> np.ndarray:
    """Orange circles on gray, 64 pixels high, 96 wide."""
    y, x = np.mgrid[:64, :96] + 0.5
    picture = np.full((64, 96, 3), 200, np.uint8)
    for row, column in places:
        picture[np.hypot(y - row, x - column) < 12] = (250, 140, 25)
    return picture


def boxes_of(comfy: Comfy, **more: Any) -> dict[str, Any]:
    """Two pictures of one circle and of two, per-object masks of them, and their boxes (6) as data (7)."""
    graph = batch(comfy, circles((32, 20)), circles((20, 30), (40, 70)))
    words = {"task": "segment", "subject": "the circle", "color": "blue", "words": ""}
    graph |= asked("segment", graph["29"], instruction=["5", 0]) | {"5": node("InstructTask", words)}
    del graph["29"]
    read = {"source": ["2", 0], "edited": ["3", 0], "instruction": ["5", 0], "threshold": 0.45, "min_area": 0}
    graph["8"] = node("MaskExtract", {**read, "per_object": True})
    box = {"mask": ["8", 0], "masks_are": "objects of one picture", "threshold": 0.5, "min_area": 4, "padding": 0}
    graph["6"] = node("BoxFromMask", {**box, "label": "circle", "image": ["2", 0], **more})
    return graph | {"7": node("PreviewAny", {"source": ["6", 0]}), "9": node("PreviewAny", {"source": ["6", 6]})}


def test_objects_of_a_batch_are_boxed_on_their_own_pictures(comfy: Comfy) -> None:
    outputs = comfy.run(boxes_of(comfy, pictures=["8", 4]))
    frames = json.loads(outputs["7"]["text"][0])
    assert [len(frame) for frame in frames] == [1, 2]
    middles = [sorted(round(b["x"] + b["width"] / 2) for b in frame) for frame in frames]
    assert np.abs(np.subtract([x for row in middles for x in row], [20, 30, 70])).max() <= 4
    overlays = comfy.picture(outputs["6"]["images"][0])
    assert overlays.shape[:2] != (64, 96)  # what the node shows is enlarged
    assert len(outputs["9"]["text"]) == 2 and "(64, 96)" in outputs["9"]["text"][1]  # a SEGS a picture


def test_without_numbers_it_is_said_what_to_connect(comfy: Comfy) -> None:
    for masks_are in ("objects of one picture", "a picture each"):
        message = comfy.fails(boxes_of(comfy, masks_are=masks_are))
        assert "MaskExtract's `pictures`" in message and "masks_are" not in message


def test_an_overlay_has_its_picture_s_size(comfy: Comfy) -> None:
    graph = boxes_of(comfy, pictures=["8", 4]) | {"10": save("6", 4), "11": save("8", 1)}
    outputs = comfy.run(graph)
    for number in (10, 11):
        assert [picture.shape for picture in comfy.pictures(outputs, number)] == [(64, 96, 3)] * 2


def test_load_image_s_stand_in_is_not_taken_for_a_mask(comfy: Comfy) -> None:
    """A picture without transparency comes with an empty mask of 64 x 64, whatever its size."""
    box = {"masks_are": "a picture each", "threshold": 0.5, "min_area": 4, "padding": 0, "label": "it"}
    graph = {"1": upload(comfy, "opaque.png", Image.fromarray(circles((32, 40))))}
    graph["2"] = node("BoxFromMask", {**box, "mask": ["1", 1], "image": ["1", 0]})
    graph |= {"3": save("2", 4), "4": node("PreviewAny", {"source": ["2", 5]})}
    outputs = comfy.run(graph)
    assert comfy.pictures(outputs, 3)[0].shape[:2] == (64, 96)
    assert "LoadImage gives such a one" in outputs["4"]["text"][0]


def test_frames_of_a_video_are_answered_alike(comfy: Comfy) -> None:
    """The seed is every picture's own, so what stays the same from frame to frame is drawn the same."""
    frame = circles((32, 40))
    graph = asked("edit", batch(comfy, frame, frame)["29"], text="paint the circle green", steps=4, seed=LARGEST)
    graph |= {name: entry for name, entry in batch(comfy, frame, frame).items() if name != "29"}
    del graph["3"]["inputs"]["instruction"]
    first, second = comfy.pictures(comfy.run(graph), 4)
    assert np.abs(first.astype(int) - second).max() <= 1


def test_seeds_go_as_far_as_comfyui_s_own(comfy: Comfy) -> None:
    info = comfy.call("/object_info")
    own = info["KSampler"]["input"]["required"]["seed"][1]["max"]
    for kind in ("InstructSampler", "InstructScene", "InstructDetector"):
        assert info[kind]["input"]["required"]["seed"][1]["max"] == own == LARGEST
    comfy.run(asked("edit", scene("edit", seed=LARGEST, count=2), seed=LARGEST) | {"1": LOADER})
