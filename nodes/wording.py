"""The words of an instruction, from what the node's inputs say."""

from __future__ import annotations

import re

import numpy as np

from ..instructdiffusion.color import Color, far_colors
from ..instructdiffusion.tasks import Instruction, get_task

AUTOMATIC = "automatic"
_NEAR = 0.2  # distance in RGB, 0..1 a channel, within which a pixel has the colour already
_SHARE = 0.05  # of a picture; fewer such pixels hide little of an answer


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
    if colors and picture is not None:
        check_color(made.colors[0], picture, asked.palette)
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


def check_color(color: Color, picture: np.ndarray, palette: tuple[Color, ...]) -> None:
    """ValueError where much of the picture (uint8 [h, w, 3]) has the colour: an answer drawn there changes nothing."""
    distance = np.linalg.norm(picture.astype(np.float32) / 255 - color.array, axis=2)
    share = float((distance < _NEAR).mean())
    if share > _SHARE:
        (other,) = far_colors(picture, None, palette)
        raise ValueError(
            f"`color`: {share:.0%} of the picture is {color.name} already, and an answer in {color.name} could not be "
            f"told from it: choose {other.name}, which is far from all of it, or {AUTOMATIC!r}"
        )
