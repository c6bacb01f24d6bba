"""The sentences that ask for a task, as `templates/<task>.json` holds them."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent / "templates"


class Templates(NamedTuple):
    """What a task's file holds.

    Attributes:
        templates: What scenes ask in.
        paraphrases: Held out: training never sees them.
        wordings: What people say beyond them, as patterns (`wordings`).
    """

    templates: tuple[str, ...]
    paraphrases: tuple[str, ...]
    wordings: tuple[str, ...]


def read_templates(task: str) -> Templates:
    """Read the sentences of a task.

    Args:
        task: The task's name; its file may begin its wordings with those of another ("wordings_of"), and name what
            many patterns share as <name> (`fragments.json`).

    Returns:
        The sentences.
    """
    data = _load(task)
    wordings = tuple(_expand(pattern) for pattern in data["wordings"])
    if "wordings_of" in data:
        wordings = read_templates(data["wordings_of"]).wordings + wordings
    return Templates(tuple(data["templates"]), tuple(data["paraphrases"]), wordings)


@cache
def _load(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return data


def _expand(pattern: str) -> str:
    fragments = _load("fragments")
    return re.sub(r"<(\w+)>", lambda match: fragments[match[1]], pattern)
