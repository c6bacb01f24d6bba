"""Spatial phrases: taken apart, and the thing they mean told by its place."""

from __future__ import annotations

import numpy as np
import pytest

from instructdiffusion.tasks import get_task
from instructdiffusion.tasks.spatial import (
    DOWN,
    LEFT,
    RIGHT,
    UP,
    SpatialPhrase,
    candidates,
    largest_part,
    parse_spatial,
)


def box(x: int, y: int, width: int = 8, height: int = 8, canvas: tuple[int, int] = (60, 100)) -> np.ndarray:
    """A mask bool [60, 100] of a rectangle from (x, y)."""
    mask = np.zeros(canvas, bool)
    mask[y : y + height, x : x + width] = True
    return mask


@pytest.mark.parametrize(
    ("phrase", "noun", "direction", "anchor"),
    [
        ("the rightmost star", "the star", RIGHT, ""),
        ("leftmost small red dog", "the small red dog", LEFT, ""),
        ("the man in the red shirt at the top", "the man in the red shirt", UP, ""),
        ("The Boat at the bottom", "the boat", DOWN, ""),
        ("the cup on the far right", "the cup", RIGHT, ""),
        ("the dog left of the tree", "the dog", LEFT, "the tree"),
        ("the big dog to the right of a small red star", "the big dog", RIGHT, "a small red star"),
        ("the star under the rightmost dog", "the star", DOWN, "the rightmost dog"),
    ],
)
def test_a_phrase_is_taken_apart(phrase, noun, direction, anchor):
    assert parse_spatial(phrase) == SpatialPhrase(noun, direction, anchor)


@pytest.mark.parametrize(
    "phrase",
    ["the red star", "the biggest dog", "the bird above", "the man in the blue shirt", "the star near the dog", ""],
)
def test_other_phrases_are_left_whole(phrase):
    assert parse_spatial(phrase) is None


@pytest.mark.parametrize(("direction", "number"), [(LEFT, 0), (RIGHT, 2), (UP, 2), (DOWN, 1)])
def test_the_outermost_is_meant(direction, number):
    things = [box(5, 26), box(40, 45), box(80, 5)]
    assert SpatialPhrase("the star", direction).choose(things) == number


def test_what_is_topmost_and_low_down_is_not_at_the_top():
    assert SpatialPhrase("the star", UP).choose([box(5, 40), box(40, 48)]) is None
    assert SpatialPhrase("the star", LEFT).choose([]) is None


def test_of_two_as_far_out_the_likely_one_is_meant():
    things = [box(6, 10), box(5, 40), box(60, 20)]
    phrase = SpatialPhrase("the star", LEFT)
    assert phrase.choose(things) == 1 and phrase.choose(things, likely=0) == 0
    assert phrase.choose(things, likely=2) == 1


def test_what_stands_so_to_the_anchor_is_meant():
    anchor = box(50, 26)
    things = [box(10, 24), box(80, 30), box(50, 2), box(51, 26)]
    for direction, number in ((LEFT, 0), (RIGHT, 1), (UP, 2), (DOWN, None)):
        assert SpatialPhrase("the dog", direction, "the tree").choose(things, anchor) == number


def test_things_that_touch_are_parted_by_what_was_pointed_out():
    two, one = box(10, 10, width=20), box(10, 10, width=8)
    things = candidates([two, box(60, 10), box(0, 0, 2, 2)], one)
    assert things[0] is one and len(things) == 3  # the stray mark is none of them
    assert sorted(int(t.sum()) for t in things) == [64, 64, 96]
    assert not (things[0] & things[1]).any()


def test_what_was_pointed_out_stands_for_its_region_or_beside_them():
    region, over_it = box(10, 10), box(9, 10)
    (only,) = candidates([region], over_it)
    assert only is over_it
    elsewhere = candidates([region], other := box(70, 40))
    assert elsewhere[0] is other and elsewhere[1] is region
    assert candidates([region], np.zeros_like(region)) == [region]


def test_each_of_several_that_were_pointed_out_is_one():
    left, right, stray = box(10, 10), box(70, 40), box(40, 0, 2, 2)
    things = candidates([left, right, box(40, 20)], left | right | stray)
    assert [int(thing.sum()) for thing in things] == [64, 64, 64]
    assert (things[0] == left).all() and (things[1] == right).all()
    assert SpatialPhrase("the star", RIGHT).choose(things) == 1


def test_of_several_that_were_pointed_out_those_of_the_kind_count():
    left, right, elsewhere = box(10, 10), box(70, 40), box(85, 5)
    assert [int(np.nonzero(t)[1].min()) for t in candidates([left, right], left | elsewhere)] == [10, 70]
    (first, second) = candidates([], left | elsewhere)  # nothing to tell by
    assert (first | second == left | elsewhere).all()


def test_pieces_of_one_region_are_one_thing():
    pieces = box(10, 10, width=6) | box(18, 10, width=6)
    (only,) = candidates([box(10, 10, width=14)], pieces)
    assert only is pieces


def test_the_largest_part_is_what_something_is_seen_from():
    large, small = box(10, 10), box(70, 40, 4, 4)
    assert (largest_part(large | small) == large).all()
    assert not largest_part(np.zeros_like(large)).any()


def test_a_little_below_the_middle_is_still_at_the_top():
    assert SpatialPhrase("the star", UP).choose([box(5, 28)]) == 0
    assert SpatialPhrase("the star", UP).choose([box(5, 31)]) is None


def test_refer_alone_tells_one_thing_by_its_place():
    refer, segment = get_task("refer"), get_task("segment")
    assert refer.spatial_phrase(refer.instruct("the rightmost star")) == SpatialPhrase("the star", RIGHT)
    assert refer.spatial_phrase(refer.instruct(["the rightmost star", "the dog"])) is None
    assert segment.spatial_phrase(segment.instruct("the rightmost star")) is None
