"""The words of an instruction, and errors that name the input."""

from __future__ import annotations

import importlib
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture(scope="module")
def wording(pack: ModuleType) -> ModuleType:
    return importlib.import_module(".nodes.wording", pack.__name__)


def test_own_words_take_the_subject_and_the_color(wording: ModuleType) -> None:
    made = wording.word("segment", "the red star", "blue", "mark {subject}\n in {color}")
    assert made.text == "mark the red star in blue"


@pytest.mark.parametrize(
    "words", ["{subject.__class__} {color}", "{subject!r} {color}", "{color:>99999999} {0}"]
)
def test_nothing_else_stands_in_braces(wording: ModuleType, words: str) -> None:
    with pytest.raises(ValueError, match="`words`.*in braces"):
        wording.word("segment", "the red star", "blue", words)


def test_a_subject_with_braces_is_taken_as_it_is(wording: ModuleType) -> None:
    made = wording.word("segment", "the {color} sign", "blue", "mark {subject} in {color}")
    assert made.text == "mark the {color} sign in blue"


@pytest.mark.parametrize(
    ("task", "subject", "color", "words", "name"),
    [
        ("segment", " ", "automatic", "", "subject"),
        ("keypoints", "the nose\nthe neck", "blue", "", "color"),
        ("segment", "the star", "blue", "mark {subject}", "words"),
        ("juggle", "the star", "blue", "", "task"),
    ],
)
def test_the_input_is_named(wording: ModuleType, task, subject, color, words, name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}`"):
        wording.word(task, subject, color, words)


def test_a_color_that_the_picture_has_already_is_refused_with_one_that_it_lacks(wording: ModuleType) -> None:
    picture = np.full((40, 40, 3), (20, 30, 200), np.uint8)
    picture[:10, :16] = (250, 10, 10)  # a tenth
    with pytest.raises(
        ValueError, match=r"`color`: 10% of the picture is red already.*choose \w+,"
    ) as refused:
        wording.word("segment", "the star", "red", picture=picture)
    other = str(refused.value).partition("choose ")[2].partition(",")[0]
    assert wording.word("segment", "the star", other, picture=picture).colors[0].name == other
    assert wording.word("segment", "the star", "red").colors[0].name == "red"  # no picture, no objection
    picture[:10, 4:16] = (20, 30, 200)  # some red pixels hide no answer
    assert wording.word("segment", "the star", "red", picture=picture).colors[0].name == "red"


@pytest.mark.parametrize("task", ["segment", "refer", "detect"])
def test_two_lines_are_two_subjects_with_a_color_each(wording: ModuleType, task: str) -> None:
    made = wording.word(task, "the red circle\n\n the blue star ", "automatic")
    assert made.subjects == ("the red circle", "the blue star")
    assert len({c.name for c in made.colors}) == 2 and len(made.text.split("\n")) == 2
    named = wording.word(task, "the red circle\nthe blue star", "green", picture=np.zeros((9, 9, 3), np.uint8))
    assert named.colors[0].name == "green" and named.colors[1].name not in ("green", "black")
    own = wording.word(task, "the circle\nthe star", "automatic", "show {subject} in {color}")
    first, second = (c.name for c in own.colors)
    assert own.text == f"show the circle in {first}\nshow the star in {second}"


def test_everything_but_a_thing_is_the_rest_in_segment_and_refused_elsewhere(wording: ModuleType) -> None:
    made = wording.word("segment", "everything but the dog", "automatic", "show {subject} in {color}")
    assert made.complement and made.subjects == ("the dog",)
    with pytest.raises(ValueError, match="`subject`.*segment"):
        wording.word("detect", "everything but the dog", "automatic")
