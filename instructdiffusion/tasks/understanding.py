"""Free words understood as the task that they are.

What is not surely another task is an edit, whose words stay as they are. A sentence is read in turn as one of the
model's own, as a restoration, as a choice between categories, and as a search whose answer is a mask, a box or a point.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from ..imaging.colors import Color, far_colors
from .categories import read_choice
from .evidence import ALIKE, ODD, weigh
from .flaws import read_flaw
from .instruction import Instruction, Understanding
from .landmarks import Landmark, point_set, points_task, read_landmarks, tail_landmarks
from .lexicon import DOTTING, MAKING, MASKING, PIXELS, SEARCH, SHAPE_NOUN
from .own_wordings import read_own
from .rephrasing import rephrased, tidied
from .searches import is_place, read_search
from .sentences import COLOR, Sentence, read_sentence, stripped
from .subjects import clean_subject, everything_but, is_picture, is_plural, split_subjects, tells_one
from .task import listed

_LONGEST = (
    300  # characters of a request; what says more describes an edit, and patterns would take long over it
)
_AREAS = ("segment", "refer", "detect")  # tasks whose subjects are things
_POINTS = ("keypoints", "align")


def understand(
    text: str, image: np.ndarray | None = None, *, task: str | None = None, verbatim: bool = False
) -> Instruction:
    """The Instruction that free words stand for, in the words that models know best; `understanding` says as what.

    Args:
        text: A request or question in English ("where is the star?"); lines are several subjects where `task` takes
            them.
        image: The picture, [h, w, 3], for colors that stand out from it.
        task: The task where it is known: the words are then its subject, or a sentence that names one. "edit" takes
            them as they are.
        verbatim: Whether words without a task are an edit whatever they say, as published checkpoints want it.

    Raises:
        ValueError: For empty words, an unknown task, and words that the task cannot answer.
    """
    from . import get_task

    if not text.strip():
        raise ValueError("the instruction is empty: say what to do, as in 'add a red star on the left'")
    if task is not None:
        return _of_task(get_task(task).name, text, image)
    if verbatim:
        return get_task("edit").instruct(text)
    return _instructed(read(text), text, image)


def read(text: str) -> Understanding:
    """What free words ask for; an edit where they are not surely another task."""
    meant = _by_patterns(text)
    odd = any(ODD.search(subject) for subject in meant.subjects)
    if len(text) <= _LONGEST and (meant.task == "edit" or odd) and (evidence := weigh(text)) is not None:
        if not odd or evidence.task in ALIKE.get(meant.task, ()):
            return replace(evidence, colors=meant.colors) if odd else evidence
    return meant


def _by_patterns(text: str) -> Understanding:
    """What a sentence asks for as a whole; an edit where no pattern knows it."""
    if len(text) > _LONGEST:
        return Understanding("edit")
    words = tidied(text)
    meant = _meant(read_sentence(words))
    if meant.task == "edit" and (other := rephrased(words)) != words:
        meant = _meant(read_sentence(other))
    return meant


def _meant(sentence: Sentence) -> Understanding:
    if (own := _own(sentence)) is not None:
        return own
    if (task := read_flaw(sentence)) is not None:
        return Understanding(task)
    if (categories := read_choice(sentence)) is not None:
        return Understanding("classify", categories)
    return _search(sentence) or Understanding("edit")


def _instructed(meant: Understanding, text: str, image: np.ndarray | None) -> Instruction:
    from . import get_task

    task = get_task(meant.task)
    if meant.task == "edit":
        return replace(task.instruct(text), understanding="understood as an edit")
    if not task.palette:
        return replace(task.instruct(), understanding=f"understood as {meant.task}")
    subjects = _checked(meant)
    colors, note = _shades(meant, task.palette, image)
    made = task.instruct(subjects, colors, picture=image)
    pairs = [f"'{s}' in {c.name}" for s, c in zip(made.subjects, made.colors, strict=True)]
    what = listed(pairs)
    if meant.rest:
        what = f"everything but {what}"
    return replace(made, understanding=f"understood as {meant.task}: {what}{note}", complement=meant.rest)


def _checked(meant: Understanding) -> tuple[str, ...]:
    """The subjects; ValueError for a rest where the task marks no rest, and for too many."""
    from . import get_task

    most = get_task(meant.task).max_subjects
    if meant.rest and meant.task != "segment":
        raise ValueError(
            f"{meant.task} finds what is named, not everything but {listed(meant.subjects)}: have that "
            f"segmented, as "
            f"in 'segment everything but {listed(meant.subjects)}'"
        )
    if len(meant.subjects) > most:
        raise ValueError(f"{meant.task} answers for at most {most} at once, got {len(meant.subjects)}")
    return tuple(dict.fromkeys(meant.subjects))


def _shades(
    meant: Understanding, palette: tuple[Color, ...], image: np.ndarray | None
) -> tuple[list[Color] | None, str]:
    """(colors, or None for ones that stand out; what there is to say of those that cannot be had).

    Subjects without a color beside ones with theirs get others; a last subject's alone is meant for all.
    """
    names = [c for c in meant.colors if c]
    count = len(set(meant.subjects))
    if not names:
        return None, ""
    shades = {c.name: c for c in palette}
    unknown = [c for c in names if c not in shades]
    if unknown:
        return None, f" ({unknown[0]} is no color that {meant.task} draws in)"
    each = len(meant.colors) == count and (count == 1 or len(names) > 1 or not meant.colors[-1])
    if not each or len(set(names)) != len(names):
        return None, f" (each has a color of its own, not all {names[0]})" if count > 1 else ""
    others = tuple(c for c in palette if c.name not in names)
    missing = count - len(names)
    chosen = others[:missing] if image is None or not missing else far_colors(image, None, others, missing)
    further = iter(chosen)
    return [shades[c] if c else next(further) for c in meant.colors], ""


def _of_task(task: str, text: str, image: np.ndarray | None) -> Instruction:
    """The words as a task's subjects: what a sentence asks for, else each line one."""
    from . import get_task

    known = get_task(task)
    if not known.palette:
        return (
            Instruction(" ".join(text.lower().split()), task)
            if not known.max_subjects
            else known.instruct(text)
        )
    lines = [line for line in text.splitlines() if line.strip()]
    meant = _by_patterns(text) if len(lines) == 1 else Understanding("edit")
    kin = (task == "classify") == (meant.task == "classify")
    if kin and meant.subjects:
        return _instructed(replace(meant, task=task), text, image)
    if (left := everything_but(stripped(" ".join(lines).lower()))) and len(lines) == 1:
        return _instructed(Understanding(task, _things(left), rest=True), text, image)
    if task in _POINTS and len(lines) == 1 and (points := _points_of(lines[0].lower())):
        return known.instruct(tuple(p.name for p in points), picture=image)
    return known.instruct("\n".join(lines), picture=image)


