"""Placing: where the words of an edit add a thing."""

from __future__ import annotations

import pytest

from instructdiffusion.datasets.synthetic.edit_operations import PLACES
from instructdiffusion.datasets.synthetic.examples import make_example
from instructdiffusion.tasks import get_task
from instructdiffusion.tasks.placing import place_of

ADDING = {
    "add a red star on the left": (0.2, 0.5),
    "Please, now draw a blue car on the right.": (0.8, 0.5),
    "can you put a man in a green shirt at the top?": (0.5, 0.2),
    "insert a big heart in the bottom-left corner of the picture": (0.2, 0.8),
    "add a dot at the upper right, keep everything else the same": (0.8, 0.2),
    "edit the picture: add a cat in the centre": (0.5, 0.5),
    "in this picture, paint a yellow moon on the left side": (0.2, 0.5),
    "add red heart on the left": (0.2, 0.5),
    "add a red heart": (0.5, 0.5),
    "add a red heart to the picture please": (0.5, 0.5),
}
OTHERS = [
    "remove the star on the left", "make the star on the left blue", "paint the star red", "paint a star red",
    "replace the dog on the right with a cat", "make it gray", "make the background blue",
    "add a hat to the dog", "add a ball next to a circle", "put it on the left", "add a star to the left of the dog",
    "add a bird in the sky", "add a star above the circle in the middle", "add a frame", "add noise", "add two hearts",
    "add a heart on the left and a star on the right",
    "add a heart on the left, remove the star",
]  # fmt: skip


@pytest.mark.parametrize("words", ADDING)
def test_a_thing_that_is_added_has_the_place_of_its_words(words: str) -> None:
    assert place_of(words) == ADDING[words]


@pytest.mark.parametrize("words", OTHERS)
def test_other_edits_and_things_beside_others_have_no_place_of_their_own(words: str) -> None:
    assert place_of(words) is None


@pytest.mark.parametrize("wording", ["", "held_out", "other_words"])
def test_the_words_of_scenes_are_understood(wording: str) -> None:
    """In every wording: the things that are added, and nothing else."""
    added = 0
    for seed in range(60):
        example = make_example("edit", seed, split="val", **({wording: True} if wording else {}))
        words = example.instruction.text
        adds = example.record.meta["kind"] == "add"
        (place,) = [share for name, share in PLACES.items() if f" {name}" in words] if adds else [None]
        assert place_of(words) == place, words
        added += adds
    assert added > 8


def test_the_square_lies_where_the_place_is_the_same_share_of_square_and_picture() -> None:
    task = get_task("edit")
    sizes = {
        "on the left": ((0, 20), (50, 0)),
        "at the bottom": ((0, 50), (80, 0)),
        "in the top right corner": ((0, 80), (20, 0)),
    }
    for place, (wide, high) in sizes.items():
        instruction = task.instruct(f"add a red star {place}")
        assert task.window(instruction, (100, 200)) == wide
        assert task.window(instruction, (200, 100)) == high
    assert task.window(task.instruct("make it gray"), (100, 200)) is None
    assert get_task("refer").window(get_task("refer").instruct("the star on the left"), (100, 200)) is None
