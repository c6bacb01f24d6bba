"""The words of an instruction, and errors that name the input."""

from __future__ import annotations

import importlib
from types import ModuleType

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
