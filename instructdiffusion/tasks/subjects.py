"""Subjects in words: split, put into the form that models were taught, and told apart as one thing, many, or a rest."""

from __future__ import annotations

import re

from .lexicon import (
    EVERYTHING,
    EXCEPTION,
    MANY,
    NEGATION,
    PAIRS,
    PICTURE,
    PLURALS,
    RELATION,
    SINGULARS,
    SUPERLATIVE,
    TELLING,
)

_STARTS = r"(?:the|a|an|all|every|each|both|my|his|her|its|their|our|this|that|these|those|any|some)\b"
_OWNER = (
    r"^(?:my|his|her|its|their|our|your|this|that|these|those|a|an|any|every|each|some|one of the|one"
    r"|every single)\s+"
)
_INSIDES = re.compile(RELATION)


def split_subjects(text: str) -> tuple[str, ...]:
    """The things that a list such as "the star, the dog and the cat" names; one where nothing says that there are more.

    Words after a relation belong to it ("between the dog and the cat"), and colors joined by "and" to their thing.
    """
    parts = re.split(r",? and also |,? as well as |,? plus |, and |, | and | & ", text)
    if len(parts) == 1 or re.search(PAIRS, text):
        return (text,)
    determined = all(re.match(_STARTS, p) for p in parts)
    bare = all(re.fullmatch(r"[\w-]+(?: [\w-]+)?", p) and not re.match(_STARTS, p) for p in parts)
    first_only = bool(re.match(_STARTS, parts[0])) and all(
        re.fullmatch(r"[\w-]+", p) for p in parts[1:]
    )  # "the dog and cat"
    colors = all(
        re.fullmatch(r"(?:the |a )?(?:black|white|red|blue|green|yellow|brown|gray|orange|pink)", p)
        for p in parts[:-1]
    )
    lead = re.fullmatch(rf"the {TELLING} (.+)", parts[-1])
    if lead and all(re.fullmatch(rf"the {TELLING}", p) for p in parts[:-1]):
        return (*(f"{p} {lead[1]}" for p in parts[:-1]), parts[-1])
    related = any(_INSIDES.search(f" {p} ") for p in parts[:-1])
    if determined and not colors and all(_INSIDES.search(f" {p} ") for p in parts):  # each with its own relation
        related = bool(re.search(r" (?:between|among|amid) ", text))
    if colors or related or not (determined or bare or first_only):
        return (text,)
    if first_only and not determined and not bare:
        article = re.match(rf"{_STARTS}(?: of)?(?: the)?", parts[0])
        parts = [parts[0], *(f"{article[0]} {p}" for p in parts[1:])] if article else parts
    return tuple(p.strip() for p in parts if p.strip())


def subjects_of(text: str) -> tuple[str, ...]:
    """The subjects that one text names: a line each, and on a line a list ("the star and the dog"); at least one.

    What leaves something out ("everything but the star and the dog") is one.
    """
    lines = [line for line in text.splitlines() if line.strip()] or [text]
    names: list[str] = []
    for line in lines:
        words = re.sub(r" ?[;,] ?", ", ", " ".join(line.lower().split()).rstrip(" .!,;"))
        whole = everything_but(words) is not None or leaves_out(words)
        names += (words,) if whole else split_subjects(words)
    return tuple(dict.fromkeys(names))


def clean_subject(subject: str) -> str:
    """A subject in the form that models are taught: "my dog's" owner becomes an article, a bare noun gets one."""
    words = subject.strip(" .,;:!?\"'")
    words = re.sub(r"^all of (?=the|my|his|her|these|those|our)", "all ", words)
    words = re.sub(r"^(all) (?:my|his|her|these|those|our|their|its)\b", r"\1 the", words)
    words = re.sub(_OWNER, "the ", words)
    if not re.match(r"(?:the|all|both|everything|nothing|everyone|everybody|what|whoever|it|them)\b", words):
        words = f"the {words}"
    return words


def is_plural(subject: str) -> bool:
    """Whether a subject names several things: by its determiner, or by its noun's form."""
    if re.match(MANY, subject):
        return not re.match(r"this\b|that\b", subject)
    head = _head(subject)
    if head in PLURALS and head not in ("fish", "sheep"):
        return True
    return head.endswith("s") and not head.endswith(("ss", "us", "is", "'s")) and head not in SINGULARS


def _head(subject: str) -> str:
    """The noun of a subject: its last word before a relation or "of"."""
    words = f"{subject} "
    cut = min(
        (match.start() for match in (_INSIDES.search(words), re.search(r" of ", words)) if match), default=-1
    )
    words = words if cut < 0 else words[:cut]
    return words.split()[-1] if words.split() else ""


def tells_one(subject: str) -> bool:
    """Whether a subject tells one thing from others of its kind: a superlative, a place, a relation, and no plural."""
    if is_plural(subject):
        return False
    inner = re.sub(r"^the ", "", subject)
    if re.match(
        r"(?:one|thing|object|item|person|animal|shape)\b(?= (?:that|which|who|on|in|at|with|left|right|next))",
        inner,
    ):
        return True
    before = inner[: _relation_start(inner)] if _relation_start(inner) >= 0 else inner
    return (
        bool(re.search(SUPERLATIVE, before.rsplit(" ", 1)[0] + " ") and " " in before)
        or _relation_start(inner) > 0
    )


def _relation_start(words: str) -> int:
    match = _INSIDES.search(f"{words} ")
    return match.start() if match else -1


def everything_but(text: str) -> str | None:
    """What words such as "everything but the dog" or "not the dog" leave out; None for other words."""
    match = re.fullmatch(rf"{EVERYTHING},? {EXCEPTION}:? (.+)", text) or re.fullmatch(NEGATION, text)
    if not match:
        match = re.fullmatch(
            r"(?:the )?(?:inverse|opposite|complement|rest|background|surroundings) (?:of|without|around|behind) (.+)",
            text,
        )
        if match and not re.match(r"(?:the )?(?:inverse|opposite|complement)", text):
            match = None
    if not match or is_picture(match[1]):
        return None
    return match[1]


def leaves_out(text: str) -> bool:
    """Whether a subject names some things but not all of them ("all stars except the red one")."""
    return bool(
        re.search(r"\b(?:except(?:ing)?(?: for)?|but not|excluding|apart from|aside from|other than)\b", text)
    )


def is_picture(words: str) -> bool:
    """Whether words mean the picture as a whole."""
    return bool(re.fullmatch(PICTURE, words))
