"""Sentences in the words that the model was taught (`Task.templates`, `wordings`), read back as what they ask for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from .lexicon import VERBS
from .sentences import COLOR

# Words for a thing in a color are a mask's only where they begin as a thing does: "add a man in blue" is an edit.
_CLAUSES = 9  # as many points and categories are asked for at once
_BARE = "{subject} in {color}"
_THING = r"(?:(?:the|all|a|an) .+|[\w-]+(?: [\w-]+)?)"


def read_own(words: str) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """(task, subjects, names of colors) of every way in which words are a task's own; templates before the rest."""
    from . import TASKS

    colors = len(re.findall(rf"\b{COLOR}\b", words))
    drawing = [task for task in TASKS.values() if task.palette]
    pairs = [(task.name, t) for task in drawing for t in (*task.templates, *task.paraphrases)]
    pairs += [(task.name, p) for task in drawing for p in task.wordings]
    for name, template in sorted(pairs, key=lambda pair: pair[1] == _BARE):
        most = min(colors, _CLAUSES) if "[" in template else 1
        for count in range(most, max(0, most - 3), -1):  # a subject may hold a color or two itself
            match = _compiled(template, count).fullmatch(words)
            if match:
                rows = range(count)
                subjects = tuple(match[f"s{i}"] for i in rows)
                if template == _BARE and (
                    not re.fullmatch(_THING, subjects[0]) or subjects[0].split()[0] in VERBS
                ):
                    continue
                if any(_holds_color(s) for s in subjects):
                    continue
                yield name, subjects, tuple(match[f"c{i}"] for i in rows)


def _holds_color(subject: str) -> bool:
    """Whether a subject has swallowed what belongs to the next: a color that is asked for, or a clause's joint."""
    return bool(
        re.search(
            rf"\b(?:in|with|using) (?:an? )?{COLOR}\b(?! (?:shirt|dress|hat|coat))|\b{COLOR} to ", subject
        )
    )


@cache
def _compiled(template: str, count: int) -> re.Pattern[str]:
    """A template or pattern as a regular expression with groups s0, c0, s1, ..."""
    head, bracket, rest = template.partition("[")
    clause, _, tail = rest.partition("]")
    if not bracket:
        return re.compile(_groups(_escaped(template), 0))
    clauses = [_groups(_escaped(clause), i) for i in range(count)]
    joined = clauses[0] if count == 1 else ", ".join(clauses[:-1]) + ",? and " + clauses[-1]
    return re.compile(_escaped(head) + joined + _escaped(tail))


def _escaped(pattern: str) -> str:
    """ "(a|b)" as alternatives, everything else as it stands."""
    text = re.escape(pattern).replace(r"\(", "(?:").replace(r"\|", "|").replace(r"\)", ")")
    return text.replace(r"\{", "{").replace(r"\}", "}")


def _groups(pattern: str, row: int) -> str:
    pattern = pattern.replace("{subject}", f"(?P<s{row}>.+?)", 1).replace("{subject}", ".+?")
    return pattern.replace("{color}", f"(?P<c{row}>{COLOR})", 1)
