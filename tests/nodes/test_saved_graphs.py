"""Graphs keep a node's values by their place: inputs that came later stand last, and old graphs get their defaults."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from instructdiffusion.launcher.convert import to_api

SNAPSHOT = json.loads((Path(__file__).parents[1] / "comfyui" / "object_info.json").read_text())

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
    "InstructSampler": {"formula": "task's own", "zoom": 0.0},
    "InstructGuider": {"formula": "task's own"},
}


@pytest.mark.parametrize("kind", FIRST)
def test_a_graph_from_before_an_input_means_what_it_meant(kind: str) -> None:
    values = []
    for name, value in FIRST[kind].items():
        values += [value, "fixed"] if name == "seed" else [value]
    node = {"id": 1, "type": kind, "inputs": [], "widgets_values": values}
    made = to_api({"nodes": [node], "links": []}, SNAPSHOT)["1"]["inputs"]
    assert made == {**FIRST[kind], **LATER[kind]}


def test_the_choice_is_called_the_same_wherever_a_formula_is_chosen() -> None:
    found = [SNAPSHOT[kind]["input"]["optional"]["formula"][1] for kind in FIRST]
    assert found[0]["options"] == found[1]["options"] and found[0]["default"] == found[1]["default"]
