"""What people say, written by hand for testing only: 200 sentences a task, none of them one that training makes.

`phrasings/<task>.tsv` holds a sentence, its subjects joined by " | ", and its colours likewise, as the sentence says
them. A subject that is left open ("" for an edit that is wrapped in politeness) is not compared. Sentences that two
careful people would take for different tasks are left out.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from instructdiffusion.imaging.colors import MARK_COLORS, MASK_COLORS
from instructdiffusion.tasks import TASKS
from instructdiffusion.tasks.wordings import _CLOSINGS, _OPENINGS

FOLDER = Path(__file__).parent / "phrasings"
ROWS, FRAMES = 200, 60
RIGHT_TASK, RIGHT_SUBJECTS, RIGHT_COLORS = 0.90, 0.80, 0.80

# Words before a noun that do not change what is meant.
_DETERMINERS = re.compile(
    r"^(?:(?:all of|all|both|every|each|any|the|a|an|my|our|his|her|its|this|that|these|those)\s+)+"
)
_OWNED = re.compile(r"^(.+)['\u2019]s (.+)$")
_ON_THE_FACE = re.compile(r" (?:of|on|in) (?:the|this|a|my|his|her) (?:face|portrait)$")
_TRAINING_ARTICLES = re.compile(r"^(?:all the|the|all|a|an) ")
# "Both eyes" are the left eye and the right eye.
_IMPLIED = {"the", "of", "left", "right"}
_COLOR_NAMES = sorted({c.name for c in MASK_COLORS + MARK_COLORS})
_OPENED = f"(?:{'|'.join(map(re.escape, _OPENINGS))})?"
_CLOSED = f"(?:{'|'.join(map(re.escape, _CLOSINGS))})?"

Row = tuple[str, tuple[str, ...], tuple[str, ...]]


@cache
def rows(task: str) -> tuple[Row, ...]:
    lines = (FOLDER / f"{task}.tsv").read_text("utf-8").splitlines()
    cells = [line.split("\t") for line in lines]
    return tuple((text, _parts(subjects), _parts(colors)) for text, subjects, colors in cells)


def _parts(cell: str) -> tuple[str, ...]:
    return tuple(cell.split(" | ")) if cell else ()


def bare(sentence: str) -> str:
    """A sentence without what two spellings of it differ in."""
    return " ".join(sentence.lower().split()).strip(" .!?")


def meant(subject: str) -> str:
    """A subject without what does not change its meaning: "The man's left knee." is "left knee of man"."""
    words = _ON_THE_FACE.sub("", bare(subject))
    owned = _OWNED.match(words)
    if owned:
        words = f"{_DETERMINERS.sub('', owned[2])} of {owned[1]}"
    head, of, owner = _DETERMINERS.sub("", words).partition(" of ")
    return head + of + _DETERMINERS.sub("", owner)


def frame(row: Row) -> str:
    """A sentence with a blank for each subject."""
    text = bare(row[0])
    for subject in row[1]:
        text = text.replace(bare(subject), "_") if bare(subject) != text else text
    return text


def trained(task: str, row: Row) -> str:
    """The template, paraphrase or pattern of training that makes the sentence from its own subjects, or ""."""
    text, subjects = " ".join(row[0].lower().split()).rstrip(".!"), tuple(s.lower() for s in row[1])
    if task == "edit":  # "{subject}" alone is every sentence there is
        frames = [p for p in TASKS[task].templates + TASKS[task].paraphrases if p != "{subject}"]
        said = [(p, _escaped(p).replace("{subject}", ".+")) for p in frames]
    else:
        named = any(name in text for name in _COLOR_NAMES)
        fixed = [(p, _escaped(p, "?.()|")) for p in TASKS[task].templates + TASKS[task].paraphrases]
        free = [(p, _escaped(p)) for p in TASKS[task].wordings]
        said = [(p, _OPENED + _filled(e, subjects) + _CLOSED) for p, e in fixed + free if named or "{color}" not in e]
    spelled = {text, text.rstrip("?")}
    return next((p for p, expression in said if any(re.fullmatch(expression, t) for t in spelled)), "")


def _escaped(pattern: str, signs: str = "?.") -> str:
    return "".join(f"\\{c}" if c in signs else c for c in pattern)


def _filled(pattern: str, subjects: tuple[str, ...]) -> str:
    head, _, rest = pattern.partition("[")
    clause, _, tail = rest.partition("]")
    if not rest:
        return _spoken(head, " and ".join(subjects))
    clauses = [_spoken(clause, s) for s in subjects]
    return head + "(?:, | and )".join(clauses) + tail


def _spoken(pattern: str, subject: str) -> str:
    ways = "|".join(re.escape(s) for s in {subject, _TRAINING_ARTICLES.sub("", subject)})
    return pattern.replace("{subject}", f"(?:{ways})").replace("{color}", f"(?:{'|'.join(_COLOR_NAMES)})")


def test_every_task_has_a_file():
    assert {path.stem for path in FOLDER.glob("*.tsv")} == set(TASKS)


@pytest.mark.parametrize("task", TASKS)
def test_two_hundred_different_sentences(task):
    said = rows(task)
    assert len(said) == ROWS == len({bare(text) for text, _, _ in said})
    assert len({frame(row) for row in said}) >= FRAMES
    for text, subjects, colors in said:
        assert text == " ".join(text.split())
        told = set(re.findall(r"[a-z]+", " ".join(subjects).lower())) - _IMPLIED
        assert all(word in text.lower() for word in told), text
        assert set(colors) <= {c.name for c in TASKS[task].palette}, text
        assert len(subjects) <= max(TASKS[task].max_subjects, 3), text
        if task != "edit":
            assert bool(subjects) == (TASKS[task].max_subjects > 0), text


@pytest.mark.parametrize("task", TASKS)
def test_none_is_what_training_says(task):
    assert {row[0]: trained(task, row) for row in rows(task) if trained(task, row)} == {}


@pytest.mark.parametrize(
    ("task", "row"),
    [
        ("segment", ("Please mask the dog in red.", ("the dog",), ("red",))),
        ("segment", ("highlight dog with a blue overlay", ("the dog",), ("blue",))),
        ("keypoints", ("put a red dot on the nose and a blue dot on the chin", ("the nose", "the chin"), ())),
        ("classify", ("what is it? paint it red for a dog and blue for a cat", ("a dog", "a cat"), ())),
        ("deblur", ("Could you sharpen the picture please", (), ())),
        ("edit", ("can you add a hat?", (), ())),
    ],
)
def test_a_sentence_of_training_would_be_seen(task, row):
    assert trained(task, row)


@pytest.mark.parametrize("task", TASKS)
def test_most_are_understood(task):
    """The share of the right task, and of the right task with the right subjects."""
    understand = pytest.importorskip("instructdiffusion.tasks.understanding").understand
    other_task, other_subjects = [], []
    for text, subjects, _ in rows(task):
        try:
            made = understand(text)
        except ValueError as error:
            other_task.append(f"{text!r}: refused, {error}")
            continue
        if made.task != task:
            other_task.append(f"{text!r}: {made.task} {list(made.subjects)}")
        elif subjects and [meant(s) for s in made.subjects] != [meant(s) for s in subjects]:
            other_subjects.append(f"{text!r}: {list(made.subjects)}, not {list(subjects)}")
    right_task = 1 - len(other_task) / ROWS
    right_subjects = right_task - len(other_subjects) / ROWS
    told = f"{task}: right task {right_task:.3f}, subjects too {right_subjects:.3f}"
    print(told)
    misses = "\n  ".join([told, *other_task, *other_subjects])
    assert right_task >= RIGHT_TASK and right_subjects >= RIGHT_SUBJECTS, misses


def test_most_colors_are_understood():
    understand = pytest.importorskip("instructdiffusion.tasks.understanding").understand
    asked = [(text, colors) for task in TASKS for text, _, colors in rows(task) if colors]
    misses = []
    for text, colors in asked:
        try:
            named = tuple(c.name for c in understand(text).colors)
        except ValueError as error:
            named = (f"refused, {error}",)
        if named != colors:
            misses.append(f"{text!r}: {list(named)}, not {list(colors)}")
    right = 1 - len(misses) / len(asked)
    print(f"right colours {right:.3f} of {len(asked)}")
    assert right >= RIGHT_COLORS, "\n  ".join([f"{right:.3f} of {len(asked)}", *misses])


@pytest.mark.parametrize(
    ("subject", "same"),
    [
        ("The man's left knee.", "the left knee of the man"),
        ("all the dogs", "dogs"),
        ("her chin", "the chin of the face"),
        ("the dog left of the tree", "dog left of the tree"),
    ],
)
def test_subjects_that_mean_the_same(subject, same):
    assert meant(subject) == meant(same)


@pytest.mark.parametrize(("subject", "other"), [("the left knee", "the right knee"), ("dog", "dogs")])
def test_subjects_that_mean_something_else(subject, other):
    assert meant(subject) != meant(other)
