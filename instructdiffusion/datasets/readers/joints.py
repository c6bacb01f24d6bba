"""Joints: one name for each in all datasets, the orders in which datasets list them, and left and right swapped.

Points are pixels in this package's convention, where the centre of the first pixel is (.5, .5); datasets that
number pixels from 0 are shifted by +.5 (`SHIFT`), MPII, which numbers them from 1, by -.5.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np

from ...results import Boxes, Keypoints, Label, Masks
from ..records import Record

SHIFT = 0.5


def _sides(*names: str) -> tuple[str, ...]:
    return tuple(f"{side} {name}" for name in names for side in ("left", "right"))


def _one_side(side: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{side} {name}" for name in names)


# The orders of the files.
COCO = ("nose", *_sides("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"))
CROWDPOSE = (*_sides("shoulder", "elbow", "wrist", "hip", "knee", "ankle"), "top of the head", "neck")
MPII = (
    *_one_side("right", "ankle", "knee", "hip"),
    *_one_side("left", "hip", "knee", "ankle"),
    *("pelvis", "thorax", "neck", "top of the head"),
    *_one_side("right", "wrist", "elbow", "shoulder"),
    *_one_side("left", "shoulder", "elbow", "wrist"),
)
AIC = (
    *_one_side("right", "shoulder", "elbow", "wrist"),
    *_one_side("left", "shoulder", "elbow", "wrist"),
    *_one_side("right", "hip", "knee", "ankle"),
    *_one_side("left", "hip", "knee", "ankle"),
    *("top of the head", "neck"),
)
AP10K = (
    *_sides("eye"),
    *("nose", "neck", "root of the tail"),
    *_one_side("left", "shoulder", "elbow", "front paw"),
    *_one_side("right", "shoulder", "elbow", "front paw"),
    *_one_side("left", "hip", "knee", "back paw"),
    *_one_side("right", "hip", "knee", "back paw"),
)
# Where an animal's joint is compared with a person's: COCO's name -> AP-10K's. Animals have no ears there.
AP10K_FOR_COCO = {
    "nose": "nose",
    **{n: n for part in ("eye", "shoulder", "elbow", "hip", "knee") for n in _sides(part)},
    **{f"{side} wrist": f"{side} front paw" for side in ("left", "right")},
    **{f"{side} ankle": f"{side} back paw" for side in ("left", "right")},
}

# What datasets call joints -> their one name, after `unified` has made the words plain.
_SYNONYMS = {
    "head": "top of the head",
    "head top": "top of the head",
    "top head": "top of the head",
    "upper neck": "neck",
    "root of tail": "root of the tail",
    "tail root": "root of the tail",
    "left paw": "left front paw",
    "right paw": "right front paw",
    "left f paw": "left front paw",
    "right f paw": "right front paw",
    "left b paw": "left back paw",
    "right b paw": "right back paw",
}


def unified(name: str) -> str:
    """The one name of a joint: "Left_Shoulder", "left shoulder" and "LShoulder" are "left shoulder"."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", re.sub(r"^([LR])(?=[A-Z][a-z])", r"\1 ", name))
    words = re.sub(r"[\s_\-]+", " ", spaced).strip().lower()
    words = re.sub(r"^l ", "left ", re.sub(r"^r ", "right ", words))
    words = re.sub(r"^(.*) (left|right)$", r"\2 \1", words)
    return _SYNONYMS.get(words, words)


def spoken(name: str) -> str:
    """The joint as an instruction asks for it: "the left shoulder"."""
    return f"the {name}"


