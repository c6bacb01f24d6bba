"""Requests whose words tell the task where no pattern of a whole sentence does, and changes that stay edits."""

from __future__ import annotations

import pytest

from instructdiffusion.tasks.evidence import weigh
from instructdiffusion.tasks.understanding import read


@pytest.mark.parametrize(
    ("text", "task", "subjects"),
    [
        ("lantern no, umbrella yes: cutout with clean edges", "segment", ("the umbrella",)),
        ("for the poster we need the boat as a stencil", "segment", ("the boat",)),
        ("alpha matte, horse", "segment", ("the horse",)),
        ("the hearts plus the diamonds, pixel-wise", "segment", ("the hearts", "the diamonds")),
        ("smallest green cup", "refer", ("the smallest green cup",)),
        ("of all of them only the star next to the house, selection please", "refer", ("the star next to the house",)),
        ("cars -> bounding boxes", "detect", ("the cars",)),
        ("give xyxy for birds", "detect", ("the birds",)),
        ("yolo style detections for tree and moon", "detect", ("the tree", "the moon")),
        ("where on her do I find the left elbow", "keypoints", ("the left elbow",)),
        ("landmark please: nose of the dog", "keypoints", ("the nose of the dog",)),
        ("boat? house?", "classify", ("a boat", "a house")),
        ("two classes, cup or apple, decide", "classify", ("a cup", "an apple")),
        ("ugh, speckles wherever I look", "denoise", ()),
        ("shot at night, gritty as sandpaper, tidy that", "denoise", ()),
        ("came out all smudgy, crisper please", "deblur", ()),
        ("the agency's logo sits on my picture", "dewatermark", ()),
        ("faint letters run across the sky, off with them", "dewatermark", ()),
    ],
)
def test_words_tell_the_task(text, task, subjects):
    meant = read(text)
    assert (meant.task, meant.subjects) == (task, subjects)


def test_everything_else_is_the_rest():
    meant = read("keep the fish as it is, mask everything else")
    assert (meant.task, meant.subjects, meant.rest) == ("segment", ("the fish",), True)


@pytest.mark.parametrize(
    "text",
    [
        "let the dog wear a green hat",
        "the cat should be black",
        "swap the boat for a house",
        "I'd rather have a moon there instead of the star",
        "lose the umbrella",
        "sharpen the pencil",
        "blur the house out",
        "give the horse a rider",
        "put a mask on the man",
        "color the mushroom purple",
        "a boat",
        "make it softer",
        "put more grain in",
        "hide the tree behind the house",
        "wipe the moon out of the sky",
        "the van with the logo is green, repaint it blue",
    ],
)
def test_changes_stay_edits(text):
    assert weigh(text) is None and read(text).task == "edit"


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("highlight the apple, down to the last pixel", "the apple"),
        ('segment the category "moon"', "the moon"),
    ],
)
def test_a_subject_is_freed_of_what_is_no_name(text, subject):
    assert read(text).subjects == (subject,)
