"""Kinds of phrases that are easily misread: colored shapes, real words, points, exceptions, lists of subjects."""

from __future__ import annotations

import numpy as np
import pytest

from instructdiffusion.color import MASK_COLORS
from instructdiffusion.tasks import TASKS
from instructdiffusion.tasks.sentences import spelled
from instructdiffusion.tasks.understanding import read, understand

THINGS = ("circle", "square", "ring", "dot", "point", "box", "rectangle", "frame")


@pytest.mark.parametrize("thing", THINGS)
@pytest.mark.parametrize("color", ["red", "green", "orange"])
@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("where is the {}?", "segment"),
        ("mask the {}", "segment"),
        ("find the {}", "segment"),
        ("detect the {}", "detect"),
        ("draw a box around the {}", "detect"),
        ("circle the {}", "detect"),
        ("point to the {}", "segment"),
        ("can you see the {}?", "segment"),
        ("let me see the {}", "segment"),
        ("in this picture, highlight the {}", "segment"),
    ],
)
def test_a_colored_shape_is_a_thing(thing: str, color: str, text: str, task: str) -> None:
    meant = read(text.format(f"{color} {thing}"))
    assert (meant.task, meant.subjects) == (task, (f"the {color} {thing}",)) and not any(meant.colors)


@pytest.mark.parametrize(
    ("text", "task", "subjects", "colors"),
    [
        ("put a red circle on the left shoulder", "keypoints", ("the left shoulder",), ("red",)),
        ("draw a blue box around the dog", "detect", ("the dog",), ("blue",)),
        ("mark the chin with a yellow dot", "align", ("the chin",), ("yellow",)),
        ("a green ring around the car", "detect", ("the car",), ("green",)),
        ("surround the green circle with a red box", "detect", ("the green circle",), ("red",)),
        ("find the cat and draw a green frame around it", "detect", ("the cat",), ("green",)),
        ("segment the red square in blue", "segment", ("the red square",), ("blue",)),
        ("put a yellow mask over the blue ring", "segment", ("the blue ring",), ("yellow",)),
    ],
)
def test_a_mark_that_is_to_be_drawn_names_the_color(
    text: str, task: str, subjects: tuple[str, ...], colors: tuple[str, ...]
) -> None:
    meant = read(text)
    assert (meant.task, meant.subjects, meant.colors) == (task, subjects, colors)


def test_a_question_for_a_thing_of_a_color_says_it_before_the_thing() -> None:
    assert read("which circle is red?").subjects == ("the red circle",)
    assert read("how many green boxes do you see?").subjects == ("the green boxes",)


def test_categories_keep_their_colors() -> None:
    assert read("is it a red circle or a blue square?").subjects == ("a red circle", "a blue square")
    assert read("what is this, a green ring or a pink dot?").subjects == ("a green ring", "a pink dot")


@pytest.mark.parametrize("verb", ["paint", "color", "tint", "dye"])
@pytest.mark.parametrize("thing", ["circle", "square", "dot", "car"])
def test_a_thing_that_gets_a_color_is_edited(verb: str, thing: str) -> None:
    assert read(f"{verb} the red {thing} yellow").task == "edit"


def test_real_words_are_not_set_right() -> None:
    for word in ("rain", "rainy", "moth", "gain", "elect", "coroner", "denise", "bean", "hose", "horse", "task"):
        assert spelled(f"make the {word} bigger") == f"make the {word} bigger"
    assert read("make it rain").task == read("let it rain").task == "edit"
    assert read("is it a moth or a bee?").subjects == ("a moth", "a bee")
    assert spelled("segement the left sholder") == "segment the left shoulder"


@pytest.mark.parametrize(
    ("text", "subjects"),
    [
        ("keypoint of the right elbow", ("the right elbow",)),
        ("keypoint for the left knee", ("the left knee",)),
        ("joint of the left ankle", ("the left ankle",)),
        ("get keypoints for left shoulder and right shoulder", ("the left shoulder", "the right shoulder")),
        ("mark the neck of the horse and its left front hoof", ("the neck of the horse", "the left front hoof")),
        ("show the nose of the dog and its left paw", ("the nose of the dog", "the left paw")),
    ],
)
def test_points_that_are_named_are_those_asked_for(text: str, subjects: tuple[str, ...]) -> None:
    assert (read(text).task, read(text).subjects) == ("keypoints", subjects)


