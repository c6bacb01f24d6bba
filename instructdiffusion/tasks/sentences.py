"""A request without what says nothing about it: one case, no politeness, and the color it names put aside."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from ..imaging.colors import MARK_COLORS, MASK_COLORS
from .lexicon import (
    BOX_NOUN,
    CLOSINGS,
    CONTRACTIONS,
    DISC_NOUN,
    DRAWING,
    MASK_NOUN,
    OPENINGS,
    SHAPE_NOUN,
    VERBS,
)

_QUOTES = str.maketrans(
    {"\u2019": "'", "\u2018": "'", "\u02bc": "'", "\u201c": '"', "\u201d": '"', "\u2026": ".", "\u2014": ","}
)
COLOR_NAMES = tuple(dict.fromkeys(c.name for c in (*MASK_COLORS, *MARK_COLORS)))
_OTHER_NAMES = (
    "orange pink brown violet turquoise teal gold silver lime olive navy maroon beige indigo crimson scarlet lilac "
    "lavender fuchsia aqua salmon"
).split()
_SAME = {"violet": "purple", "fuchsia": "magenta", "aqua": "cyan"}
COLOR = rf"(?:{'|'.join((*COLOR_NAMES, *_OTHER_NAMES))})"
_TONE = (
    r"(?:see-through |semi-?transparent |half-transparent |transparent |translucent |bright |light |dark "
    r"|solid |vivid |neon |clear |plain )*"
)
_NOUN = rf"(?:{MASK_NOUN}|{BOX_NOUN}|{DISC_NOUN}|color|paint|tint)"
_UPON = r" (?:around|round|about|over|on|onto|upon|at|to|for|of|by|where|that|enclosing|surrounding|covering)\b"
_UPON += r"(?! the (?:left|right|top|bottom|other|far)\b(?! \w))"
# (what stands before the color, what behind the noun) of a shape that is a mark to be drawn; elsewhere it is a thing.
_DRAWN = (
    (rf"(\b{DRAWING} (?:me |us )?(?:an? |one |some |single |small |big |large |thin |thick )*)", _UPON),
    (r"(\bdraw the )", r" (?:around|round|about)\b"),
    (r"(\b(?:get|have|receive|return|draw|answer with) (?:an? |one |some )?)", "$"),
    (r"(^(?!where|which|what|how|who|is|are|the ).+ (?:with|using|by|as|in|inside|into|behind|under) "
     r"(?:an? |one |some )?)",
     r"(?: around (?:it|them)| each)?$"),
    (r"(\b(?:it|them|that|this|those|each|one) (?:with|using|by|as|in|inside|under|behind) (?:an? )?)",
     r"(?=[,.;?!]|$)"),
    (r"(^(?:with|using) (?:an? |one |some )?)", r",? "),
    (r"(^(?:an? |one |some )?)", rf"(?<!box)(?<!boxes)(?<!square)(?<!squares){_UPON}"),
    (r"(^(?:an? |one |some )?)", r" (?:around|round|about|over|for)\b"),
)
# Where the color of an answer is said, and what takes the place of those words.
_COLORED: tuple[tuple[str, str], ...] = (
    (
        rf"(?:[,.;:?(]+ ?| and )(?:and )?(?:in|with|use|using|take|color(?:ed)?(?: it| them| is| its mask| must "
        rf"be| should be)?"
        rf"|(?:the |its |make the |make its )?(?:color|mask|box|boxes|dot|dots|circle|layer)(?: of it)?"
        rf"(?: (?:should|must|has to|needs to) be| is| to be)?):? (?:the )?(?P<color>{COLOR})(?: for (?:it|them"
        rf"|that))?[).]*$",
        "",
    ),
    (rf"^color:? (?P<color>{COLOR})[.,:;]+ ", ""),
    (rf"^((?:{DISC_NOUN}|{BOX_NOUN}|{MASK_NOUN})) in (?P<color>{COLOR}) (?=on|over|around|for|of)", r"\1 "),
    (rf"^((?:mark|highlight|mask|segment|circle|box)) in (?P<color>{COLOR}) (?=only|just)", r"\1 "),
    (rf",? (?:in|with|using|by) (?:the color |a |an )?{_TONE}(?P<color>{COLOR})(?: color| ink| paint| tint)?$", ""),
    (rf"^(?:in|with|using) (?:the color )?{_TONE}(?P<color>{COLOR}),? ", ""),
    (rf"^(?:use|take) (?:the color |a )?{_TONE}(?P<color>{COLOR})(?: color)? (?:to|and|for) ", ""),
    (rf"^(?:use|take) (?:a |an )?{_TONE}(?P<color>{COLOR}) ({_NOUN}) to (.+)", r"\3 with a \2"),
    (rf"\b((?:mark|paint|color|shade|highlight|mask|segment|circle|box|dot|label)) in {_TONE}(?P<color>{COLOR}) "
     rf"(?=the|all|every)", r"\1 "),
    *((before + rf"{_TONE}(?P<color>{COLOR}) (?={SHAPE_NOUN}{after})", r"\1") for before, after in _DRAWN),
    (rf"\b(an? |the |some |one )?{_TONE}(?P<color>{COLOR}) (?!{SHAPE_NOUN}\b)(?={_NOUN}\b(?! (?:in|next|on the (?:left"
     rf"|right|top|bottom))))", r"\1"),
    (rf", (?P<color>{COLOR})$", ""),
    (rf"^((?:segment|mask|mark|highlight|label|box|circle|dot|outline) .+) (?<!the )(?<!a )(?<!in "
     rf")(?P<color>{COLOR})$", r"\1"),
)  # fmt: skip


# "fill the sky with blue" changes the picture; "fill the sky in blue" can be the model's way to ask for a mask.
_CHANGING = re.compile(r"(?:paint|color|tint|fill|dye|coat|replace|make|turn|decorate|draw|add|put)\b")


@dataclass(frozen=True)
class Sentence:
    """A request's words in one case without politeness. color: the name that the answer's color was given, or "".

    question: whether it ended with a question mark; words: as it was said but for case and spaces.
    """

    words: str
    text: str
    color: str = ""
    question: bool = False


def plain(text: str) -> str:
    """The text in lower case with single spaces, plain quotes and without contractions; its end is left as it is."""
    words = " ".join(text.translate(_QUOTES).lower().split()).strip()
    words = re.sub(rf"({COLOR}) ({_NOUN}) (.+) (an? {COLOR}) one\b", r"\1 \2 \3 \4 \2", words)
    for pattern, full in CONTRACTIONS:
        words = re.sub(pattern, full, words + " ").strip()
    return re.sub(r"\b(?:i am|we are) (?:looking|searching|hunting) for ", "find ", words)


def read_sentence(text: str) -> Sentence:
    """The request in `text`, which may be a question, polite, and name a color."""
    words = spelled(plain(text))
    bare = stripped(words)
    color = ""
    for pattern, left in _COLORED:
        match = re.search(pattern, bare)
        changes = (
            match and match[0].lstrip(", ").startswith(("with ", "using ", "by ")) and _CHANGING.match(bare)
        )
        if match and match[0] != match["color"] and not changes:
            color = match["color"]
            bare = stripped(
                " ".join((bare[: match.start()] + match.expand(left) + bare[match.end() :]).split())
            )
            break
    return Sentence(words, bare, _SAME.get(color, color), words.rstrip(" .!").endswith("?"))


# Only long words are set right by their likeness, for among short ones a slip is too often another word: rain, moth and
# gain are one letter from grain, mouth and grain. Of shorter ones those slips that are no words.
_TYPABLE = (
    "segment highlight outline select isolate extract detect locate classify circle denoise deblur sharpen watermark "
    "remove delete shoulder elbow wrist ankle eyebrow corner leftmost rightmost topmost biggest smallest largest "
    "picture"
).split()
_WORDS = frozenset("coroner denise elects circlet deletes deleter pictured removal".split())  # as near, but meant
_SLIPS = {"detct": "detect", "wich": "which", "wrsit": "wrist", "elbwo": "elbow", "ankel": "ankle", "imgae": "image",
          "pictue": "picture", "masc": "mask", "blury": "blurry", "nosie": "noise", "shoudler": "shoulder",
          "hilight": "highlight", "bluury": "blurry", "noisey": "noisy", "noize": "noise", "grainey": "grainy",
          "graniy": "grainy", "sholder": "shoulder", "shouder": "shoulder"}  # fmt: skip


def spelled(words: str) -> str:
    """The words with slips in those that say what to do, and in names of joints, set right ("segement", "sholder")."""
    from difflib import get_close_matches

    def right(match: re.Match[str]) -> str:
        word = match[0]
        if word in _SLIPS:
            return _SLIPS[word]
        known = {word, word.rstrip("s")} & {*_TYPABLE, *_WORDS}
        if known or len(word) < 6 or word.endswith(("ing", "ed", "er", "ers")):
            return word
        return next(iter(get_close_matches(word, _TYPABLE, 1, 0.88)), word)

    return re.sub(r"(?<![\w'-])[a-z]{4,}(?![\w'-])", right, words)


@cache
def _edges() -> tuple[tuple[re.Pattern[str], ...], tuple[re.Pattern[str], ...]]:
    return tuple(re.compile("^" + p) for p in OPENINGS), tuple(re.compile(p + "$") for p in CLOSINGS)


@cache
def _gerunds() -> dict[str, str]:
    forms = {}
    for verb in VERBS:
        stem = verb[:-1] if verb.endswith("e") else verb
        doubled = stem + stem[-1] if re.fullmatch(r"[a-z]*[^aeiou][aeiou][bdgmnpt]", verb) else stem
        forms.update({f"{stem}ing": verb, f"{doubled}ing": verb})
    return forms


def stripped(words: str) -> str:
    """The words without openings, closings and the marks at their end; a leading "-ing" verb in its plain form."""
    openings, closings = _edges()
    before = None
    while before != words:
        before = words
        words = words.strip(" .!?,;:-\"'") if not words.endswith("'") else words.strip(" .!?,;:-'\"")
        for pattern in openings:
            match = pattern.match(words)
            if match and match.end() < len(words):
                words = words[match.end() :]
        for pattern in closings:
            match = pattern.search(words)
            if match and match.start() > 0:
                words = words[: match.start()]
    first, _, rest = words.partition(" ")
    return f"{_gerunds()[first]} {rest}".strip() if first in _gerunds() and rest else words
