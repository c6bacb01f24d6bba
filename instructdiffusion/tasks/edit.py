"""Editing: the picture is changed as the words say."""

from __future__ import annotations

from .restore import PictureTask


class Edit(PictureTask):
    """Adding, removing, replacing, recolouring, restyling; the subject is the operation in words.

    For example "add a red star on the left" or "turn the cat into a dog".
    """

    name = "edit"
    guidance = (5.0, 1.25)
    local = True
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
