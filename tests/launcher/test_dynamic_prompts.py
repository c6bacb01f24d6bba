"""Choices in prompts."""

from __future__ import annotations

import pytest

from instructdiffusion.launcher.dynamic_prompts import draw_wildcards
from instructdiffusion.launcher.graph_conversion import to_api


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("a red star", "a red star", "a red star"),
        ("a {red|blue} star", "a red star", "a blue star"),
        ("{a|b{c|d}} {e|}", "a e", "bd "),
        (r"\{a\|b\} {x\}y|z}", "{a|b} x}y", "{a|b} z"),
        ("one // two\nthree /* four\n */five", "one \nthree five", "one \nthree five"),
        ("{open|end", "open", "end"),
        ("end\\", "end\\", "end\\"),
        ("", "", ""),
    ],
)
def test_one_of_each(text, first, last):
    assert draw_wildcards(text, lambda choices: choices[0]) == first
    assert draw_wildcards(text, lambda choices: choices[-1]) == last


def test_only_inputs_that_ask_for_it_are_drawn(object_info):
    object_info["SaveImage"]["input"]["required"]["filename_prefix"][1]["dynamicPrompts"] = True
    object_info["Draw"]["input"]["optional"]["name"][1].pop("dynamicPrompts", None)
    nodes = [
        {"id": 1, "type": "SaveImage", "widgets_values": ["{a|b}"]},
        {"id": 2, "type": "Draw", "widgets_values": [1, "fixed", "euler", 1.0, False, "{a|b}"]},
    ]
    found = to_api({"nodes": nodes, "links": []}, object_info)
    assert found["1"]["inputs"]["filename_prefix"] in ("a", "b")
    assert found["2"]["inputs"]["name"] == "{a|b}"
