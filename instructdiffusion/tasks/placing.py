"""Placing: where in a picture the words of an edit add a thing, told from the words alone."""

from __future__ import annotations

import re

# Shares of the picture's (width, height), as the scenes have them that edits are learned from (datasets/scenes/edits).
_SHARES: dict[str, tuple[float | None, float | None]] = {
    "left": (0.2, None),
    "right": (0.8, None),
    "top": (None, 0.2),
    "upper": (None, 0.2),
    "bottom": (None, 0.8),
    "lower": (None, 0.8),
    "middle": (None, None),
    "center": (None, None),
    "centre": (None, None),
}
_PICTURE = r"(?:the |this |my )?(?:picture|image|photo|photograph|scene|canvas)"
_WORD = "|".join(_SHARES)
# What may stand around an edit's words, as `Edit.templates` have it; nothing of it says what is added.
_BEFORE = re.compile(
    r"(?:please|now|just|(?:can|could|would) you(?: please)?|i(?: want| would like|'d like) you to|"
    rf"(?:edit|change)(?: {_PICTURE})?:|in {_PICTURE}),? "
)
_AFTER = re.compile(
    r",? (?:please|for me|(?:and )?(?:leave|keep) (?:the rest|everything else)(?: the same| as it is)?|"
    rf"(?:(?:and )?change )?nothing else|(?:in|into|to|on) {_PICTURE})$"
)
_PLACE = re.compile(
    rf" (?:on|at|in|to|into) (?:the )?(?P<first>{_WORD})(?:[ -]?(?P<second>{_WORD}))?(?:[ -]?hand)?"
    rf"(?: (?:corner|side|edge|part|half))?(?: of {_PICTURE})?(?= |$)"
)
_ADDS = re.compile(r"(?:add|draw|put|place|insert) (?P<thing>.+)$")
_PAINTS = re.compile(r"paint (?P<thing>(?:an?|another) .+)$")  # "paint the star red" adds nothing
_ARTICLE = re.compile(r"(?:an?|another|one) ")
# A thing beside another ("a ball next to the dog", "and a star", "hearts around it"), or one as large as the picture,
# needs more of the picture than a square.
_ELSEWHERE = re.compile(
    r"\b(?:the|this|that|these|those|it|its|him|his|her|them|their|and|or|then|between|every\w*|each|all|"
    r"next|beside|behind|above|below|under|underneath|over|near|around|inside|frame|border|background|backdrop|filter|vignette|caption)\b|,|;"
)


def place_of(words: str) -> tuple[float, float] | None:
    """Tell where an edit's words add a single thing.

    Args:
        words: As in "please add a red star on the left".

    Returns:
        (x, y) as shares of the picture's width and height, its middle where the words name no place; None for words
        that add nothing, or a thing whose place depends on what is in the picture.
    """
    rest = " ".join(words.lower().split()).rstrip(" .!?")
    while (before := _BEFORE.match(rest)) is not None:
        rest = rest[before.end() :]
    while (after := _AFTER.search(rest)) is not None:
        rest = rest[: after.start()]
    adds = _ADDS.match(rest) or _PAINTS.match(rest)
    if adds is None:
        return None
    thing = f" {adds['thing']}"
    place = _PLACE.search(thing)
    if place is not None:
        thing = thing[: place.start()] + thing[place.end() :]
    elif rest.startswith("paint"):  # "paint a star red"
        return None
    if not _plain(thing.strip(), place is not None):
        return None
    x = y = 0.5
    for word in () if place is None else (place["first"], place["second"]):
        across, down = _SHARES[word] if word else (None, None)
        x, y = across or x, down or y
    return x, y


def _plain(thing: str, placed: bool) -> bool:
    """Whether words are those of one thing by itself; without an article ("red heart") only where it has a place."""
    return bool(thing) and _ELSEWHERE.search(thing) is None and (placed or _ARTICLE.match(thing) is not None)
