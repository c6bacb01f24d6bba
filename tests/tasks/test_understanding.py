"""Free words as tasks: the sentences of development, the models' own wordings, colors, subjects, and refusals."""

from __future__ import annotations

import random
import re
import time
from pathlib import Path

import numpy as np
import pytest

from instructdiffusion.imaging.colors import far_colors
from instructdiffusion.tasks import TASKS
from instructdiffusion.tasks.understanding import read, understand
from instructdiffusion.tasks.wordings import reworded


def sentences() -> list[tuple[str, str]]:
    """(task, text) of every line of development.txt."""
    pairs, task = [], ""
    for line in (Path(__file__).parent / "development.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            task = line.strip("[]")
        elif not line.startswith("#"):
            pairs.append((task, line))
    return pairs


EVERY = sentences()
SUBJECTS: dict[str, tuple[str, ...]] = {
    "segment": ("the star", "all dogs", "the red car", "the people"),
    "refer": ("the leftmost star", "the small star left of the circle", "the man in the red shirt"),
    "keypoints": ("the left shoulder", "the right knee", "the tail tip of the dog"),
    "align": ("the left eye", "the chin", "the left mouth corner"),
    "detect": ("the car", "all dogs", "the green apple"),
    "classify": ("a dog", "a cat", "a star"),
    "edit": ("add a red star on the left", "remove the small dog left of the circle", "make the star yellow",
             "turn the cat into a dog", "make it darker", "give the man a blue shirt", "paint the car red",
             "change the background to blue", "put a blue circle on the right", "color the dog brown"),
}  # fmt: skip


@pytest.mark.parametrize(("task", "text"), EVERY, ids=[text for _, text in EVERY])
def test_sentences_are_the_tasks_that_they_are(task: str, text: str) -> None:
    assert read(text).task == task


@pytest.mark.parametrize("name", list(TASKS))
def test_the_models_own_wordings_are_what_they_ask_for(name: str) -> None:
    """Every template and paraphrase, and training's other wordings, polite ones among them."""
    task, wrong = TASKS[name], []
    for seed in range(150):
        rng = random.Random(seed)
        pool = SUBJECTS.get(name)
        count = (
            rng.randint(2 if name == "classify" else 1, 3)
            if name in ("keypoints", "align", "classify")
            else 1
        )
        subjects = None if pool is None else rng.sample(pool, count)
        made = task.instruct(subjects, rng=rng, held_out=seed % 3 == 0)
        text = reworded(task, made, rng) if seed % 3 == 1 else made.text
        meant = read(text)
        same = meant.task == name
        if same and task.palette:
            same = bare(meant.subjects) == bare(made.subjects) and meant.colors == tuple(
                c.name for c in made.colors
            )
        wrong += [] if same else [(text, meant)]
    # A sentence that both have ("highlight the star with a green layer") is the other's where it is its template.
    assert len(wrong) <= (4 if name in ("segment", "refer", "keypoints") else 0), wrong[:5]


def bare(subjects: tuple[str, ...]) -> tuple[str, ...]:
    turned = (re.sub(r"^(?:the )?(\w+)'s (.+)", r"\2 of the \1", s) for s in subjects)
    return tuple(re.sub(r"^(?:all the|the|all|an|a) ", "", s) for s in turned)


@pytest.mark.parametrize(
    ("text", "subjects", "colors"),
    [
        ("segment the star in blue", ("the star",), ("blue",)),
        ("Segment my dog, please!", ("the dog",), None),
        ("segment the star and the circle", ("the star", "the circle"), None),
        ("mark the star in red and the circle in blue", ("the star", "the circle"), ("red", "blue")),
        ("find the dog and cat", ("the dog", "the cat"), None),
        ("segment the black and white cat", ("the black and white cat",), None),
        ("segment the star between the dog and the cat", ("the star between the dog and the cat",), None),
        ("circle his left eye", ("the left eye",), None),
        ("mark the left and right eye", ("the left eye", "the right eye"), None),
        (
            "where are the man's shoulders?",
            ("the left shoulder of the man", "the right shoulder of the man"),
            None,
        ),
        ("is it a dog, cat or an owl?", ("a dog", "a cat", "an owl"), None),
        ("draw a green box around every car", ("the car",), ("green",)),
        ("which star is the biggest?", ("the biggest star",), None),
        ("which dog is left of the tree?", ("the dog left of the tree",), None),
    ],
)
def test_subjects_and_colors(text: str, subjects: tuple[str, ...], colors: tuple[str, ...] | None) -> None:
    made = understand(text)
    assert made.subjects == subjects
    assert colors is None or tuple(c.name for c in made.colors) == colors


def test_what_was_understood_is_said() -> None:
    assert understand("segment the star in blue").understanding == "understood as segment: 'the star' in blue"
    assert understand("remove the noise").understanding == "understood as denoise"
    assert understand("make it night").understanding == "understood as an edit"
    several = understand("where are the dogs and the cats").understanding
    assert several.startswith("understood as segment: 'the dogs' in ") and " and 'the cats' in " in several
    assert "everything but 'the dog' in" in understand("segment everything but the dog").understanding


def test_a_color_that_the_task_does_not_draw_in_is_chosen_and_said() -> None:
    image = np.full((32, 32, 3), (250, 10, 10), np.uint8)
    made = understand("segment the star in pink", image)
    assert made.color == far_colors(image, None, TASKS["segment"].palette)[0]
    assert "pink is no color that segment draws in" in made.understanding
    assert understand("circle the left eye in magenta").colors[0].name == "magenta"


def test_colors_stand_out_from_the_picture() -> None:
    for rgb in ((250, 10, 10), (10, 10, 250), (5, 5, 5)):
        image = np.full((32, 32, 3), rgb, np.uint8)
        assert (
            understand("where is the star?", image).color
            == far_colors(image, None, TASKS["segment"].palette)[0]
        )


def test_an_edit_keeps_its_words() -> None:
    for text in ("make the star blue", "Paint the car red", "remove everything except the dog"):
        made = understand(text)
        assert (made.task, made.text, made.subjects) == ("edit", text.lower(), (text.lower(),))


def test_an_explicit_edit_and_a_published_checkpoints_words_are_never_rerouted() -> None:
    for made in (understand("segment the star", task="edit"), understand("segment the star", verbatim=True)):
        assert (made.task, made.text, made.understanding) == ("edit", "segment the star", "")


@pytest.mark.parametrize(
    ("task", "text", "subjects"),
    [
        ("segment", "the star", ("the star",)),
        ("segment", "segment the star", ("the star",)),
        ("segment", "the star\nthe circle", ("the star", "the circle")),
        ("segment", "where is the left eye?", ("the left eye",)),
        ("refer", "find the dog on the left", ("the dog on the left",)),
        ("detect", "where are the cars?", ("the cars",)),
        ("detect", "the box", ("the box",)),
        ("keypoints", "the nose", ("the nose",)),
        ("align", "both eyes", ("the left eye", "the right eye")),
        ("classify", "a dog\na cat", ("a dog", "a cat")),
        ("classify", "is it a dog or a cat?", ("a dog", "a cat")),
    ],
)
def test_words_with_a_task_are_its_subject_or_a_sentence(
    task: str, text: str, subjects: tuple[str, ...]
) -> None:
    made = understand(text, task=task)
    assert (made.task, made.subjects) == (task, subjects) and len(made.colors) == len(subjects)


@pytest.mark.parametrize(
    ("text", "task", "said"),
    [
        (" ", None, "empty"),
        ("the star", "juggle", "unknown task"),
        ("detect everything but the dog", None, "segment everything but the dog"),
        ("everything but the dog", "refer", "everything but"),
        ("segment all stars except the red one", None, "leaves something out"),
    ],
)
def test_what_cannot_be_answered_is_refused(text: str, task: str | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        understand(text, task=task)


def test_everything_but_a_thing_is_the_rest() -> None:
    for text in (
        "segment everything but the dog",
        "mask all except my dog",
        "select everything that isn't the dog",
    ):
        made = understand(text)
        assert (made.task, made.subjects, made.complement) == ("segment", ("the dog",), True)


def test_long_texts_are_edits_at_once() -> None:
    start = time.perf_counter()
    for text in ("segment the star, " * 5000, "mark the dog in red and the cat in blue and " * 6, "a " * 140):
        read(text)
    assert read("segment the star " * 5000).task == "edit"
    assert time.perf_counter() - start < 10
