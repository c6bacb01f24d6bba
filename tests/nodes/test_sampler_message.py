"""What the sampler says: once what holds for all pictures, with numbers what holds for some."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

TINY = Path(__file__).parents[2] / "instructdiffusion" / "assets" / "tiny"


@pytest.fixture(scope="module")
def report(pack: ModuleType):
    return importlib.import_module(".nodes.sampler_message", pack.__name__).report


@pytest.fixture(scope="module")
def instruct(pack: ModuleType):
    return importlib.import_module(".instructdiffusion.tasks", pack.__name__).TASKS


def test_an_answer_that_is_drawn_names_its_reader(report, instruct) -> None:
    gray = np.full((8, 8, 3), 99, np.uint8)
    lines = report(instruct["keypoints"].instruct(["the nose"]), [gray], [gray], None).splitlines()
    assert lines[0].startswith("keypoints: ") and lines[1].endswith("KeypointExtract reads it") and len(lines) == 2


def test_pictures_that_were_not_changed_are_numbered_unless_all_were_not(report, instruct) -> None:
    edit = instruct["edit"].instruct("make it darker")
    gray, dark = np.full((8, 8, 3), 99, np.uint8), np.full((8, 8, 3), 9, np.uint8)
    assert report(edit, [gray] * 3, [gray, dark, gray], None).splitlines()[1:] == [
        "picture 1, 3: nothing was changed"
    ]
    assert report(edit, [gray] * 2, [gray] * 2, None).splitlines()[1:] == ["nothing was changed"]
    assert report(edit, [gray], [dark], None).splitlines() == [f"edit: {edit.text}"]


def test_what_was_understood_is_said_once(report, instruct) -> None:
    from dataclasses import replace

    gray = np.full((8, 8, 3), 99, np.uint8)
    asked = replace(instruct["segment"].instruct("the star"), understanding="understood as segment: the star")
    assert report(asked, [gray] * 2, [gray] * 2, None).count("understood as") == 1
    assert report(asked, [gray], [gray], None).startswith("understood as segment")


def test_before_anything_is_drawn_only_the_question_is_spoken_of(report, instruct, pack) -> None:
    """As InstructGuider does: no word of what changed, but of words that the model does not know."""
    tiny = importlib.import_module(".instructdiffusion.knowledge", pack.__name__).read_knowledge(TINY)
    gray = np.full((8, 8, 3), 99, np.uint8)
    edit = instruct["edit"].instruct("make it darker")
    assert report(edit, [gray], None, tiny).splitlines() == [f"edit: {edit.text}"]
    zebra = report(instruct["segment"].instruct("the zebra"), [gray], None, tiny).splitlines()
    assert zebra[-1] == "tiny does not know 'zebra'"
