"""Kinds of phrases that are easily misread: colored shapes, real words, points, exceptions, lists of subjects."""

from __future__ import annotations

import numpy as np
import pytest

from instructdiffusion.imaging.colors import MASK_COLORS
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


REPHRASED = [
    ("kettles, mask", "segment", ("the kettles",)),
    ("the walrus - please mask it", "refer segment", ("the walrus",)),
    ("acorns: boxes", "detect", ("the acorns",)),
    ("the parked scooters need a box around them", "detect", ("the parked scooters",)),
    ("the leftmost pear, could you shade it in?", "refer", ("the leftmost pear",)),
    ("the nurse's left wrist, just a point", "keypoints", ("the left wrist of the nurse",)),
    ("I want to edit later, so first mask the lantern", "segment", ("the lantern",)),
    ("there are five vases; mask the right one", "refer segment", ("the right one",)),
    ("in this portrait mark the chin", "align", ("the chin",)),
    ("for each otter draw a box", "detect", ("the otter",)),
    ("of the three boats, mark the longest one", "refer", ("the longest one",)),
    ("generate a mask containing the shutters", "segment", ("the shutters",)),
    ("tap the spot where the right elbow is", "keypoints", ("the right elbow",)),
    ("plot the left knee and the right knee", "keypoints", ("the left knee", "the right knee")),
    ("stick pins on the left eyebrow and on the chin", "align", ("the left eyebrow", "the chin")),
    ("run a detector on buoys", "detect", ("the buoys",)),
    ("use boxes to mark the cranes", "detect", ("the cranes",)),
    ("I need detections of the barrels", "detect", ("the barrels",)),
    ("my goal: a mask of the chimney", "segment", ("the chimney",)),
    ("yolo boxes for yaks", "detect", ("the yaks",)),
    ("binary mask -> pylons", "segment", ("the pylons",)),
    ("object detector on lizards", "detect", ("the lizards",)),
    ("one box per acorn", "detect", ("the acorn",)),
    ("would it be possible to get a mask of the windmill?", "segment", ("the windmill",)),
    ("how do I get a mask of the violin?", "segment", ("the violin",)),
    ("can this tool detect moles?", "detect", ("the moles",)),
    ("what would the bounding box of the barn be?", "detect", ("the barn",)),
    ("whereabouts is the left eyebrow?", "align", ("the left eyebrow",)),
    ("can you work out where the chin is?", "align", ("the chin",)),
    ("please to segment the anchor", "segment", ("the anchor",)),
    ("please you detect the tram", "detect", ("the tram",)),
    ("please make for me the mask of the harp", "segment", ("the harp",)),
    ("me need mask for the plough", "segment", ("the plough",)),
    ("make box on the goose", "detect", ("the goose",)),
    ("segment the zeppelin \U0001f64f", "segment", ("the zeppelin",)),
    ("give me a mask of the trumpet thx", "segment", ("the trumpet",)),
    ("mark with a red dot the swimmer's left ankle", "keypoints", ("the left ankle of the swimmer",)),
    ("keypoints: left wrist + right wrist", "keypoints", ("the left wrist", "the right wrist")),
    ("keypoints: left hip; right hip", "keypoints", ("the left hip", "the right hip")),
    ("the keypoint of the fetlock", "keypoints", ("the fetlock",)),
    ("annotate the left eyebrow in blue and the chin in green", "align", ("the left eyebrow", "the chin")),
    ("show me which is the tallest mast", "refer", ("the tallest mast",)),
    ("detect if there is any lynx and box it", "detect", ("the lynx",)),
    ("detect the following: a rake, a spade and a hoe", "detect", ("the rake", "the spade", "the hoe")),
    ("is it possible to denoise my photo?", "denoise", ()),
    ("the sensor noise is terrible", "denoise", ()),
    ("noise everywhere, sadly", "denoise", ()),
    ("is there any way to unblur this?", "deblur", ()),
    ("my hands shook on that bridge", "deblur", ()),
    ("the focus was missed, can you save the portrait", "deblur", ()),
    ("reverse the motion blur from the passing train", "deblur", ()),
    ("crisp it up", "deblur", ()),
    ("image sharp please", "deblur", ()),
    ("a watermark is ruining my wedding picture", "dewatermark", ()),
    ("get the ghostly letters off this page", "dewatermark", ()),
    ("remove the see-through writing", "dewatermark", ()),
    ("am I looking at a lynx or a bobcat?", "classify", ("a lynx", "a bobcat")),
    ("out of rake, spade and hoe, which is it?", "classify", ("a rake", "a spade", "a hoe")),
    ("which of harp, lute and lyre is this", "classify", ("a harp", "a lute", "a lyre")),
    ("my aunt says it's a crow, I say it's a raven. Which is it?", "classify", ("a crow", "a raven")),
    ("classes = [rake, spade, hoe]", "classify", ("a rake", "a spade", "a hoe")),
    ("choose the best match from harp|lute|lyre", "classify", ("a harp", "a lute", "a lyre")),
    ("it's either a crow or a raven, right? Which?", "classify", ("a crow", "a raven")),
    ("which is depicted here, an elm or an ash?", "classify", ("an elm", "an ash")),
]  # fmt: skip


@pytest.mark.parametrize(("text", "tasks", "subjects"), REPHRASED, ids=[text for text, _, _ in REPHRASED])
def test_requests_said_another_way_are_the_same_requests(
    text: str, tasks: str, subjects: tuple[str, ...]
) -> None:
    meant = read(text)
    assert meant.task in tasks.split() and meant.subjects == subjects


@pytest.mark.parametrize(
    "text",
    [
        "tint the sky orange", "color the house blue", "the cat, make it black", "umbrellas, remove them",
        "there are three bottles; remove the left one", "for each window draw a curtain", "touch up her makeup",
        "the sky needs more clouds", "run a race track through the field", "is there a way to add snow",
        "please you add a tree", "make hat on the cat", "add ghostly text saying boo", "put the cat in a box",
        "my hand is cut off, extend the picture", "the wall, color it pink", "make a box on the table",
        "replace the sign with one that says options: a, b, c", "make everything smeared like an oil painting",
        "how do I get a bigger nose?", "can this thing turn day into night?", "plot a course on the map",
    ],
)  # fmt: skip
def test_changes_said_another_way_stay_edits(text: str) -> None:
    assert read(text).task == "edit"
