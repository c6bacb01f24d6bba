"""Editing: the picture is changed as the words say."""

from __future__ import annotations

import random
from collections.abc import Mapping

from ..image_task import ImageTask
from ..instruction import Instruction
from ..placing import place_of
from ..template_files import read_templates
from ..wordings import draw_one

# Verbs of edits that say the same, by how the subject begins.
VERBS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("add ", "put "), ("add ", "put ", "place ", "draw ", "insert ", "paint ")),
    **dict.fromkeys(
        ("remove ", "delete ", "erase ", "take away "),
        ("remove ", "delete ", "erase ", "take away ", "get rid of ", "take out "),
    ),
    "make it ": ("make it ", "make the picture ", "make this image ", "make the photo ", "make everything "),
    "turn it ": ("turn it ", "make it ", "turn the picture ", "make the photo ", "turn this image "),
    "replace ": ("replace ", "exchange ", "swap "),
}


class Edit(ImageTask):
    """Adding, removing, replacing, recolouring, restyling; the subject is the operation in words.

    For example "add a red star on the left" or "turn the cat into a dog".
    """

    name = "edit"
    order = 90
    summary = "change the picture as the words say"
    subject_label = "WORDS"
    metric = "edit"
    # A picture that had to stay counts as left alone from 35 dB on.
    bars: Mapping[str, float] = {"PSNR where changed": 22.0, "PSNR of the rest": 35.0, "absent left alone": 0.95}
    augmentation = "whole"
    open_ended = True
    keeps_rest = True
    guidance = (5.0, 1.25)
    local = True
    has_compositor = True
    changed = (0.04, 0.12)  # chosen on 400 validation scenes: a thing that comes or goes has a core
    example = "add a red star on the left"
    templates, paraphrases, wordings = read_templates(name)

    def reword_subjects(self, subjects: tuple[str, ...], rng: random.Random) -> tuple[str, ...]:
        """The operation by another verb."""
        return tuple(_other_verb(subject, rng) for subject in subjects)

    def window(self, instruction: Instruction, size: tuple[int, int]) -> tuple[int, int] | None:
        """The square in which a thing that is added lies as in a square picture: of `size` (height, width) the corner
        (y, x) whose distance from the picture's is the place's share of what is left beside the square.

        So "on the left", a fifth of the width in squares, is a fifth of the width in pictures of any shape. None for
        other edits, and for things placed by others ("next to the dog").
        """
        place = place_of(instruction.text)
        if place is None:
            return None
        (height, width), short = size, min(size)
        return round(place[1] * (height - short)), round(place[0] * (width - short))


def _other_verb(subject: str, rng: random.Random) -> str:
    for start, others in VERBS.items():
        if subject.startswith(start):
            return draw_one(others, rng) + subject[len(start) :]
    return subject
