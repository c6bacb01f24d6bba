"""Graphs keep a node's values by their place: inputs that came later stand last, and old graphs get their defaults."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from instructdiffusion.launcher.graph_conversion import to_api

SNAPSHOT = json.loads((Path(__file__).parents[1] / "comfyui" / "object_info.json").read_text())

SAVED = Path(__file__).parents[1] / "fixtures" / "graphs" / "2026-11"

# node -> the widgets as graphs were first saved with them, and what they held
FIRST = {
    "InstructSampler": {
        "text": "make it blue", "seed": 5, "steps": 20, "solver": "euler", "scheduler": "karras",
        "guidance": "scales", "text_guidance": 7.0, "image_guidance": 1.0, "resolution": 64,
    },
    "InstructGuider": {
        "text": "make it blue", "guidance": "scales", "text_guidance": 7.0, "image_guidance": 1.0,
    },
}  # fmt: skip
LATER = {
    "InstructSampler": {"formula": "task's own", "zoom": 0.0, "resize_mode": "task's own", "scales": "task's own"},
    "InstructGuider": {"formula": "task's own", "resize_mode": "none", "resolution": 0},
}


@pytest.mark.parametrize("kind", FIRST)
def test_a_graph_from_before_an_input_means_what_it_meant(kind: str) -> None:
    values = []
    for name, value in FIRST[kind].items():
        values += [value, "fixed"] if name == "seed" else [value]
    node = {"id": 1, "type": kind, "inputs": [], "widgets_values": values}
    made = to_api({"nodes": [node], "links": []}, SNAPSHOT)["1"]["inputs"]
    assert made == {**FIRST[kind], **LATER[kind]}


@pytest.mark.parametrize("file", sorted(SAVED.glob("*.json")), ids=lambda file: file.stem)
def test_a_whole_graph_from_before_becomes_what_it_became(file: Path) -> None:
    """Nodes of this pack, by the interface of today; other nodes count for nothing here."""
    ui, api = json.loads(file.read_text()), json.loads((file.parent / "api" / file.name).read_text())
    info = {node["type"]: SNAPSHOT.get(node["type"], {"input": {}}) for node in ui["nodes"]}
    made = to_api(ui, info)
    assert made.keys() == api.keys()
    for number, node in api.items():
        if node["class_type"] in SNAPSHOT:
            found = made[number]["inputs"]
            assert {name: found[name] for name in node["inputs"]} == node["inputs"]
            assert {*found} - {*node["inputs"]} <= {"formula", "zoom", "decoder", "resize_mode", "resolution", "scales"}


def test_new_inputs_are_optional_and_last_and_new_outputs_last() -> None:
    """What object_info held when the graphs in fixtures were saved is how today's begins."""
    before = json.loads((SAVED.with_name("object_info-2026-11.json")).read_text())
    for name, node in before.items():
        today = SNAPSHOT[name]
        for group in ("required", "optional"):
            order = node["input_order"].get(group, [])
            assert today["input_order"].get(group, [])[: len(order)] == order
        assert today["input_order"].get("required", []) == node["input_order"].get("required", [])
        assert today["output"][: len(node["output"])] == node["output"]
        assert today["output_name"][: len(node["output"])] == node["output_name"]


def test_the_choice_is_called_the_same_wherever_a_formula_is_chosen() -> None:
    found = [SNAPSHOT[kind]["input"]["optional"]["formula"][1] for kind in FIRST]
    assert found[0]["options"] == found[1]["options"] and found[0]["default"] == found[1]["default"]
