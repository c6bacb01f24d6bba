"""Choices in prompts: `a {red|blue} star` is one of two texts, drawn anew each time a graph is queued.

The canvas draws them, so a graph that runs without one needs the same rules.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n\r]*", re.DOTALL)
_ESCAPED = re.compile(r"\\([{}|])")


def draw_wildcards(text: str, choose: Callable[[Sequence[str]], str] = random.choice) -> str:
    r"""The text with one alternative of every `{a|b}` (they nest), without comments (`//`, `/* */`), and with
    `\{`, `\|` and `\}` as the signs themselves; a brace without its partner reaches to the end."""
    text = _COMMENT.sub("", text)
    result, at = "", 0
    while at < len(text):
        if text[at] == "\\":
            result += text[at : at + 2]
            at += 2
        elif text[at] == "{":
            choices, at = _read_block(text, at + 1)
            result += draw_wildcards(choose(choices), choose)
        else:
            result += text[at]
            at += 1
    return _ESCAPED.sub(r"\1", result)


def _read_block(text: str, at: int) -> tuple[list[str], int]:
    """The alternatives of a block that starts at `at`, and where the text goes on after it."""
    choices, depth = [""], 0
    while at < len(text):
        sign = text[at : at + 2] if text[at] == "\\" else text[at]
        at += len(sign)
        if sign == "}" and not depth:
            break
        if sign == "|" and not depth:
            choices.append("")
            continue
        depth += {"{": 1, "}": -1}.get(sign, 0)
        choices[-1] += sign
    return choices, at
