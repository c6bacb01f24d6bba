"""Inside ComfyUI's process: what loading costs, what is evaluated, who is heard, and that "interrupt" is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .server import REPOSITORY, comfyui_path


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """What `inside` prints."""
    python = os.environ.get("COMFYUI_PYTHON", sys.executable)
    script = Path(__file__).with_name("inside.py")
    done = subprocess.run(
        [python, str(script), str(REPOSITORY)], cwd=comfyui_path(), capture_output=True, text=True, timeout=1800
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_loading_the_pack_is_cheap_and_loads_no_model(seen: dict[str, Any]) -> None:
    assert seen["import"] < 0.05  # of what loading ComfyUI itself takes
    assert seen["loaded at import"] == 0


def test_inputs_and_outputs_have_names_of_their_own(seen: dict[str, Any]) -> None:
    """Else a ComfyUI before 0.8 loads none of the nodes."""
    assert seen["doubled"] == {}


@pytest.mark.parametrize("node", ["sampler", "guider"])
def test_branches_of_no_weight_are_not_evaluated(seen: dict[str, Any], node: str) -> None:
    """Pictures that went through the UNet in two steps."""
    found = seen["evaluations"]
    expected = {
        "none": 2, "three branches": 6, "no branch without the picture": 4, "only the full branch": 2,
    }  # fmt: skip
    assert {name: found[f"{node}: {name}"] for name in expected} == expected


@pytest.mark.parametrize("node", ["sampler", "guider"])
def test_wrappers_and_patches_of_a_model_are_heard(seen: dict[str, Any], node: str) -> None:
    applied, outer, guided = seen["evaluations"][f"{node}: wrappers"]
    assert applied and outer == 1 and guided == 2
    assert seen["evaluations"][f"{node}: patch"], "a patch that changes every prediction changes nothing"


def test_hooks_and_masks_are_honoured(seen: dict[str, Any]) -> None:
    assert all(seen["hooks"].values()), seen["hooks"]
    assert seen["mask"]


def test_a_thing_is_added_to_long_pictures_in_a_square_of_them(seen: dict[str, Any]) -> None:
    found = seen["added"]
    assert found["latent"] == [2, 4, 16, 16] and found["edited"] == [2, 128, 256, 3]
    first, last = found["columns"]
    assert round(0.8 * 128) <= first < last < round(0.8 * 128) + 128
    assert all(abs(place - 0.8 * 256) < 8 for place in found["places"])


def test_models_that_say_nothing_of_themselves_are_asked_as_published_ones(seen: dict[str, Any]) -> None:
    """100 steps with the authors' guidance; one plain evaluation is for models that learned to answer in one."""
    found = seen["defaults"]
    plain = [1, [1, 0, 0, 0], "shortest_edge"]
    assert found["built in: segment"] == found["built in: edit"] == plain
    for name in ("foreign", "published"):
        segment, edit = found[f"{name}: segment"], found[f"{name}: edit"]
        assert segment == [300, [9, -7, -1, 0], "authors"] and edit == [
            300,
            [6.25, -4.5, -0.75, 0],
            "authors",
        ]


def test_what_a_model_knows_goes_with_it(seen: dict[str, Any]) -> None:
    assert seen["known"] == {"built in": "tiny", "clone": "tiny", "foreign": None}


def test_the_formula_is_the_authors_unless_another_is_chosen(seen: dict[str, Any]) -> None:
    found = seen["formulas"]
    assert found["sampler"] == found["guider"] == [True, False]
    assert found["the model's own"] == [True, True], "the guider asks no model as it says of itself"


def test_interrupt_ends_a_step_in_its_middle(seen: dict[str, Any]) -> None:
    assert seen["interrupt"] == {"in": 3, "out": 0, "interrupted": 1}


def test_progress_is_told_step_by_step_with_previews_and_the_answer_as_the_last(seen: dict[str, Any]) -> None:
    """The page shows a node's last preview as long as it lies there, not the picture that the node gave."""
    *steps, answer = seen["progress"]["told"][-5:]
    assert [step[:2] for step in steps] == [[i, 4] for i in range(1, 5)] and answer == [4, 4, 64]
    assert all(0 < width < 64 for *_, width in steps)


def test_the_bar_grows_when_a_picture_is_looked_at_again(seen: dict[str, Any]) -> None:
    assert seen["progress"]["looks"] == [[1, 2], [2, 2], [3, 4], [4, 4], [4, 4]]


def test_every_node_ends_at_the_check_that_says_so(seen: dict[str, Any]) -> None:
    """Its own previews aside, which are ComfyUI's to write: those go on beside it."""
    assert len(seen["stopped"]) == 10
    for name, (asks, half, late) in seen["stopped"].items():
        assert asks >= 4, name
        assert half == asks // 2 and late == max(1, asks - 3), name


def test_unloading_frees_the_models_and_they_come_back(seen: dict[str, Any]) -> None:
    assert seen["unload"]["loaded"] > 0 == seen["unload"]["left"] and seen["unload"]["same"]
