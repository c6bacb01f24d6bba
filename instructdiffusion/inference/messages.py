"""Messages: what there is to say about an answer, in plain sentences that claim no more than is known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..imaging.photograph import looks_like_photograph
from ..knowledge import Knowledge, words_of
from ..results import Boxes, Masks, Result
from ..tasks import Instruction, get_task

# Of 186 edits of what is there, all change more than this; of 200 of what is not there, 97 in 100 change less.
VISIBLE = 8  # levels of 255 that a pixel must change by to be seen
CLEAR, CLEAR_SHARE = 16, 0.0005  # levels, and the share of pixels that must change by more than these
_SIDE = 512  # pixels a side that are compared; larger pictures are thinned out
_MOST = 3  # words that are named one by one
# Before one of these the noun of a subject is over: "the star left of the circles" asks for one.
_BEHIND = frozenset(
    "of in on at with without above below under over near between behind before beside by to from that which who "
    "next".split()
)
_MANY = frozenset("all every each both some any many several two three four five".split())
_PLURALS = frozenset("people men women children feet teeth mice geese cattle fish sheep deer".split())


def message(
    knowledge: Knowledge | None,
    instruction: Instruction,
    source: np.ndarray | None,
    result: Result | np.ndarray | None = None,
    picture: np.ndarray | None = None,
) -> str:
    """All `remarks` in one line; empty where there is nothing to say."""
    return "; ".join(remarks(knowledge, instruction, source, result, picture))


def remarks(
    knowledge: Knowledge | None,
    instruction: Instruction,
    source: np.ndarray | None,
    result: Result | np.ndarray | None = None,
    picture: np.ndarray | None = None,
) -> list[str]:
    """What there is to say about one answer, the answer itself first.

    knowledge: the model's (`knowledge.read_knowledge`), None where it says nothing of itself. source: the picture asked
    about, uint8 [h, w, 3], result: what was read back, or None where nothing was yet, picture: what the model drew, of
    the source's size; what is None is not spoken of.
    """
    task = get_task(instruction.task)
    said = _answered(instruction, source, result, picture)
    understood = getattr(instruction, "understanding", "")  # of free words; an older copy's instruction has none
    first = [understood] if understood else []
    if knowledge is None or not task.max_subjects:  # such tasks need no words, and do for photographs
        return first + said
    said += _unknown(knowledge, instruction, _is_answered(said, instruction, result, picture))
    if knowledge.draws_only and source is not None and _asks_for_things(knowledge, instruction):
        said += [_photograph(knowledge)] if looks_like_photograph(source) else []
    return first + said


def _answered(
    instruction: Instruction,
    source: np.ndarray | None,
    result: Result | np.ndarray | None,
    picture: np.ndarray | None,
) -> list[str]:
    """What the answer itself says: nothing found, several found for one, nothing changed."""
    if result is not None and not isinstance(result, np.ndarray):
        said = [result.message] if result.message else []
        return said + _several(instruction, result) if isinstance(result, (Masks, Boxes)) else said
    if get_task(instruction.task).keeps_rest and source is not None and picture is not None:
        unchanged = _unchanged(instruction.task, source, picture)
        return [unchanged] if unchanged else []
    return []


def _is_answered(
    said: Sequence[str],
    instruction: Instruction,
    result: Result | np.ndarray | None,
    picture: np.ndarray | None,
) -> bool:
    """Whether there is an answer that may be wrong: things found, or an edit that changed something."""
    if result is None or isinstance(result, np.ndarray):
        return get_task(instruction.task).open_ended and picture is not None and not said
    return len(result) > 0


def _several(instruction: Instruction, result: Masks | Boxes) -> list[str]:
    """Of every subject that asks for one thing, how many were found and taken, where it is not one."""
    said = []
    for subject in instruction.subjects:
        if not _is_singular(subject):
            continue
        rows = [row for row, label in enumerate(result.labels) if label == subject]
        if len(rows) > 1:
            said.append(f"{len(rows)} found for '{subject}'; all were taken")
        elif len(rows) == 1 and isinstance(result, Masks) and not get_task(instruction.task).several:
            parts = _parts(result.data[rows[0]])
            said += [f"{parts} parts found for '{subject}'; all were taken, as one"] if parts > 1 else []
    return said


def _is_singular(subject: str) -> bool:
    """Whether a subject asks for one thing as far as its words say; False where they leave it open."""
    words = words_of(subject)
    end = next((i for i, word in enumerate(words) if i and word in _BEHIND), len(words))
    if end > 1 and words[end - 1] in ("left", "right") and words[end:][:1] == ["of"]:
        end -= 1
    if "and" in words or not words or _MANY & set(words[:end]):
        return False
    noun = words[end - 1]
    return noun not in _PLURALS and (not noun.endswith("s") or noun.endswith("ss"))


def _parts(mask: np.ndarray) -> int:
    """Connected parts of a mask bool [h, w] that are at least a tenth of the largest."""
    from ..decoding import split_components

    step = max(1, math.ceil(math.sqrt(mask.size) / _SIDE))
    sizes = [int(part.sum()) for part in split_components(mask[::step, ::step])]
    return sum(size >= 0.1 * sizes[0] for size in sizes)


def _unchanged(task: str, source: np.ndarray, picture: np.ndarray) -> str:
    """How little an edit changed, where that is next to nothing; a watermark's removal only where it kept all."""
    if source.shape != picture.shape:
        return ""
    if np.array_equal(source, picture):
        return "nothing was changed"
    if not get_task(task).open_ended:
        return ""
    step = max(1, math.ceil(math.sqrt(source.shape[0] * source.shape[1]) / _SIDE))
    before, after = source[::step, ::step], picture[::step, ::step]
    change = np.maximum(before, after) - np.minimum(before, after)
    if int(change.max()) <= VISIBLE:
        return "nothing was visibly changed"
    clear = (change > CLEAR).any(2)
    return "hardly anything was changed" if np.count_nonzero(clear) <= CLEAR_SHARE * clear.size else ""


