"""Answers in a few words, as a command prints them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..inference.answer import Answer


class Brief:
    """Texts whose long clauses are in full once: afterwards each is as far as its first colon or bracket."""

    LONG = 100  # characters

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def __call__(self, text: str) -> str:
        """The text, as it is to be said now."""
        clauses = text.split("; ")
        for number, clause in enumerate(clauses):
            if clause in self._seen:
                clauses[number] = re.split(r" \(|: ", clause)[0] + " (as above)"
            elif len(clause) > self.LONG:
                self._seen.add(clause)
        return "; ".join(clauses)


def describe(answer: Answer) -> str:
    """An answer in a few words."""
    from ..results import Boxes, Keypoints, Label, Masks

    result, said = answer.result, answer.message
    if isinstance(result, Label):
        return "; ".join(filter(None, (result.name, said))) or "none of the categories"
    if isinstance(result, Keypoints):
        points = [
            f"{name} at ({x:.1f}, {y:.1f})"
            for row, visible in zip(result.xy, result.visible)
            for name, (x, y), there in zip(result.names, row.tolist(), visible)
            if there
        ]
        return "; ".join([*points, *([said] if said else [])]) or "nothing found"
    if not isinstance(result, (Masks, Boxes)):
        return said or "done"
    counts = [f"{result.labels.count(label)} found for '{label}'" for label in dict.fromkeys(result.labels)]
    return "; ".join(filter(None, (*(c for c in counts if c not in said), said))) or "nothing found"