# "right" that is no side whatever stands around it, and "left" that is none.
_NO_SIDE = re.compile(r"\b(?:all right|right (?:now|away|angles?|side up)|left ?overs?)\b", re.IGNORECASE)
# A "right" that says how near, and a "left" that is a verb, unless what stands before makes it a place: "on the right
# behind the table", "guy on left in red".
_NEAR = re.compile(
    r"\b(?:right (?:here|there|next|behind|above|below|beside|under|over|in front|up|down|after|before|at|by)|"
    r"(?:is|are|was|were|what's|has|have|had) left(?! of)|left (?:behind|alone|out|open|in|on|over|after|standing))\b",
    re.IGNORECASE,
)
_AT = re.compile(
    r"\b(?:on|to|at|from|towards?|far|near|top|bottom|upper|lower|front|back)"
    r"(?: the| his| her| its| their| your| my| our)? $",
    re.IGNORECASE,
)
# Short forms, which `swap_words` leaves, and what may be a verb or mean "correct": "who left", "only one left", "make
# it right", "the right colour".
_UNSURE = re.compile(
    r"\b(?:l|r|lft|lt|rt|rgt|rght|lhs|rhs)\b"
    r"|\b(?:who|which|that|this|it|he|she|they|we|you|i|ones?|rest|pieces?|slices?|bites?|just|nothing|none|nobody|"
    r"something|someone|anything|anyone|be|been|being|got|gets?|there's|he's|she's|it's|"
    r"(?:only|last|few|more|no|any)(?: \w+)?) left\b(?![ -](?:of|sided?|hand(?:ed)?|most)\b)"
    r"|\b(?:it|this|that|them|these|those|everything|just|so|quite|not|is|are|be|it's|that's|looks?|looking|seems?|"
    r"feels?|get|got|put|set|do|done|make|makes|making) right\b(?![ -](?:of|sided?|hand(?:ed)?|most)\b)"
    r"|\bright (?:colou?r|tone|shade|hue|size|shape|way|amount|exposure|balance|answer|order|place|position|spot|"
    r"moment|time|word|direction|level|contrast|brightness|light|lighting|temperature|perspective|proportion|mood|"
    r"look|style|kind|type|sort|number|letter|fit|thing to)s?\b",
    re.IGNORECASE,
)
_SIDE = re.compile(
    r"(?<![a-z])(left|right)(?=$|[^a-z]|most\b|hand\b|side\b|wards?\b|ie\b|er\b)", re.IGNORECASE
)


def sure_of_sides(text: str) -> bool:
    """Whether every left and right of the text is plainly a side, or plainly none.

    Of other texts ("who left", "the lft one", "make it right") `swap_words` may change the meaning: what they are
    said of is not to be mirrored.
    """
    return _UNSURE.search(text) is None and not _near(text)


def _near(text: str) -> list[re.Match[str]]:
    """What `_NEAR` finds, but for what `_AT` makes a place."""
    return [m for m in _NEAR.finditer(text) if not _AT.search(text, 0, m.start())]


def swap_words(text: str) -> str:
    """The text with left and right exchanged, as a mirrored picture needs it; capitals are kept.

    "right behind", "right now", "all right", "leftover" and "is left" name no side and stay; "on the right behind
    the table" does. What no rule can tell, `sure_of_sides` says.
    """
    spans = [match.span() for match in (*_NO_SIDE.finditer(text), *_near(text))]

    def other(match: re.Match[str]) -> str:
        word = match.group(1)
        if any(start <= match.start() < end for start, end in spans):
            return word
        swapped = "right" if word.lower() == "left" else "left"
        return swapped.upper() if word.isupper() else swapped.capitalize() if word[0].isupper() else swapped

    return _SIDE.sub(other, text)


def mirrored(record: Record) -> Record:
    """The record seen in a mirror: picture, target, and left and right in every word and joint.

    A picture with legible text mirrors its letters; a caller who cares leaves such records alone.
    """
    image = np.ascontiguousarray(record.image[:, ::-1])
    subjects = tuple(swap_words(s) for s in record.subjects)
    target = _mirrored(record.target, record.image.shape[1])
    meta: dict[str, Any] = {**record.meta, "mirrored": not record.meta.get("mirrored", False)}
    return replace(
        record, image=image, subjects=subjects, target=target, caption=swap_words(record.caption), meta=meta
    )


def _mirrored(target: Any, width: int) -> Any:
    if isinstance(target, np.ndarray):
        return np.ascontiguousarray(target[:, ::-1])
    if isinstance(target, tuple):
        return tuple(_mirrored(part, width) for part in target)
    if isinstance(target, Label):
        scores = {swap_words(k): v for k, v in target.scores.items()}
        return replace(target, name=target.name and swap_words(target.name), scores=scores)
    if isinstance(target, Keypoints):
        xy = target.xy.copy()
        xy[..., 0] = width - xy[..., 0]
        return replace(target, xy=xy, names=tuple(swap_words(n) for n in target.names))
    if isinstance(target, Masks):
        labels = tuple(swap_words(n) for n in target.labels)
        return replace(target, data=np.ascontiguousarray(target.data[:, :, ::-1]), labels=labels)
    if isinstance(target, Boxes):
        xyxy = target.xyxy[:, [2, 1, 0, 3]].copy()
        xyxy[:, [0, 2]] = width - xyxy[:, [0, 2]]
        return replace(target, xyxy=xyxy, labels=tuple(swap_words(n) for n in target.labels))
    raise TypeError(f"cannot mirror a {type(target).__name__}")
