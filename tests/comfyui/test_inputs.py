"""Inputs as people meet them: few are shown, one wrong value marks one of them, words find the nodes."""

from __future__ import annotations

from typing import Any

import pytest

from .client import Comfy
from .snapshot import ours
from .test_nodes import asked, node, save, scene

WRONG: dict[str, Any] = {
    "solver": "magic", "scheduler": "magic", "guidance": "magic", "formula": "magic", "resize_mode": "magic",
    "scales": "magic", "zoom": 0.1, "steps": -1, "resolution": 5000, "seed": 2**64, "text_guidance": 101.0,
}  # fmt: skip
FINDS = {
    "pose": {"KeypointExtract", "InstructSampler", "InstructTask"},
    "denoise": {"InstructSampler", "InstructTask"},
    "edit": {"InstructSampler", "InstructTask", "EditExtract"},
    "watermark": {"InstructSampler", "InstructTask"},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_marks_its_own_input(comfy: Comfy, name: str) -> None:
    answer = comfy.call("/prompt", {"prompt": asked("segment", **{name: WRONG[name]})})
    if "prompt_id" in answer:  # before 0.8, which does not look at choices: the node does
        assert f"`{name}`" in comfy.error(comfy.wait(answer["prompt_id"]))
        return
    (error,) = answer["node_errors"]["3"]["errors"]
    assert error["extra_info"]["input_name"] == name


def test_a_wrong_choice_through_a_link_is_named_too(comfy: Comfy) -> None:
    graph = asked("segment", solver=["9", 0]) | {"9": node("PrimitiveString", {"value": "magic"})}
    if "PrimitiveString" not in comfy.call("/object_info"):
        pytest.skip("this server has no PrimitiveString")
    answer = comfy.call("/prompt", {"prompt": graph})
    if "prompt_id" in answer:  # versions that let a text into a choice
        assert "`solver`" in comfy.error(comfy.wait(answer["prompt_id"]))
    else:
        assert answer["node_errors"]["3"]["errors"][0]["extra_info"]["input_name"] == "solver"


def test_the_sampler_shows_four_widgets_and_folds_the_rest(comfy: Comfy) -> None:
    """The page of newer versions does the folding; older ones show them all."""
    inputs = ours(comfy.call("/object_info"))["InstructSampler"]["input"]
    widgets = {
        name: spec[1]
        for group in ("required", "optional")
        for name, spec in inputs[group].items()
        if spec[0] in ("INT", "FLOAT", "STRING", "COMBO", "BOOLEAN")
    }
    shown = [name for name, options in widgets.items() if not options.get("advanced")]
    assert shown == ["text", "seed", "steps", "resolution"]
    assert len(widgets) == 13


@pytest.mark.parametrize("word", FINDS)
def test_nodes_are_found_by_what_they_are_for(comfy: Comfy, word: str) -> None:
    info = comfy.call("/object_info")
    if "search_aliases" not in info["KSampler"]:
        pytest.skip("this version has no words to search by")
    found = {name for name in ours(info) if word in (info[name].get("search_aliases") or [])}
    assert found >= FINDS[word]


def test_patches_that_do_nothing_on_the_model_say_so(comfy: Comfy) -> None:
    graph = asked("segment") | {"8": node("FreeU", {"model": ["1", 0], "b1": 1.1, "b2": 1.2, "s1": 0.9, "s2": 0.2})}
    graph["9"] = node("TomePatchModel", {"model": ["8", 0], "ratio": 0.3})
    graph["3"]["inputs"]["model"] = ["9", 0]
    text = comfy.run(graph)["3"]["text"][0]
    assert "FreeU does nothing on this model" in text and "(ToMe) does nothing" in text
    assert "does nothing" not in comfy.run(asked("segment"))["3"]["text"][0]


def test_a_scene_of_another_task_is_refused_as_its_own_input(comfy: Comfy) -> None:
    answer = comfy.call("/prompt", {"prompt": {"1": scene("knit"), "2": save("1")}})
    if "prompt_id" in answer:
        assert "`task`" in comfy.error(comfy.wait(answer["prompt_id"]))
    else:
        (error,) = answer["node_errors"]["1"]["errors"]
        assert error["extra_info"]["input_name"] == "task"