def _own(sentence: Sentence) -> Understanding | None:
    """A sentence of the model's own, which names its colors."""
    for words in dict.fromkeys((stripped(sentence.words), sentence.words.rstrip(" .!"))):
        for task, subjects, colors in read_own(words):
            if task in _POINTS:
                points = [read_landmarks(s) for s in subjects]
                if not all(len(p) == 1 for p in points):
                    continue
                task = _own_points(task, [p[0] for p in points])
                subjects = tuple(p[0].name for p in points)
            elif task == "detect":
                subjects = split_subjects(subjects[0])
                if any(is_place(s) for s in subjects):
                    continue
            elif task in ("segment", "refer"):
                if (rest := everything_but(subjects[0])) is not None:
                    return Understanding("segment", _things(rest), colors, rest=True)
                subjects = split_subjects(_bare(subjects[0]))
                one = task == "refer" or tells_one(subjects[0]) or bool(_ONLY.search(sentence.words))
                one = one and len(subjects) == 1
                task = "refer" if one and not is_plural(subjects[0]) else "segment"
            if task in _AREAS:
                subjects = tuple(clean_subject(s) for s in subjects)
            if task == "classify" and any(re.search(r"\b(?:if|for|when|means)\b", s) for s in subjects):
                continue
            return Understanding(task, tuple(subjects), tuple(colors))
    return None


_ONLY = re.compile(r"\b(?:only|nothing (?:but|else)|alone|no other|just (?=the |a |an |that ))")


def _bare(words: str) -> str:
    """The subject alone: without "only", and without its pixels."""
    words = re.sub(
        rf"^(?:only|just|nothing but|exclusively|solely|(?:me )?which pixels (?:are|show) |{PIXELS})",
        "",
        words,
    )
    return re.sub(r" (?:only|alone)$", "", words.strip())


def _own_points(task: str, points: list[Landmark]) -> str:
    """The points' own task where they tell; the template's for an eye, ear or nose without side, which both "
    "have."""
    return task if all(p.kind in ("shared", "limb") and not p.side for p in points) else points_task(points)


