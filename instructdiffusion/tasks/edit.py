"""Editing: the picture is changed as the words say."""

from __future__ import annotations

from .instruction import Instruction
from .placing import place_of
from .restore import PictureTask


class Edit(PictureTask):
    """Adding, removing, replacing, recolouring, restyling; the subject is the operation in words.

    For example "add a red star on the left" or "turn the cat into a dog".
    """

    name = "edit"
    guidance = (5.0, 1.25)
    local = True
    has_compositor = True
    changed = (0.04, 0.12)  # chosen on 400 validation scenes: a thing that comes or goes has a core
    example = "add a red star on the left"
    templates: tuple[str, ...] = (
        "{subject}",
        "please {subject}",
        "{subject} in the picture",
        "{subject}, keep everything else the same",
        "{subject}, leave the rest",
        "edit the picture: {subject}",
        "change the picture: {subject}",
        "{subject} and change nothing else",
        "i want you to {subject}",
        "can you {subject}?",
        "{subject} please",
        "now {subject}",
    )
    paraphrases: tuple[str, ...] = (
        "please {subject} and leave the rest the same",
        "can you {subject} in the picture?",
        "edit: {subject}, change nothing else",
        "now {subject}, leave everything else",
    )

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
