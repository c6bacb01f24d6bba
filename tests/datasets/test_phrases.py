"""Referring phrases: they denote exactly one object, with a margin, or none."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from instructdiffusion.datasets.synthetic.compose import canonical_item, make_item, place
from instructdiffusion.datasets.synthetic.phrases import Phrase, denotes, refer, refer_to_nothing


def item(category, color, x, y, size="small"):
    return canonical_item(category, color, 14.0, size).moved(x, y)


STARS = [
    item("star", "red", 10, 12),
    item("star", "red", 30, 50, "big"),
    item("circle", "red", 50, 14),
    item("star", "gray", 34, 20),
]


@pytest.mark.parametrize(
    ("phrase", "words", "rows"),
    [
        (Phrase("circle"), "the circle", [2]),
        (Phrase("star", color="red", size="big"), "the big red star", [1]),
        (Phrase("star", color="red"), "the red star", [0, 1]),
        (Phrase("star", side="leftmost"), "the leftmost star", [0]),
        (Phrase("star", side="rightmost"), "the rightmost star", None),  # 34 and 30: too close to call
        (Phrase("star", side="bottom"), "the star at the bottom", [1]),
        (
            Phrase("star", "red", relation="below", anchor=Phrase("star", "gray")),
            "the red star below the gray star",
            [1],
        ),
        (
            Phrase("star", relation="left of", anchor=Phrase("circle")),
            "the star left of the circle",
            None,
        ),  # one is diagonal
        (
            Phrase("circle", relation="left of", anchor=Phrase("star", "gray")),
            "the circle left of the gray star",
            [],
        ),
        (Phrase("circle", relation="right of", anchor=Phrase("star")), "the circle right of the star", None),
        (Phrase("heart"), "the heart", []),
    ],
)
def test_denotes(phrase, words, rows):
    assert phrase.words == words
    assert denotes(phrase, STARS) == rows


def test_persons_are_told_apart_by_clothes():
    assert Phrase("man", "red").words == "the man in the red shirt"
    assert Phrase("woman", "blue", side="leftmost").words == "the leftmost woman in the blue dress"


def test_what_is_topmost_but_low_down_is_not_at_the_top():
    low = [item("star", "red", 10, 40), item("star", "red", 40, 55)]
    assert denotes(Phrase("star", side="topmost"), low) is None


@pytest.mark.parametrize("kind", ["attribute", "position", "relation"])
def test_phrases_denote_what_they_were_made_for(kind):
    made = nothing = 0
    for seed in range(80):
        rng = random.Random(seed)
        pool = [rng.choice(("star", "circle", "dog")) for _ in range(2)]
        items = place(
            rng, [make_item(rng, rng.choice(pool), rng.choice(("white", "black")), "small") for _ in range(4)]
        )
        for row in range(len(items)):
            phrase = refer(rng, items, row, kind)
            if phrase is not None:
                made += 1
                assert denotes(phrase, items) == [row]
                if phrase.side in ("leftmost", "rightmost"):
                    rivals = [o.x for o in items if o is not items[row] and phrase.fits(o)]
                    assert rivals and all(abs(items[row].x - x) >= 5 for x in rivals)
                if phrase.anchor is not None:
                    (anchor,) = denotes(phrase.anchor, items)
                    dx, dy = items[row].x - items[anchor].x, items[row].y - items[anchor].y
                    along = {"left of": -dx, "right of": dx, "above": -dy, "below": dy}[phrase.relation]
                    assert along >= 5 and along >= 0.7 * max(abs(dx), abs(dy))
        absent = refer_to_nothing(rng, items, kind)
        if absent is not None:
            nothing += 1
            assert denotes(absent, items) == []
    assert made > 40 and nothing > 15


def test_an_object_changes_nothing_about_the_words_of_its_size():
    bigger = [replace(i, length=i.length * 1.1) for i in STARS]
    assert denotes(Phrase("star", size="big"), bigger) == [1]
