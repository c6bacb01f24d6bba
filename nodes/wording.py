"""The words of an instruction, from what the node's inputs say."""

from __future__ import annotations

import re

import numpy as np

from ..instructdiffusion.imaging.colors import Color, color_named, far_colors
from ..instructdiffusion.tasks import Instruction, get_task
from ..instructdiffusion.tasks.subjects import subjects_of

AUTOMATIC = "automatic"
_NEAR = 0.2  # distance in RGB, 0..1 a channel, within which a pixel has the colour already
_SHARE = 0.05  # of a picture; fewer such pixels hide little of an answer


def word(task: str, subject: str, color: str, words: str = "", picture: np.ndarray | None = None) -> Instruction:
    """The Instruction that the node's inputs stand for; ValueError names the input and the remedy."""
    try:
        known_task = get_task(task)
    except ValueError as error:
        raise ValueError(f"`task`: {error}") from None
    lines = [line.strip() for line in subject.splitlines() if line.strip()]
    if known_task.asks_singly and lines:
        lines = list(subjects_of(subject))
    subjects: str | list[str] | None
    if known_task.max_subjects == 0:
        subjects = None
    elif known_task.max_subjects == 1:
        subjects = " ".join(lines)
    else:
        subjects = lines
    if subjects is not None and not lines:
        raise ValueError(f"`subject`: the task {task} needs one, as in 'the red star'")
    colors: list[str | Color] | None = None
    if known_task.palette and color != AUTOMATIC:
        colors = [color]
        if len(lines) > 1 and not known_task.asks_singly:
            raise ValueError(
                f"`color`: {len(lines)} subjects need {len(lines)} colours: choose {AUTOMATIC!r}"
            )
    try:
        if colors and len(lines) > 1:  # the first subject's; the others have ones that differ
            colors += _further(color, known_task.palette, len(lines) - 1, picture)
        made = known_task.instruct(subjects, colors, picture=picture)
    except (ValueError, TypeError) as error:
        raise ValueError(f"`subject` or `color`: {error}") from None
    if colors and picture is not None:
        check_color(made.colors[0], picture, known_task.palette)
    if not words.strip():
        return made
    parts = known_task.questions(made)
    if len(parts) > 1:  # a line for every subject
        lines = [word(task, p.subject, p.colors[0].name, words).text for p in parts]
        return Instruction("\n".join(lines), made.task, made.subjects, made.colors, made.complement)
    shade = " and ".join(c.name for c in made.colors)
    # Not str.format, whose fields reach into objects.
    other = [field for field in re.findall(r"\{.*?\}", words) if field not in ("{subject}", "{color}")]
    if other:
        raise ValueError(f"`words`: only {{subject}} and {{color}} can stand in braces, got {other[0]}")
    values = {"{subject}": " and ".join(made.subjects), "{color}": shade}
    text = re.sub(r"\{subject\}|\{color\}", lambda field: values[field[0]], words)
    if shade and shade not in text:
        raise ValueError("`words`: say the colour, as {color}: without it the answer cannot be read back")
    return Instruction(" ".join(text.split()), made.task, made.subjects, made.colors, made.complement)


def _further(name: str, palette: tuple[Color, ...], count: int, picture: np.ndarray | None) -> list[Color]:
    """`count` colours of the palette besides the one of that name, far from what is in the picture."""
    others = tuple(c for c in palette if c != color_named(name, palette))
    if count > len(others):
        raise ValueError(f"at most {len(palette)} subjects have a colour each, got {count + 1}")
    return list(others[:count] if picture is None else far_colors(picture, None, others, count))


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
