"""The words of an instruction, from what the node's inputs say."""

from __future__ import annotations

import re

from ..instructdiffusion.tasks import Instruction, get_task

AUTOMATIC = "automatic"


def word(task: str, subject: str, color: str, words: str = "", picture=None) -> Instruction:
    """The Instruction that the node's inputs stand for; ValueError names the input and the remedy."""
    try:
        asked = get_task(task)
    except ValueError as error:
        raise ValueError(f"`task`: {error}") from None
    lines = [line.strip() for line in subject.splitlines() if line.strip()]
    subjects: str | list[str] | None
    if asked.max_subjects == 0:
        subjects = None
    elif asked.max_subjects == 1:
        subjects = " ".join(lines)
        if not subjects:
            raise ValueError(f"`subject`: the task {task} needs one, as in 'the red star'")
    else:
        subjects = lines
    colors = None
    if asked.palette and color != AUTOMATIC:
        if asked.max_subjects > 1 and len(lines) != 1:
            raise ValueError(
                f"`color`: {len(lines)} subjects need {len(lines)} colours: choose {AUTOMATIC!r}"
            )
        colors = [color]
    try:
        made = asked.instruct(subjects, colors, picture=picture)
    except (ValueError, TypeError) as error:
        raise ValueError(f"`subject` or `color`: {error}") from None
    if not words.strip():
        return made
    shade = " and ".join(c.name for c in made.colors)
    # Not str.format, whose fields reach into objects.
    other = [field for field in re.findall(r"\{.*?\}", words) if field not in ("{subject}", "{color}")]
    if other:
        raise ValueError(f"`words`: only {{subject}} and {{color}} can stand in braces, got {other[0]}")
    given = {"{subject}": " and ".join(made.subjects), "{color}": shade}
    text = re.sub(r"\{subject\}|\{color\}", lambda field: given[field[0]], words)
    if shade and shade not in text:
        raise ValueError("`words`: say the colour, as {color}: without it the answer cannot be read back")
    return Instruction(" ".join(text.split()), made.task, made.subjects, made.colors)
