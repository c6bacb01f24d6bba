"""Every graph of workflows/: written as the code says, equal in both forms, and run by a real server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from instructdiffusion import InstructDiffusion
from instructdiffusion.inference.answer import Answer

from .client import Comfy
from .graphs import FOLDER, GRAPHS, written
from .reference import answers, with_lora
from .snapshot import NODES, SNAPSHOT, ours

SAVED = Path(__file__).resolve().parents[1] / "fixtures" / "graphs" / "2026-11"
LORA = FOLDER.parent / "instructdiffusion" / "assets" / "loras" / "tiny-sepia.safetensors"


def test_the_pack_loads_without_a_warning(comfy: Comfy) -> None:
    log = comfy.log.read_text()
    assert not re.search(r"instructdiffusion.*(IMPORT FAILED|warning|error)", log, re.IGNORECASE), log[-2000:]
    listed = re.search(r"[\d.]+ seconds: .*custom_nodes/instructdiffusion", log)
    assert listed, "ComfyUI does not list the pack among its custom nodes"
    assert set(comfy.call("/object_info")) >= NODES


def test_the_nodes_are_those_of_the_snapshot(comfy: Comfy) -> None:
    """Ids, inputs and outputs are an interface: saved graphs depend on them. `remake --snapshot` takes a new one."""
    assert ours(comfy.call("/object_info")) == json.loads(SNAPSHOT.read_text())


def test_every_input_has_a_tooltip_and_every_node_a_page(comfy: Comfy) -> None:
    for name, node in ours(comfy.call("/object_info")).items():
        for group in node["input"].values():
            for key, spec in group.items():
                assert len(spec) > 1 and spec[1].get("tooltip"), f"{name}.{key} has no tooltip"
        assert (FOLDER.parent / "web" / "docs" / name / "en.md").is_file()


def test_the_files_are_those_of_the_code(comfy: Comfy) -> None:
    for path, text in written(comfy.call("/object_info")).items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python -m tests.comfyui.remake"


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_runs_and_gives_the_package_s_answer(
    comfy: Comfy, tiny: InstructDiffusion, name: str
) -> None:
    """What is saved or previewed is what the package answers to the same scene, words and seed."""
    graph = json.loads((FOLDER / "api" / f"{name}.json").read_text())
    outputs = comfy.run(graph)
    saved = [i for o in outputs.values() for i in o.get("images", []) if i["type"] == "output"]
    assert saved, "nothing was saved"
    asking = "InstructGuider" if name == "guider" else "InstructSampler"
    expected = answers(tiny, graph, asking)
    titles = {node["_meta"]["title"]: number for number, node in graph.items()}
    _CHECKS.get(name, same_picture)(comfy, outputs, titles, expected)
    if name == "lora":
        brown = answers(with_lora(tiny, LORA), graph)
        same_picture(comfy, outputs, {"Answer": titles["With the LoRA"]}, brown)
        assert np.abs(brown[0].picture.astype(int) - expected[0].picture).mean() > 5, "the LoRA does nothing"


def same_masks(comfy: Comfy, outputs: Any, titles: dict[str, str], expected: list[Answer]) -> None:
    """A mask a picture; at least one of them is not empty."""
    masks = [picture[..., 0] > 127 for picture in comfy.pictures(outputs, titles["Mask"])]
    assert len(masks) == len(expected)
    for mask, answer in zip(masks, expected):
        truth = answer.result.union()
        both, either = (mask & truth).sum(), (mask | truth).sum()
        assert either == 0 or both / either > 0.9
    assert any(mask.any() for mask in masks), "the demo scene is not answered: choose another (scenes)"


def same_points(comfy: Comfy, outputs: Any, titles: dict[str, str], expected: list[Answer]) -> None:
    """The found points, to a pixel."""
    (points,) = (answer.result for answer in expected)
    found = {p["label"]: (p["x"], p["y"]) for p in json.loads(outputs[titles["Points"]]["text"][0])}
    truth = {n: xy for n, xy, seen in zip(points.names, points.xy[0], points.visible[0]) if seen}
    assert set(found) == set(truth) and found
    assert all(np.abs(np.subtract(found[name], truth[name])).max() <= 1 for name in truth)


def same_boxes(comfy: Comfy, outputs: Any, titles: dict[str, str], expected: list[Answer]) -> None:
    """The boxes, to the pixels that a mask of them has."""
    ((frame,),) = [json.loads(outputs[titles["As data"]]["text"][0])]
    found = sorted([b["x"], b["y"], b["x"] + b["width"], b["y"] + b["height"]] for b in frame)
    truth = sorted(expected[0].result.xyxy.tolist())
    assert len(found) == len(truth) > 0
    assert np.abs(np.subtract(found, truth)).max() <= 1.5


def same_category(comfy: Comfy, outputs: Any, titles: dict[str, str], expected: list[Answer]) -> None:
    """The category."""
    assert outputs[titles["Category"]]["text"][0] == expected[0].result.name != ""


def same_picture(comfy: Comfy, outputs: Any, titles: dict[str, str], expected: list[Answer]) -> None:
    """The picture, to two of 255 levels."""
    drawn = comfy.pictures(outputs, titles.get("Answer") or titles["Plain"])[0]
    assert np.abs(drawn.astype(int) - expected[0].picture).max() <= 2


_CHECKS = {
    **dict.fromkeys(("segment", "refer", "batch", "guider"), same_masks),
    **dict.fromkeys(("keypoints", "align"), same_points),
    "detect": same_boxes,
    "classify": same_category,
}


@pytest.mark.parametrize("file", sorted(SAVED.glob("*.json")), ids=lambda file: file.stem)
def test_a_graph_saved_in_an_earlier_release_runs_in_both_forms(
    comfy: Comfy, tiny: InstructDiffusion, file: Path
) -> None:
    """And is answered as it was: widgets are read by their place, links by their slot."""
    from instructdiffusion.launcher.graph_conversion import to_api

    info = comfy.call("/object_info")
    old = json.loads((file.parent / "api" / file.name).read_text())
    made = to_api(json.loads(file.read_text()), info)
    for number, node in old.items():
        defaults = {name: value for name, value in made[number]["inputs"].items() if name not in node["inputs"]}
        assert made[number] | {"inputs": node["inputs"] | defaults} == made[number]
    asking = "InstructGuider" if file.stem == "guider" else "InstructSampler"
    expected = answers(tiny, old, asking)
    for graph in (old, made):
        titles = {node["_meta"]["title"]: number for number, node in graph.items()}
        _CHECKS.get(file.stem, same_picture)(comfy, comfy.run(graph), titles, expected)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_picture_of_one_s_own_goes_through_every_graph(comfy: Comfy, name: str, tmp_path: Path) -> None:
    """As `comfy --workflow FILE --image FILE` puts it in, a photograph of any shape; answers have its size."""
    from instructdiffusion.launcher.entry import put_picture, switch_on
    from instructdiffusion.launcher.graph_conversion import to_api

    photo = np.asarray(Image.open(FOLDER.parent / "workflows" / "denoise.jpg"))[:150, :201]
    Image.fromarray(photo).save(comfy.base / "input" / "mine.png")
    info = comfy.call("/object_info")
    graph, _ = switch_on(json.loads((FOLDER / f"{name}.json").read_text()), info, [], True)
    prompt = to_api(graph, info)
    put_picture(tmp_path / "mine.png", prompt, info, lambda path: path.name)
    outputs = comfy.run(prompt)
    shown = [
        comfy.picture(image).shape[:2]
        for number, node in prompt.items()
        if node["class_type"] in ("SaveImage", "InstructSampler", "InstructScene") and number in outputs
        for image in outputs[number]["images"]
    ]
    assert len(shown) >= 2 and shown[0] == (150, 201)
    assert all(height * 201 == width * 150 for height, width in shown)  # overlays of small pictures come enlarged


@pytest.mark.parametrize("name", ["segment", "guider"])
def test_a_graph_says_what_the_model_does_not_know(comfy: Comfy, name: str) -> None:
    graph = json.loads((FOLDER / "api" / f"{name}.json").read_text())
    (words,) = [node for node in graph.values() if node["class_type"] == "InstructTask"]
    words["inputs"]["subject"] = "the zebra"
    texts = [text for shown in comfy.run(graph).values() for text in shown.get("text", [])]
    assert any("tiny does not know 'zebra'" in text for text in texts)


@pytest.mark.parametrize("name", GRAPHS)
def test_both_forms_say_the_same(comfy: Comfy, name: str) -> None:
    """The UI form, turned into API form by the launcher, is the API form."""
    from instructdiffusion.launcher.graph_conversion import to_api

    ui = json.loads((FOLDER / f"{name}.json").read_text())
    api = json.loads((FOLDER / "api" / f"{name}.json").read_text())
    made = to_api(ui, comfy.call("/object_info"))
    assert {k: (v["class_type"], v["inputs"]) for k, v in made.items()} == {
        k: (v["class_type"], v["inputs"]) for k, v in api.items()
    }
