"""How people ask for a thing to be shown: patterns, and which of a mask, a box and a point each of them wants."""

from __future__ import annotations

import re

from .lexicon import (
    ARTICLE,
    BOX_NOUN,
    BOXING,
    COLORING,
    DISC_NOUN,
    DOTTING,
    EVERYTHING,
    HUMAN,
    INSIDE,
    MAKING,
    MASK_NOUN,
    MASKING,
    PICTURE,
    PICTURE_NOUN,
    PIXELS,
    PLACES,
    SEARCH,
    STRICT_MASKING,
)
from .sentences import COLOR, stripped

_S = r"(?P<s>.+?)"
_WITH = r"(?:with|using|by|in|inside|into|under|behind|as)"
_A = ARTICLE.replace("the |", "")  # of what is drawn: "a box" is, "the box" may be in the picture
_COVER = MASK_NOUN.replace("|shape|region", "")  # "find the red shape" asks for a thing
_SHALL = r"(?:(?:should|must|has to|have to|needs? to|is to|are to|shall|to) (?:be )?)?"
_AT = r"(?: located| hiding| placed| positioned| to be found| at| standing| sitting| lying)?"
# What is wanted: "mask", "box", "count", "point"; "locate": a box of a thing, "ring": a box of a thing, both a point of
# a part; "worn": a mask, unless one can wear it; "any": a point of a part, else a mask.
_PATTERNS: tuple[tuple[str, str], ...] = (
    ("mask", rf"(?:{MAKING})?(?:the )?(?:shape of |outline of )?{_S} as {ARTICLE}{MASK_NOUN}"),
    ("mask", rf"(?:{MAKING})?{ARTICLE}{MASK_NOUN}(?: image)?: {_S}"),
    ("mask", rf"(?:{MAKING}|{SEARCH} |{MASKING} ){ARTICLE}{MASK_NOUN} (?:of|for|over|around) {PIXELS}?{_S}"),
    ("mask", rf"(?:isolate|separate|cut|cut out) {_S} (?:from|out of) .*"),
    ("mask", rf"(?:tell |show )?(?:me )?(?:which|what) pixels are (?:part of )?{_S}"),
    ("mask", rf"{_S} (?:should|must|shall|has to) (?:get|have|receive) {ARTICLE}{MASK_NOUN}"),
    ("box", rf"{_S} (?:should|must|shall|has to) (?:get|have|receive) {ARTICLE}{BOX_NOUN}"),
    ("point", rf"{_S} (?:should|must|shall|has to) (?:get|have|receive) {ARTICLE}{DISC_NOUN}"),
    ("point", r"(?:key ?point|pose|landmark|joint|facial|face)s?(?: (?:detection|estimation|key ?points?|points?"
              r"|landmarks?"
              rf"|localization))?(?:,|:| of| for)+ {_S}"),
    ("point", rf"(?:put|place|lay) (?:your|a) finger on {_S}"),
    ("point", rf"(?:show|mark|point|indicate) with {_A}{DISC_NOUN},? (?:to |at |where )?{_S}(?: is| are)?"),
    ("any", rf"(?:in|at|on) (?:which|what) (?:place|pixel|spot|position|point|location) (?:is|are) {_S}"),
    ("any", rf"(?:which|what) (?:pixel|point|spot) (?:is|shows) {_S}"),
    ("any", rf"(?:{MAKING}|{SEARCH} |{MASKING} )?(?:the )?(?:exact )?(?:x ?,?y |xy |pixel |image )?"
            rf"(?:coordinates?|locations?|positions?|place|spot|whereabouts) of {_S}"),
    ("any", rf"where(?: {INSIDE})? (?:is|are) {_S}{_AT}"),
    ("any", rf"(?:mark|estimate|determine|figure out|show) where (?:exactly )?{_S} (?:is|are)"),
    ("any", rf"let me see {_S}"),
    ("any", rf"(?:referring )?segmentation: {_S}"),
    ("count", rf"how many {_S}(?: (?:are|is|can (?:you|i) see|do (?:you|i) see)(?: there)?)?"),
    ("count", rf"(?:count|(?:{MAKING})?{ARTICLE}number of) {_S}"),
    ("count", rf"(?:is|are) there (?:a |an |any |some )(?!.*\bor\b){_S}"),
    ("box", rf"(?:{SEARCH}|{MASKING}|draw|get|give) {PIXELS}?{_S} {_WITH} {_A}{BOX_NOUN}(?: around (?:it"
            rf"|them))?"),
    ("box", rf"(?:surround|enclose|frame|hide|wrap|cover|encase|bound) {_S} {_WITH} {_A}{BOX_NOUN}"),
    ("box", rf"(?:put|place) {_S} {_WITH} {ARTICLE}bounding {BOX_NOUN}"),
    ("box", rf"(?:{MAKING}|{SEARCH} |{MASKING} |fill )?{ARTICLE}{BOX_NOUN} (?:coordinates )?(?:around|round|over"
            rf"|about|for|of"
            rf"|enclosing|surrounding|covering|to enclose|that (?:contains?|encloses?|surrounds?)|containing|to "
            rf"surround) {_S}"),
    (
        "box",
        rf"(?:{MAKING})?{ARTICLE}(?:bounding {BOX_NOUN}|bbox|bboxes|detection boxe?s?) (?:on|onto|to|at) {_S}",
    ),
    ("box", rf"(?:{MAKING})?(?:the )?{_S} (?:bounding boxes|bounding box|bboxes|bbox|detections?)"),
    ("box", rf"(?:{MAKING}|{SEARCH} )?{ARTICLE}(?:bounding[ -]box(?:es)?|bbox(?:es)?):?(?: -)? "
            rf"(?!(?:in|on|at|to)\b){_S}"),
    ("box", rf"{BOX_NOUN}: {_S}"),
    ("box", rf"(?:(?:object )?detect(?:ion|or)|localization)(?: (?:of|for)|:| -) {_S}"),
    ("ring", rf"(?:draw|put|place|make|add) {ARTICLE}(?:circle|ring)s? (?:around|round|about) {_S}"),
    ("ring", rf"{_A}(?:circle|ring)s? (?:around|round|about) {_S}"),
    ("point", r"(?!point (?:at|to) )"
              rf"(?:{MAKING}|use )?{ARTICLE}{DISC_NOUN} (?:around|on|at|over|for|of|to|onto|by|where|in|upon) "
              rf"{_S}(?: is| are)?"),
    ("point", rf"(?:{SEARCH}|{MASKING}|{DOTTING}) {PIXELS}?{_S} (?:{_WITH}|as) {_A}{DISC_NOUN}"),
    ("point", r"(?!point (?:at|to|on) )"
              rf"(?:{MAKING}|{SEARCH} |{MASKING} )?(?:the )?(?:key ?points?|landmarks?|joints?|points?)(?: of| "
              rf"for| on| at)?:? {_S}"),
    ("mask", rf"(?:which|what)(?: of the)? (?:pixels?|parts?|areas?|regions?)(?: {INSIDE})? (?:is|are|belongs? "
             rf"to|shows?|makes? up"
             rf"|contains?|depicts?|covers?|forms?|has|have) {_S}"),
    ("mask", rf"(?:{MAKING}|{SEARCH} )?{ARTICLE}{MASK_NOUN} (?:of|for|over|around|covering|onto|that covers"
             rf"|across|from) {PIXELS}?{_S}"),
    ("worn", rf"{MAKING}{ARTICLE}{MASK_NOUN} (?:on|to) {PIXELS}?{_S}"),
    ("mask", rf"(?:{SEARCH}|{MASKING}|{COLORING}|give) {PIXELS}?{_S}(?: {_WITH})? {ARTICLE}{_COVER}"),
    ("mask", rf"(?:separate|split|divide|detach|tell|distinguish|cut|isolate|extract|segment) {_S} (?:apart )?from "
             r"(?:the |its |their )?(?:background|rest|surroundings?|everything else|others|remaining.*)"),
    ("mask", rf"(?:cut|pick|mask|single|segment|carve) {_S} out"),
    ("mask", rf"(?:(?:semantic )?segmentation|masking|mask|segment)(?: (?:of|for)|:| -) {_S}"),
    ("mask", rf"segment {PICTURE} (?:for|by|into|to (?:find|get|show)) {_S}"),
    ("locate", rf"{BOXING} {PIXELS}?{_S}"),
    ("any", rf"(?:point|pin|track) (?:out|to|at|towards?|down) {_S}"),
    ("ring", rf"{DOTTING} {_S}"),
    ("mask", rf"{STRICT_MASKING} {PIXELS}?{_S}"),
    ("any", rf"where (?:exactly |on earth )?(?:is|are|can (?:i|we|you) (?:find|see|spot)|do (?:you|i) (?:see"
            rf"|find)|could i find) {_S}{_AT}"),
    ("any", rf"(?:{SEARCH}|{MASKING}|tell(?: me)?|see|know|say|learn)(?: to)? (?:me |us |out )?where (?:exactly "
            rf")?(?:is |are )?{_S}"
            r"(?: is| are| sits?| stands?| lies?| can be found)?" + _AT),
    ("any", rf"where (?:does|do|did|has|have) {_S} (?:sit|stand|lie|hide|appear|live|start|end|go|gone|been)\w*"),
    ("any", rf"where {_S} (?:is|are|sits?|stands?){_AT}"),
    ("any", rf"(?:{MAKING}|{SEARCH} |{MASKING} )?(?:the )?(?:location|position|place|spot|whereabouts) of {_S}"),
    ("any", rf"(?:which|what)(?: one| thing| object| person| animal| shape| of them| of these)? (?:is|are) {_S}"),
    ("any", rf"(?:{SEARCH}|{MASKING}) {PIXELS}?{_S}"),
    ("any", rf"see (?=(?:the|any|a|an|all) )(?!.*\bor\b){_S}"),
    ("any", rf"do you see (?!.*\bor\b){_S}"),
    ("mask", rf"{_S} {_SHALL}(?:masked|segmented|highlighted|marked|outlined|selected|isolated|extracted|cut "
             rf"out)(?: out)?"),
    ("locate", rf"{_S} {_SHALL}(?:boxed|detected|located|boxed in)"),
    ("ring", rf"{_S} {_SHALL}(?:circled|dotted|marked with a dot|dotted|pinned|pointed out)"),
    ("mask", rf"(?:the |all |all the )?pixels? (?:of|belonging to|showing|that (?:show|are|belong to)) {_S}"),
    ("mask", r"(?:the )?(?P<s>[\w-]+) (?:mask|segmentation|segmentation mask|silhouette|cutout|outline)"),
)  # fmt: skip
_WHICH = re.compile(
    r"which (?P<noun>[\w ]+?) (?P<verb>is|are|stands?|sits?|lies?|has|wears|holds) (?P<rest>.+)"
)
# Words that go on with another thing to do: the first of them is a search, or the whole is an edit.
_THEN = re.compile(
    rf"(?P<first>.+?)(?:[?.;:,]+ ?(?:and |then |now )*| (?:and|then|and then) )(?P<then>(?:{SEARCH}|{MASKING}"
    rf"|{COLORING}"
    r"|where|make|create|box|circle|dot|ring|draw|put|place|answer|return|surround|lay|show|give|add|use|enclose"
    r"|outline|mask)\b.*)"
)  # fmt: skip
_IT = r"\b(?:it|them|that|its|their|those|one|this|him|her)\b"
_EDITS = re.compile(
    r"(?:\band|\bthen|,|;) (?:then )?(?:make|turn|put|replace|remove|add|change|give|paint|erase|delete|blur|swap"
    r"|draw|color"
    r"|recolor|increase|move|place|insert|transform|fill|let|rotate|flip|hide|cut)\b"
)
_SCENIC = re.compile(
    r" (?:as (?:a|an|if)|at (?:night|sunset|dawn|noon|dusk|sunrise)|like a|into (?:a|an)"
    r"|in (?:winter|summer|spring|autumn|the style|black and white|the rain|space|color|a different))\b"
)
_WEARERS = rf"\b(?:{HUMAN}|dog|cat|horse|animal)s?\b"


