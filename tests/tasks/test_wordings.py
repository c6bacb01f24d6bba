"""Other words for what a task asks: as many as people have, none of them held out, the answer's parts all named."""

from __future__ import annotations

import random
import re

import pytest

from instructdiffusion.datasets.synthetic.examples import make_example
from instructdiffusion.tasks import TASKS
from instructdiffusion.tasks.wordings import reworded

MANY = 1500


def plain(subject: str) -> str:
    return re.sub(r"^(all the|the|all|a|an) ", "", subject)


def test_every_task_has_some():
    assert all(task.wordings for task in TASKS.values())


@pytest.mark.parametrize("name", TASKS)
def test_thousands_of_sentences_and_none_held_out(name):
    task = TASKS[name]
    asked = [make_example(name, seed, size=32, level=1).instruction for seed in range(20)]
    held_out = {task.fill(p, i.subjects, i.colors) for p in task.paraphrases for i in asked}
    templates = {task.fill(t, i.subjects, i.colors) for t in task.templates for i in asked}
    made = {reworded(task, asked[seed % 20], random.Random(seed)) for seed in range(MANY)}
    # Nor with "please" before it.
    assert not [text for text in made if any(held in text for held in held_out)]
    assert any(text.endswith(".") for text in made)
    assert len(made - templates) > MANY / 4
    assert all(text == " ".join(text.split()) and not set("()|[]{}") & set(text) for text in made)


def test_a_held_out_sentence_would_be_made_if_it_were_not_refused(monkeypatch):
    task = TASKS["segment"]
    asked = task.instruct("the star", ["red"])
    held_out = "use red to mark the pixels of the star"
    made = [reworded(task, asked, random.Random(seed)) for seed in range(4 * MANY)]
    monkeypatch.setattr(type(task), "paraphrases", ())
    free = [reworded(task, asked, random.Random(seed)) for seed in range(4 * MANY)]
    assert held_out in free and held_out not in made


@pytest.mark.parametrize("name", [n for n in TASKS if TASKS[n].max_subjects and n != "edit"])
def test_each_subject_stands_with_its_color(name):
    """Subjects and colours come in their order, so that no colour goes to another subject."""
    for seed in range(200):
        asked = make_example(name, seed, size=32, level=1).instruction
        text = reworded(TASKS[name], asked, random.Random(seed))
        colors = [c.name for c in asked.colors]
        # The subjects' own colours ("the red star") are no answer's.
        rest = text
        for subject in asked.subjects:
            rest = rest.replace(plain(subject).partition(" of ")[2] or plain(subject), "")
        named = [w for w in re.findall(r"[a-z]+", rest) if w in colors]
        assert list(dict.fromkeys(named)) == colors, text
        heads = [re.search(rf"\b{plain(s).partition(' of ')[0]}\b", text) for s in asked.subjects]
        assert all(heads), text
        places = [head.start() for head in heads]
        assert places == sorted(places), text


def test_a_joint_of_somebody_is_somebody_s_joint():
    task = TASKS["keypoints"]
    asked = task.instruct("the nose of the man", ["red"])
    made = [reworded(task, asked, random.Random(seed)) for seed in range(300)]
    assert any("the man's nose" in text for text in made) and any(
        "the nose of the man" in text for text in made
    )


@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("refer", "mark the pixels of {subject} in {color}"),
        ("keypoints", "put [a {color} circle on {subject}]"),
        ("detect", "draw a {color} bounding box around {subject}"),
        ("deblur", "make it sharper"),
        ("dewatermark", "remove the watermark"),
    ],
)
def test_what_the_project_is_introduced_with_is_among_them(name, template):
    """A pattern is a regular expression but for its braces, brackets and question marks."""
    patterns = [re.sub(r"([{}\[\]?.])", r"\\\1", pattern) for pattern in TASKS[name].wordings]
    assert any(re.fullmatch(pattern, template) for pattern in patterns)


def test_scenes_go_on_asking_in_templates():
    for name in TASKS:
        example = make_example(name, 3, size=32, level=1)
        i = example.instruction
        assert i.text in {TASKS[name].fill(t, i.subjects, i.colors) for t in TASKS[name].templates}
