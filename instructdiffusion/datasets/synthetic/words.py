"""The words that training scenes ask with, task by task: what a model trained on them can know."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from ...tasks import TASKS, wordings
from ...tasks.catalog.edit import VERBS, Edit
from .edit_operations import PLACES, STYLES
from .faces import FACE_PARTS
from .figures import JOINTS
from .phrases import RELATIONS, SIDES
from .vocabulary import ANIMALS, CATEGORIES, COLORS, GARMENTS, GROUPS, PERSONS, SIZES, TEXTURES, plural

# What edits say besides the names of things and colours; a test holds it against the edits that are drawn.
_EDITS = (
    "add draw put a an in the remove erase delete take away replace with turn into change to make paint color give "
    "background"
)
_CAPTIONS = "a an in on with and face picture drawn it mask circle box background sky ground photograph"


def scene_words() -> dict[str, tuple[str, ...]]:
    """The words that what is asked for is made of, sorted, by task; for an edit those of the whole instruction.

    Under "captions" stand those of the pictures' descriptions, which a model reads and is never asked with.
    """
    many = [plural(c) for c in CATEGORIES]
    marks = [*COLORS, *SIZES, *TEXTURES[1:]]
    places = ["leftmost", "rightmost", "at the top", "at the bottom"]  # how a phrase says its SIDES
    assert len(places) == len(SIDES)
    one = ["the", "in the", *CATEGORIES, *marks, *GARMENTS.values(), *places]
    owner = ["the", "big", "in the", *PERSONS, *ANIMALS, *COLORS, *GARMENTS.values(), *places]
    kinds = ["the", "all", *COLORS, *CATEGORIES, *many, *GROUPS]
    words = {
        "segment": kinds,
        "detect": kinds,
        "refer": [*one, *RELATIONS],
        "classify": ["a", "an", *CATEGORIES],
        "keypoints": [*owner, "of", *(joint for joints in JOINTS.values() for joint in joints)],
        "align": ["the", *FACE_PARTS],
        "edit": [*one, *RELATIONS, *PLACES, _EDITS, *_styles(), *_frames()],
        "captions": [_CAPTIONS, *CATEGORIES, *marks, *GARMENTS.values(), "checkered", "cloudy", "cyan", "magenta"],
    }
    words |= {task.name: words[task.scenes] for task in TASKS.values() if task.scenes in words}
    return {task: tuple(sorted(_split(phrases))) for task, phrases in words.items()}


def scene_knowledge(name: str) -> dict[str, Any]:
    """What the model called `name`, trained on scenes, says of itself in its instructdiffusion.json."""
    words = {task: " ".join(said) for task, said in scene_words().items()}
    return {"name": name, "pictures": "drawings", "things": list(CATEGORIES), "words": words}


def _styles() -> list[str]:
    return [phrase for phrases, _ in STYLES.values() for phrase in phrases]


def _frames() -> list[str]:
    """What an edit is said within: templates, politeness, and other verbs."""
    verbs = [verb for others in VERBS.values() for verb in others]
    return [*Edit.templates, *wordings._OPENINGS, *wordings._CLOSINGS, *verbs]


def _split(phrases: Sequence[str]) -> Iterable[str]:
    plain = (re.sub(r"\{\w+\}", " ", phrase) for phrase in phrases)
    return {word for phrase in plain for word in re.findall(r"[a-z]+", phrase)}
