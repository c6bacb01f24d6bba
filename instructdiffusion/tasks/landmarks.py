"""Points by name: which task finds a joint or a part of a face, and what "both eyes" stands for."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .lexicon import (
    BODY_PART,
    FACE,
    FACE_PART,
    HUMAN,
    LIMB,
    POINT_SETS,
    SHARED_PART,
    SIDE,
    THING_PART,
)

_PARTS = (
    ("body", BODY_PART),
    ("face", FACE_PART),
    ("shared", SHARED_PART),
    ("limb", LIMB),
    ("thing", THING_PART),
)
_ARTICLE = r"(?:(?:the|a|an|his|her|its|their|my|your|this|that|all|each|every|either|of|both) )*"
_PAIRED = (
    r"(?:eye|ear|eyebrow|brow|mouth corner|shoulder|elbow|wrist|hip|knee|ankle|hand|foot|cheek|pupil|nostril)"
)
_FOUR = r"(?:paw|hoof)"
_SINGLE = {"feet": "foot", "hooves": "hoof", "eyelashes": "eyelash", "irises": "iris"}


@dataclass(frozen=True)
class Landmark:
    """A point by name. kind: "body", "face", "shared", "limb" or "thing"; side and owner: "" where none is said."""

    name: str
    kind: str
    side: str = ""
    owner: str = ""


def read_landmarks(subject: str) -> tuple[Landmark, ...]:
    """The points that words such as "both eyes" or "the dog's nose" name; none where they name no point."""
    words = re.sub(
        r"^(?:the )?(?:exact )?(?:tip|center|middle|location|position|spot) of (?!the (?:head|tail|wing|nose))",
        "",
        subject,
    )
    words = _turned(re.sub(r"(?<=[a-z]) (?:joint|center|centre)$", "", words))
    for kind, part in _PARTS:
        match = re.fullmatch(
            rf"{_ARTICLE}({SIDE})({part})(?: (?:of|on|in|from) (?:(?:the|a|his|her|this|my|that|their) )?(.+))?",
            words,
        )
        if match and not (kind == "thing" and not match[3]):
            break
    else:
        return ()
    side, name, owner = match[1].strip(), match[2], match[3] or ""
    owner = "" if re.fullmatch(rf"(?:\w+ )?{FACE}", owner) and kind in ("face", "shared") else owner
    return tuple(Landmark(_name(s, one, owner), kind, s, owner) for s, one in _sided(side, name, subject))


_CUE = re.compile(
    r"\b(?:find|where|mark|dots?|points?|pin|show|locate|circle|see|detect\w*|identify|landmarks?|key ?points?"
    r"|joints?|indicate"
    r"|pinpoint|spot|marker|cross ?hair|pose|alignment|align|touch|track|label|highlight|position|coordinates|need)\b"
)
_OTHERWISE = re.compile(
    r"\b(?:segment\w*|masks?|masking|box|boxes|rectangles?|pixels|cut|isolate|extract|select|remove|erase|delete"
    r"|make|turn|close"
    r"|open|paint|color|change|replace|give|blur|cover|lift|bend|raise|move|swap|hide|enlarge|shrink|add(?! "
    r"(?:an? )?(?:\w+ )?"
    r"(?:dot|point|marker))|put(?! (?:an? |one |the )?(?:\w+ )?(?:dots?|points?|markers?|cross|circle|pins?"
    r"|spots?|your finger))"
    r"|draw(?! (?:an? |one )?(?:\w+ )?(?:dots?|points?|circles?|cross)))\b"
)
_AFTER = re.compile(
    r"(?:[,;:?-]+ ?|,? (?:and|then) )(?:where|mark (?:it|them)|dot (?:it|them)).*$|,? would be (?:great|nice"
    r"|good|lovely)$"
)


def tail_landmarks(text: str, read: Callable[[str], tuple[Landmark, ...]]) -> tuple[Landmark, ...]:
    """The points in whose names a request to show them ends, however it begins; none for another request."""
    bare = _AFTER.sub("", text)
    if _OTHERWISE.search(bare):
        return ()
    for start in re.finditer(r"(?<![\w'-])(?=\w)", bare):
        points = read(bare[start.start() :].strip(" ?."))
        if points:
            return points if _CUE.search(bare[: start.start()] + text[len(bare) :]) else ()
    return ()


def _turned(subject: str) -> str:
    """The subject with an owner said behind its part: "the dog's nose" as "the nose of the dog"."""
    if re.search(r"\b(?:is|are|where|mark|find|show)\b", subject):
        return subject
    match = re.fullmatch(r"(?:(?:the|a|my|this|that) )?([\w -]+?)(?:'s|s') (.+)", subject)
    return f"the {match[2]} of the {match[1]}" if match else subject


def _sided(side: str, name: str, subject: str) -> list[tuple[str, str]]:
    """(side, part) of every point of one name: both sides where several are meant."""
    one = _SINGLE.get(
        name,
        re.sub(r"s\b(?= of\b)|s$", "", name)
        if not name.endswith(("ss", "lips", "us", "is", "pelvis"))
        else name,
    )
    one = re.sub(r"^corner of (?:the |his |her )?(?:mouth|lips)$", "mouth corner", one)
    one = {"brow": "eyebrow", "nose tip": "nose", "tip of the nose": "nose"}.get(one, one)
    many = (
        one != name
        and name.endswith(("s", "feet", "hooves"))
        or bool(re.search(r"\b(?:both|two|each|every|either)\b", subject))
    )
    plain = " ".join(
        w for w in re.split(r"[ -]", side) if w not in ("both", "two", "all", "each", "every", "either", "")
    )
    if not many or re.search(r"\b(?:left|right)\b", plain):
        return [(plain, one)]
    if re.fullmatch(_FOUR, one) and plain in ("", "front", "back"):
        rows = (plain,) if plain else ("front", "back")
        return [(f"{s} {row}", one) for row in rows for s in ("left", "right")]
    if re.fullmatch(_PAIRED, one):
        return [(f"{s} {plain}".strip(), one) for s in ("left", "right")]
    return [(plain, one)]


def _name(side: str, part: str, owner: str) -> str:
    words = f"the {side} {part}" if side else f"the {part}"
    if not owner:
        return words
    return f"{words} of {owner}" if re.match(r"(?:the|all|a|an)\b", owner) else f"{words} of the {owner}"


def point_set(subject: str, is_point: Callable[[str], bool]) -> tuple[str, tuple[str, ...]] | None:
    """(task, subjects) that words for points as a whole stand for, as "the facial landmarks"; None for others.

    is_point: whether words name points themselves: "the keypoints of both knees" are these, not those of a figure.
    """
    for pattern, (task, names) in POINT_SETS.items():
        match = re.fullmatch(
            rf"(?:(?:the|all|all the|his|her|its|their|main|some) )*{pattern}(?: (?:of|on|in|for) (?:(?:the|this"
            rf"|that|his|her|a|my) )?(.+))?",
            subject,
        )
        if match and match[1] and is_point(match[1]):
            return None
        if match and match[1] and re.match(r"(?:the )?(?:key ?point|joint|landmark) of ", subject):
            return task, (f"the {match[1]}",)  # one point by a name that is not known, not those of a figure
        if match:
            owner = (match[1] or "") if task == "keypoints" else ""
            if owner and re.fullmatch(rf"(?:\w+ )?{FACE}", owner):
                return POINT_SETS[next(iter(POINT_SETS))]
            return task, tuple(f"{n} of the {owner}" if owner else n for n in names)
    return None


def points_task(points: Sequence[Landmark]) -> str:
    """ "keypoints" or "align": joints of a figure, or parts of a face or thing."""
    kinds = {p.kind for p in points}
    if "body" in kinds:
        return "keypoints"
    if kinds & {"face", "thing"}:
        return "align"
    if "limb" in kinds:
        return "keypoints"
    for point in points:  # eyes, ears and noses, which a face has and an animal too
        human = bool(re.search(rf"\b{HUMAN}\b", point.owner))
        if "nose" in point.name.split() and point.owner or point.owner and not human:
            return "keypoints"
        if "nose" not in point.name.split() and not point.side and not point.owner:
            return "keypoints"
    return "align"