def test_points_of_a_figure_without_names_are_the_usual_ones() -> None:
    assert len(read("joints of the man").subjects) == 5
    assert read("landmarks of the chin").subjects == ("the chin",)


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("sharpen the image but keep the noise", "deblur"),
        ("remove the blur and leave the grain", "deblur"),
        ("denoise the photo without touching the watermark", "denoise"),
        ("keep the grain but remove the watermark", "dewatermark"),
        ("try to segment the dog", "segment"),
        ("try to locate the cars", "detect"),
        ("bounding box: train", "detect"),
        ("bbox dog", "detect"),
        ("bboxes: cars", "detect"),
    ],
)
def test_what_is_said_is_what_is_asked(text: str, task: str) -> None:
    assert read(text).task == task


LISTS = [
    ("the red circle\nthe blue star", ("the red circle", "the blue star")),
    ("the red circle and the blue star", ("the red circle", "the blue star")),
    ("The red circle, the blue star.", ("the red circle", "the blue star")),
    ("dog, cat and bird", ("dog", "cat", "bird")),
    ("a\nb", ("a", "b")),
    ("the man in the red hat and the woman in the blue dress",
     ("the man in the red hat", "the woman in the blue dress")),
    ("the man in the red and blue shirt", ("the man in the red and blue shirt",)),
    ("the star between the circle and the square", ("the star between the circle and the square",)),
    ("the red and the blue star", ("the red star", "the blue star")),
    ("the red and blue star", ("the red and blue star",)),
    ("the dog;the cat,the bird", ("the dog", "the cat", "the bird")),
    ("salt and pepper", ("salt and pepper",)),
    ("the black and white cat", ("the black and white cat",)),
    ("the dog next to the cat and the bird", ("the dog next to the cat and the bird",)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "subjects"), LISTS, ids=[text for text, _ in LISTS])
@pytest.mark.parametrize("name", ["segment", "refer", "detect"])
def test_one_text_lists_subjects_by_lines_and_by_and(name: str, text: str, subjects: tuple[str, ...]) -> None:
    made = TASKS[name].instruct(text)
    assert made.subjects == subjects and len(made.text.split("\n")) == len(made.colors) == len(subjects)
    assert understand(text, task=name).subjects == subjects
    assert len(TASKS[name].instruct((" ".join(text.split()),)).subjects) == 1  # a sequence is as it is


def test_points_and_categories_are_a_line_each() -> None:
    assert TASKS["keypoints"].instruct("the nose\nthe left knee").subjects == ("the nose", "the left knee")
    assert TASKS["classify"].instruct("a dog\na cat").subjects == ("a dog", "a cat")


@pytest.mark.parametrize(
    "text", ["not the circle", "no circle", "everything that is not the circle", "what is not the circle"]
)
def test_a_subject_that_is_not_meant_is_the_rest(text: str) -> None:
    made = TASKS["segment"].instruct(text)
    assert made.complement and made.subjects == ("the circle",)
    assert read(f"segment {text}").rest
    for name in ("refer", "detect", "keypoints"):
        with pytest.raises(ValueError, match="leaves something out|everything but"):
            TASKS[name].instruct(text)
        with pytest.raises(ValueError, match="leaves something out|everything but"):
            understand(text, task=name)
    assert not TASKS["detect"].instruct("no parking sign").complement


def test_a_color_of_one_among_several_is_its_own() -> None:
    image = np.full((16, 16, 3), 128, np.uint8)
    made = understand("mark the star in blue and the circle", image)
    assert made.subjects == ("the star", "the circle") and made.colors[0].name == "blue"
    assert made.colors[1] in MASK_COLORS and made.colors[1].name != "blue"
    assert "color of its own" not in made.understanding
    for text in ("mask the red circle and the blue star", "find the red dot and the red box", "segment the red ring"):
        assert "color of its own" not in understand(text).understanding
    for text in ("mask the star and the dog in red", "draw a red box around the dog and the cat"):
        assert "(each has a color of its own, not all red)" in understand(text).understanding