def _unknown(knowledge: Knowledge, instruction: Instruction, answered: bool) -> list[str]:
    """A clause for the words that the model does not know, and one for each that it knows from other tasks only."""
    task = instruction.task
    phrases = instruction.subjects or ((instruction.text,) if get_task(task).open_ended else ())
    words = knowledge.unknown(task, " ".join(phrases))
    nowhere = [word for word in words if not knowledge.tasks_with(word)]
    said = []
    if nowhere:
        doubt = ": its answer may be wrong" if answered else ""
        said.append(f"{knowledge.name} does not know {_quoted(knowledge, task, nowhere)}{doubt}")
    for word in [word for word in words if word not in nowhere][:_MOST]:
        tasks = " and ".join(knowledge.tasks_with(word)[:2])
        said.append(f"{knowledge.name} knows '{word}' from {tasks}, not from {task}")
    return said


def _quoted(knowledge: Knowledge, task: str, words: Sequence[str]) -> str:
    """Words in quotation marks, each with the one it may be a slip of the pen for; the rest are counted."""
    quoted = []
    for word in words[:_MOST]:
        near = knowledge.near(task, word)
        quoted.append(f"'{word}'" + (f" (did you mean '{near}'?)" if near else ""))
    if len(words) > _MOST:
        quoted.append(f"{len(words) - _MOST} more of the words")
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + " and " + quoted[-1]


def _asks_for_things(knowledge: Knowledge, instruction: Instruction) -> bool:
    """Whether the model must know what it sees: always, but for edits of the whole picture ("make it gray")."""
    if not get_task(instruction.task).open_ended:
        return True
    words = " ".join(instruction.subjects) or instruction.text
    names = knowledge.names_a_thing(words) or "background" in words_of(words)
    return names or bool(knowledge.unknown(instruction.task, words))


def _photograph(knowledge: Knowledge) -> str:
    known = f" ({', '.join(knowledge.things)})" if knowledge.things else ""
    return (
        f"this looks like a photograph; {knowledge.name} knows drawn things only{known}: for photographs load another "
        "instruction model, as InstructDiffusion's own checkpoint (docs/messages.md)"
    )