def _search(sentence: Sentence) -> Understanding | None:
    """Something to be shown: as a mask, a box or points."""
    is_question = re.fullmatch(
        rf"(?:(?:{SEARCH}|{MASKING}|{DOTTING}|{MAKING.strip()}|where are) ?)?(?P<s>.+)", sentence.text
    )
    if is_question and (whole := point_set(is_question["s"], _names_points)):
        return Understanding(*whole)
    search = read_search(sentence.text, sentence.color)
    thing = re.search(rf"\b{COLOR} {SHAPE_NOUN}\b", sentence.text)  # "the red dot on the nose" is no point
    ending = () if thing else tail_landmarks(sentence.text, _points_of)
    if ending and all(_is_point(p, False) for p in ending):
        sentence_colors = (sentence.color,) if sentence.color else ()
        return Understanding(points_task(ending), tuple(p.name for p in ending), sentence_colors)
    if search is None:
        return _named(sentence)
    mark, words = search
    colored = (sentence.color,) if sentence.color else ()
    only = bool(_ONLY.search(sentence.words))
    words = _bare(words)
    if (left := everything_but(words)) is not None:
        task = {"mask": "segment", "any": "segment"}.get(mark, "detect" if mark != "point" else "align")
        return Understanding(task, _things(left), colored, rest=True)
    shades = re.findall(rf" in ({COLOR})(?=,| and |$)", words)  # "the left eye in blue and the nose in green"
    points = _points_of(re.sub(rf" in {COLOR}(?=,| and |$)", "", words))
    if shades and len(shades) + bool(sentence.color) == len(points):
        colored = (*shades, *colored)
    loose = mark in ("point", "ring")
    if points and mark not in ("mask", "box", "count") and all(_is_point(p, loose) for p in points):
        return Understanding(points_task(points), tuple(p.name for p in points), colored)
    if mark == "point":
        return None
    words = re.sub(
        r"^(?:everything|anything|all|what) (?:that|which) (?:is|are|looks? like) (?:an? |the )?",
        "the ",
        words,
    )
    words = re.sub(r"^(?:the )?(?:subject|object|thing|class): ", "", words)
    subjects, colors = _with_colors(words, sentence.color)
    if mark in ("box", "count", "locate", "ring"):
        return None if any(is_place(s) for s in subjects) else Understanding("detect", subjects, colors)
    one = len(subjects) == 1 and not is_plural(words) and (only or tells_one(subjects[0]))
    return Understanding("refer" if one else "segment", subjects, colors)


def _named(sentence: Sentence) -> Understanding | None:
    """A phrase without a verb: points of a figure, or the one thing that it tells."""
    words = re.sub(r"^(?:only|just) ", "", sentence.text)
    points = _points_of(words)
    colored = (sentence.color,) if sentence.color else ()
    if points and all(_is_point(p, False) for p in points):
        return Understanding(points_task(points), tuple(p.name for p in points), colored)
    if re.match(r"the ", words) and len(words.split()) <= 12 and not _VERBAL.search(words):
        if _SEEING.match(sentence.words) and not is_picture(words):
            return Understanding("refer" if tells_one(words) else "segment", (words,), colored)
        if tells_one(words) or words != sentence.text:
            return Understanding("refer", (words,), colored)
    return None


_SEEING = re.compile(r"(?:let me|can i|could i|may i)(?: please)? see the ")
_VERBAL = re.compile(
    r"\b(?:is|are|should|must|has|have|needs?|wants?|will|would|could|becomes?|turns?|made|into|instead|gone|as"
    r"|and|to be)\b|,"
)


def _is_point(point: Landmark, loose: bool) -> bool:
    """Whether a part is a point: a hand or a wheel is one only where a point is asked for, or has a side."""
    if point.kind == "thing":
        return loose
    return point.kind != "limb" or loose or bool(point.side)


def _names_points(words: str) -> bool:
    points = _points_of(words)
    return bool(points) and all(_is_point(p, False) for p in points)


def _things(words: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(clean_subject(s) for s in split_subjects(words)))


def _with_colors(words: str, last: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(subjects, names of colors) of a list whose things may each be followed by "in red"; `last` is the "
    "last one's."""
    subjects, colors = [], []
    clauses = re.split(rf"(?<= in )({COLOR})(?:,? and |, )(?=the |a |all |my |every )", words)
    parts = [a + b for a, b in zip(clauses[::2], [*clauses[1::2], ""], strict=True)]
    for part in parts if len(parts) > 1 else split_subjects(words):
        match = re.fullmatch(rf"(.+) in ({COLOR})", part)
        subjects.append(clean_subject(match[1] if match else part))
        colors.append(match[2] if match else "")
    if colors and not colors[-1]:
        colors[-1] = last
    return tuple(subjects), tuple(colors)


def _points_of(words: str) -> tuple[Landmark, ...]:
    """The points that a list of parts names; none where one of them is no part."""
    words = re.sub(
        r"\b(left|right) (?:and|or) (?:the )?(left|right) ((?:mouth )?\w+?)(s?)\b", r"\1 \3 and \2 \3", words
    )
    shared = re.fullmatch(
        r"(.+?)( (?:of|on) (?:the|his|her|this|that|a) (?!mouth|tail|nose|head)[^,]+)", words
    )
    body, owner = (shared[1], shared[2]) if shared and re.search(r",| and ", shared[1]) else (words, "")
    points: list[Landmark] = []
    for part in re.split(r",? and |, (?:and )?|,? as well as |,? plus | & ", body):
        landmarks = read_landmarks(part + owner if owner and " of " not in part else part)
        if not landmarks:
            return ()
        points += landmarks
    return tuple({p.name: p for p in points}.values())