def read_search(text: str, color: str) -> tuple[str, str] | None:
    """(what is wanted, the subject's words) of a request for something to be shown; None where it is none.

    color: the name of the color that the answer is to have, "" where the request names none.
    """
    text = re.sub(r"^(?:only|just|solely|exclusively) ", "", text)
    text = re.sub(
        rf"^{SEARCH} (?:and|then|and then) (?=(?:{MASKING}|{BOXING}|{DOTTING}|{SEARCH}) )", "", text
    )
    match = _THEN.fullmatch(re.sub(r" - ", ", ", text))
    if match:
        mark = _wanted_of(match["then"], color)
        first = re.sub(r"^(?:do|can) (?:you|i|we) (?:see|find|spot) ", "", stripped(match["first"]))
        first = re.sub(r"^(?:a|an|any|some) ", "the ", first) if first != stripped(match["first"]) else first
        if mark is not None:
            searched = read_search(first, "") or (
                ("any", first)
                if re.match(r"(?:the|all|every|each) ", first) and not _EDITS.search(first)
                else None
            )
            if searched and _is_thing(searched[1]):
                return (searched[0] if mark == "any" else mark), searched[1]
    which = _WHICH.fullmatch(text)
    if which and not re.match(r"(?:one|thing|object|pixels?|parts?|areas?|regions?|of)\b", which["noun"]):
        rest = re.sub(r"^the ", "", which["rest"])
        short = re.fullmatch(rf"(?:[\w-]+most|[\w-]+est|(?:most|least) \w+|{COLOR})", rest)
        doing = {"has": "with ", "wears": "wearing ", "holds": "holding "}.get(which["verb"], "")
        return "any", f"the {rest} {which['noun']}" if short else f"the {which['noun']} {doing}{rest}"
    for mark, pattern in _PATTERNS:
        match = re.fullmatch(pattern, text)
        if match and _is_thing(match["s"]):
            if mark == "worn":
                wearable = re.search(r"\bmasks?\b", text) and not re.search(r"segmentation|pixel", text)
                if wearable and not color and re.search(_WEARERS, match["s"]):
                    continue
                mark = "mask"
            return mark, match["s"]
    if color:
        match = re.fullmatch(rf"{COLORING} {PIXELS}?{_S}", text)
        if match and _is_thing(match["s"]):
            return "mask", match["s"]
    return None


