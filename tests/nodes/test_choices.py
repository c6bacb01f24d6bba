"""What an input left to the task stands for, and which guidance InstructGuider's inputs mean."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest

PIX2PIX = (7.5, -6.0, 0.0, -0.5)  # 7.5 and 1.5 by instruct-pix2pix's formula
AUTHORS = (9.0, -7.0, -1.0, 0.0)  # the same by the authors'


@pytest.fixture(scope="module")
def choices(pack: ModuleType) -> ModuleType:
    return importlib.import_module(".nodes.choices", pack.__name__)


@pytest.fixture(scope="module")
def settings(pack: ModuleType) -> ModuleType:
    return importlib.import_module(".instructdiffusion.settings", pack.__name__)


def test_what_is_left_to_the_task_is_none(choices: ModuleType) -> None:
    assert [choices.chosen(v) for v in (choices.OWN, 0, 0.0, "euler", 2, "none")] == [
        None, None, None, "euler", 2, "none",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("own", "guidance", "formula", "expected"),
    [
        ({}, "none", "instructpix2pix", (1.0, 0.0, 0.0, 0.0)),
        ({}, "scales", "task's own", AUTHORS),
        ({}, "scales", "instructpix2pix", PIX2PIX),
        ({"formula": "instructpix2pix"}, "scales", "task's own", PIX2PIX),
        ({"formula": "instructpix2pix"}, "scales", "instructdiffusion", AUTHORS),
        ({}, "task", "task's own", (6.25, -4.5, -0.75, 0.0)),  # 5 and 1.25
        ({"formula": "instructpix2pix", "guidance": (7.5, 1.5)}, "task", "task's own", PIX2PIX),
        ({"formula": "instructpix2pix", "guidance": (7.5, 1.5)}, "task", "instructdiffusion",
         (6.25, -4.5, -0.75, 0.0)),
    ],
)  # fmt: skip
def test_the_guider_s_weights(
    choices: ModuleType, settings: ModuleType, own, guidance: str, formula: str, expected
) -> None:
    weights = choices.branch_weights("edit", settings.Settings(**own), guidance, (7.5, 1.5), formula)
    assert weights(1.0) == pytest.approx(expected)


@pytest.mark.parametrize("zoom", [None, 0, 0.25, 1, 4.0])
def test_a_zoom_within_its_range_is_valid(choices: ModuleType, zoom: float | None) -> None:
    assert choices.valid_zoom(zoom) is True


@pytest.mark.parametrize("zoom", [0.1, 4.05, -1.0, float("nan")])
def test_a_zoom_beyond_it_is_refused_by_name(choices: ModuleType, zoom: float) -> None:
    assert choices.valid_zoom(zoom).startswith("`zoom`: expected 0.25 to 4, or 0")
