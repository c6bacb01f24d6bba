"""What people say beyond the templates: training words a part of its samples in these.

Scenes and the library go on asking in `Task.templates`, so that a seed's question stays what it is; evaluations ask
some of the scenes once more in these. A pattern is a template in which "(a|b)" stands for one of several; few patterns
make thousands of sentences, and a sentence that is held out (`Task.paraphrases`) is never made.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .instruction import Instruction
    from .task import Task

_OPENINGS = tuple(
    f"{words} "
    for words in ("please", "can you", "could you", "i want you to", "i would like you to", "now", "just")
) + ("now please ", "in this picture, ", "in the photo, ", "in the image, ")
_CLOSINGS = (
    *(" please", ", please", " for me", " and leave the rest", ", keep everything else as it is"),
    *(" in the picture", " in this image", " in the photo", ", nothing else"),
)
# How often a sentence gets an opening, a closing, and a full stop.
_OPENED, _CLOSED, _STOPPED = 0.25, 0.2, 0.15
_PLAIN = 0.3  # how often a thing loses its article

_IT = "(it|this|the picture|the photo|the image|this picture|this photo|this image|my photo)"
_THERE = "(| (in|from|of) (the|this|my) (picture|photo|image))"
_MARK = "(mark|paint|color|shade|highlight|tint|mask|segment|label)"
_PIXELS = "(||the pixels of |every pixel of |the area of |the region of )"
_MASK = "(mask|layer|overlay|segmentation mask|segmentation|see-through layer)"
_DOT = "(circle|circle|dot|disc|point|spot|marker)"
_BOX = "(box|bounding box|rectangle)"

_MASKS = (
    f"{_MARK} {_PIXELS}{{subject}} (in|with|using) (|see-through ){{color}}",
    f"(use|take) {{color}} to {_MARK} {_PIXELS}{{subject}}",
    f"(with|in) {{color}}, {_MARK} {_PIXELS}{{subject}}",
    f"(put|lay|place|draw|add|make|create|give me|show me|generate) a {{color}} {_MASK} (on|over|of|for) {_PIXELS}"
    "{subject}",
    "give {subject} a {color} (mask|overlay|layer|tint)",
    "(overlay|cover|mark|mask|highlight) {subject} with (|a ){color}(| mask| layer| overlay)",
    f"where (is|are) {{subject}}? {_MARK} (it|them) (in|with) {{color}}",
    f"(find|locate|look for|identify|pick|select) {{subject}} and {_MARK} (it|them) (in|with) {{color}}",
    f"which pixels (are|belong to|show) {{subject}}? {_MARK} them (in|with) {{color}}",
    f"(|a ){{color}} {_MASK} (of|for|over|on) {{subject}}",
    "{subject} in {color}",
    "(segment|mask) {subject}, {color}",
    "(paint|color) {subject} (in |)see-through {color}",
)
_ONLY = (
    f"{_MARK} only {{subject}} (in|with) {{color}}",
    f"{_MARK} nothing but {{subject}} (in|with) {{color}}",
    f"(use|take) {{color}} to {_MARK} only {{subject}}",
    f"(put|lay|draw|place) a {{color}} {_MASK} (on|over) {{subject}} (only|alone)",
    f"(which|which one) is {{subject}}? {_MARK} it (in|with) {{color}}",
)
_POINTS = (
    f"(put|place|draw|add|set|paint|make) [a {{color}} {_DOT} (on|at|over) {{subject}}]",
    f"(put|place|draw) [a {{color}} {_DOT} (on|around) {{subject}}]",
    "(circle|encircle|mark|dot|find|show) [{subject} (in|with) {color}]",
    f"(mark|show|point out|find|highlight) [{{subject}} (with|by|using) a {{color}} {_DOT}]",
    "(use|take) [{color} (for|to mark|to circle|to encircle|to show) {subject}]",
    f"(use|take) [a {{color}} {_DOT} to (mark|show|point out) {{subject}}]",
    f"[a {{color}} {_DOT} (on|at|for) {{subject}}]",
    "(keypoints|points|joints): [{subject} in {color}]",
    f"where is {{subject}}? (mark|show|circle|encircle) it (in {{color}}|with a {{color}} {_DOT})",
)

# A category's colour is named for each; a pattern without brackets asks about one subject.
WORDINGS: dict[str, tuple[str, ...]] = {
    "segment": _MASKS,
    "refer": (*_MASKS, *_ONLY),
    "keypoints": _POINTS,
    "align": _POINTS,
    "detect": (
        f"(put|draw|place|make|lay|add|show) a (||filled |see-through ){{color}} {_BOX} (around|over|on|for) "
        "{subject}",
        f"(mark|show|find|detect|locate|label|highlight|cover|surround|box) {{subject}} (with|by|using|in) a "
        f"{{color}} "
        f"{_BOX}",
        "(detect|locate|box) {subject} (in|with) {color}",
        f"(use|take) a {{color}} {_BOX} to (mark|show|cover|locate|detect|find) {{subject}}",
        f"put {{subject}} (in|into|inside|behind) a {{color}} {_BOX}",
        f"where (is|are) {{subject}}? (draw|put|show|answer with) a {{color}} {_BOX}",
        f"(find|detect|locate|look for) {{subject}} and (draw|put|place|lay) a {{color}} {_BOX} (over|around|on) "
        "(it|them)",
        f"(|a ){{color}} {_BOX} (around|for|over|of) {{subject}}",
        "(draw|put|place|show) {color} (boxes|bounding boxes|rectangles) (around|over|on) {subject}",
        "(|the )(bounding box|bounding boxes|boxes) of {subject} in {color}",
    ),
    "classify": (
        "what (is it|is this|do you see|is in the picture)? (mark|paint|color|mask|shade) it [{color} (if it is|for) "
        "{subject}]",
        "(mark|paint|color|mask|shade|tint) it [{color} (if it is|for|when it is|if you see|if this is) {subject}]",
        "classify (it|this|the object|the thing|the picture): [{color} (for|means|if it is) {subject}]",
        "(use|take) [{color} (for|if it is|when it is) {subject}]",
        "[{color} (if it is|for|means|when you see) {subject}]",
        "(which|which one) is it? [{color} (for|means|if it is) {subject}]",
        "(paint|mark|show) [{subject} (in|with) {color}], (by kind|by what it is|whichever it is)",
        "(tell|say|show) (what|which) it is: [{color} (for|means) {subject}]",
    ),
    "denoise": (
        "(remove|take away|take out|get rid of|reduce|filter out|delete|erase|clean up) (|the |this |all |all the )"
        f"(noise|noise|grain|graininess|noise and grain|speckles){_THERE}",
        f"denoise(| {_IT})",
        f"make {_IT} (less noisy|noise free|less grainy|free of noise|clean|cleaner|smooth|smoother)",
        f"(clean|clean up) {_IT}",
        f"{_IT} is (noisy|grainy|too noisy|full of noise), (clean|fix|denoise|repair) it",
        f"(give me|show me|make) {_IT} without (the |any |)(noise|grain)",
        "noise removal",
    ),
    "deblur": (
        "(remove|take away|get rid of|reduce|undo|fix|take out|correct) (|the |this |all the )"
        f"(blur|blur|motion blur|blurriness|camera shake){_THERE}",
        f"(sharpen|deblur|focus|refocus)(| {_IT})",
        f"make {_IT} (sharp|sharper|sharper|less blurry|crisp|crisper|clear|clearer|more sharp)",
        f"{_IT} is (blurry|blurred|out of focus|not sharp|too soft), (sharpen|fix|deblur|repair) it",
        f"increase the sharpness{_THERE}",
        f"(bring back|restore|recover|sharpen) the (details|edges|sharpness|fine details){_THERE}",
        f"(give me|show me|make) {_IT} without (the |any |)blur",
        f"(bring|put) {_IT} (into|in) focus",
    ),
    "dewatermark": (
        "(remove|delete|erase|take off|take away|get rid of|clear|wipe off|clean off|hide) (|the |this |that |all )"
        "(watermark|watermark|watermarks|logo|text|letters|writing|text overlay|stamp|see-through text|watermark text)"
        "(| (in|from|on|over) (the|this|my) (picture|photo|image))",
        f"make {_IT} (watermark free|free of watermarks|free of text|without the watermark)",
        f"(there is|i see) a (watermark|logo|text) (on|over|in) {_IT}, (remove|erase|delete) it",
        f"{_IT} has a (watermark|logo|text) on it, (remove|delete|take off) it",
        f"(give me|show me) {_IT} without the (watermark|logo|text)",
        "watermark removal",
    ),
    "edit": ("{subject}",),
}

# Verbs of edits that say the same, by how the subject begins.
_VERBS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("add ", "put "), ("add ", "put ", "place ", "draw ", "insert ", "paint ")),
    **dict.fromkeys(
        ("remove ", "delete ", "erase ", "take away "),
        ("remove ", "delete ", "erase ", "take away ", "get rid of ", "take out "),
    ),
    "make it ": ("make it ", "make the picture ", "make this image ", "make the photo ", "make everything "),
    "turn it ": ("turn it ", "make it ", "turn the picture ", "make the photo ", "turn this image "),
    "replace ": ("replace ", "exchange ", "swap "),
}
_ARTICLES = re.compile(r"^(?:all the|the|all|a|an) ")


def reworded(task: Task, instruction: Instruction, rng: random.Random) -> str:
    """The instruction in other words that ask for the same: subjects and colours as they are, now and then without
    their articles. Never a held-out sentence.
    """
    subjects, colors = instruction.subjects, instruction.colors
    while True:
        template = _decorated(_template(task.name, len(subjects), rng), rng)
        if not any(held in template for held in task.paraphrases):  # nor with "please" before it
            return task._fill(template, _spoken(task.name, subjects, rng), colors)


def _template(task: str, count: int, rng: random.Random) -> str:
    """A pattern of the task with its choices made, for `count` subjects."""
    patterns = WORDINGS[task]
    if count > 1:  # a pattern without a clause has a place for one subject only
        patterns = tuple(p for p in patterns if "[" in p)
    return _choose(_one(patterns, rng), rng)


def _decorated(template: str, rng: random.Random) -> str:
    """A template now and then opened and closed politely, or ended with a full stop."""
    if rng.random() < _OPENED:
        template = _one(_OPENINGS, rng) + template
    if "?" in template:
        return template
    if rng.random() < _CLOSED:
        template += _one(_CLOSINGS, rng)
    return template + "." if rng.random() < _STOPPED else template


def _choose(pattern: str, rng: random.Random) -> str:
    """The pattern with one alternative in the place of every "(a|b)", the inner ones first."""
    while "(" in pattern:
        pattern = re.sub(r"\(([^()]*)\)", lambda found: _one(found[1].split("|"), rng), pattern)
    return pattern


def _spoken(task: str, subjects: tuple[str, ...], rng: random.Random) -> tuple[str, ...]:
    """The subjects as people say them: without an article, a joint as "the man's nose", an edit with another verb."""
    if task == "edit":
        return tuple(_other_verb(s, rng) for s in subjects)
    if len(subjects) == 1 and task == "keypoints" and rng.random() < _PLAIN:
        part, _, owner = subjects[0].partition(" of the ")
        if owner and part.startswith("the "):
            return (f"the {owner}'s {part[4:]}",)
    if rng.random() < _PLAIN:
        return tuple(_ARTICLES.sub("", s) for s in subjects)
    return subjects


def _other_verb(subject: str, rng: random.Random) -> str:
    for start, others in _VERBS.items():
        if subject.startswith(start):
            return _one(others, rng) + subject[len(start) :]
    return subject


def _one(items: Sequence[str], rng: random.Random) -> str:
    return items[int(rng.random() * len(items))]