def _wanted_of(clause: str, color: str) -> str | None:
    """What a clause such as "draw a box around it" wants; None for one that changes the thing."""
    if re.search(rf"\b{COLOR}$", clause):
        return None
    if re.search(rf"\b{BOX_NOUN}\b", clause) or re.match(rf"box {_IT}", clause):
        return "box"
    if re.search(rf"\b(?:an?|the|some|{COLOR}) {DISC_NOUN}\b", clause) or re.match(
        rf"(?:circle|dot|ring) {_IT}", clause
    ):
        return "ring"
    if re.fullmatch(r"where(?: exactly)?(?: (?:is it|are they|is that))?", clause):
        return "any"
    if not re.search(_IT, clause):
        return None
    if re.search(rf"\b{MASK_NOUN}\b", clause) or color and re.match(COLORING, clause):
        return "mask"
    if re.fullmatch(rf"(?:{SEARCH}|{MASKING})(?: out)?(?: all of)? {_IT}(?: out| all| to me)?", clause):
        return "any"
    return None


def _is_thing(words: str) -> bool:
    """Whether words can be a thing to look for: no picture, no place, no pronoun, nothing else to do."""
    if re.fullmatch(rf"{EVERYTHING}", words) or re.fullmatch(PICTURE, words) or re.fullmatch(_IT, words):
        return False
    if re.match(rf"(?:(?:the|this|my|that) )*{PICTURE_NOUN} (?:in|as|at|with|without|like|from)\b", words):
        return False
    if re.fullmatch(r"(?:me|you|how|what(?! is not)|why|something|anything|nothing|us|out|up|the difference).*", words):
        return False
    return not (_EDITS.search(words) or _SCENIC.search(f" {words}"))


def is_place(words: str) -> bool:
    """Whether words say where something is to come ("the left", "the top right corner") rather than what it is."""
    return bool(re.fullmatch(PLACES, words))
