"""An instruction: the words the model reads, and what is needed to draw and to read back the answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..imaging.colors import Color


@dataclass(frozen=True)
class Instruction:
    """Words for the model with the task, subjects and colours they were made from.

    subjects and colors pair up one to one where a task uses both. Several subjects of a task that finds one at a time
    have a line of text each. complement: everything but the subjects is meant. understanding: how free words were
    understood, "" where none were.
    """

    text: str
    task: str
    subjects: tuple[str, ...] = ()
    colors: tuple[Color, ...] = ()
    complement: bool = False
    understanding: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "subjects", tuple(self.subjects))
        object.__setattr__(self, "colors", tuple(self.colors))
        if not self.text.strip():
            raise ValueError("an instruction needs words, got an empty text")

    @property
    def subject(self) -> str:
        """The first subject, or "" where there is none."""
        return self.subjects[0] if self.subjects else ""

    @property
    def color(self) -> Color | None:
        """The first colour, or None where there is none."""
        return self.colors[0] if self.colors else None


@dataclass(frozen=True)
class Understanding:
    """What a text asks for. colors: a name a subject, "" where it is left open. rest: everything but the "
    "subjects."""

    task: str
    subjects: tuple[str, ...] = ()
    colors: tuple[str, ...] = ()
    rest: bool = False
