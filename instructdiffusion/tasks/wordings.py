"""What people say beyond the templates: training words a part of its samples in these.

Scenes and the library go on asking in `Task.templates`, so that a seed's question stays what it is; evaluations ask
some of the scenes once more in these. A pattern is a template in which "(a|b)" stands for one of several; few patterns
make thousands of sentences, and a sentence that is held out (`Task.paraphrases`) is never made.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .instruction import Instruction
    from .task import Task

_OPENINGS = tuple(
    f"{words} "
    for words in ("please", "can you", "could you", "i want you to", "i would like you to", "now", "just")
) + ("now please ", "in this picture, ", "in the photo, ", "in the image, ")
_CLOSINGS = (
    *(" please", ", please", " for me", " and leave the rest", ", keep everything else as it is"),
    *(" in the picture", " in this image", " in the photo", ", nothing else"),
)
# How often a sentence gets an opening, a closing, and a full stop.
_OPENED, _CLOSED, _STOPPED = 0.25, 0.2, 0.15
PLAIN = 0.3  # how often a thing loses its article

_ARTICLES = re.compile(r"^(?:all the|the|all|a|an) ")


def reworded(task: Task, instruction: Instruction, rng: random.Random) -> str:
    """The instruction in other words that ask for the same: subjects and colours as they are, now and then without
    their articles. Never a held-out sentence.
    """
    subjects, colors = instruction.subjects, instruction.colors
    while True:
        template = _decorated(_template(task, len(subjects), rng), rng)
        if not any(held in template for held in task.paraphrases):  # nor with "please" before it
            return task.fill(template, task.reword_subjects(subjects, rng), colors)


def _template(task: Task, count: int, rng: random.Random) -> str:
    """A pattern of the task with its choices made, for `count` subjects."""
    patterns = task.wordings or task.templates
    if count > 1:  # a pattern without a clause has a place for one subject only
        patterns = tuple(p for p in patterns if "[" in p)
    return _choose(draw_one(patterns, rng), rng)


def _decorated(template: str, rng: random.Random) -> str:
    """A template now and then opened and closed politely, or ended with a full stop."""
    if rng.random() < _OPENED:
        template = draw_one(_OPENINGS, rng) + template
    if "?" in template:
        return template
    if rng.random() < _CLOSED:
        template += draw_one(_CLOSINGS, rng)
    return template + "." if rng.random() < _STOPPED else template


def _choose(pattern: str, rng: random.Random) -> str:
    """The pattern with one alternative in the place of every "(a|b)", the inner ones first."""
    while "(" in pattern:
        pattern = re.sub(r"\(([^()]*)\)", lambda match: draw_one(match[1].split("|"), rng), pattern)
    return pattern


def drop_articles(subjects: tuple[str, ...], rng: random.Random) -> tuple[str, ...]:
    """Say subjects now and then without their articles."""
    return tuple(_ARTICLES.sub("", s) for s in subjects) if rng.random() < PLAIN else subjects


def draw_one(items: Sequence[str], rng: random.Random) -> str:
    """Draw one of several texts."""
    return items[int(rng.random() * len(items))]
