"""Knowledge: what a model says of itself, the kind of pictures and the words it was trained on."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = "instructdiffusion.json"  # a model's own, in its folder: what it says of itself, and its defaults (`settings`)
KEY = "knowledge"
DRAWINGS = "drawings"  # the one kind of pictures that means something here; others are kept as they are
_NEAR = 0.81  # how alike two words are before one is taken for the other, misspelt: "mouse" is not "house"
_LONG = 5  # letters of a word that may be a misspelt one

# Words that carry no thing and no look of one, and the picture itself: where training used none, little hangs on them.
_SMALL_WORDS = frozenset(
    """a about again all also am an and any are as at be both but by can could do does each either every everything
    for from had has have he her here him his how i if image in into is it its just let me my near next no
    not now of off on once one only onto or other our out over own part photo photograph picture piece
    please side so some that the their them then there these they this those to too under up us very was we
    were what when where which who whole whose will with without would you your""".split()
)


@dataclass(frozen=True)
class Knowledge:
    """What a model was trained on, as far as it says so.

    name: what messages call it. pictures: "drawings" where it has seen drawn things only, else another word or "".
    things: the nouns it knows, one each. words: by task, the words its training asked with; under a name that is no
    task's, those it has only read ("captions"). A task that is left out is not judged.
    """

    name: str = "this model"
    pictures: str = ""
    things: tuple[str, ...] = ()
    words: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def draws_only(self) -> bool:
        """Whether it knows drawn things only."""
        return self.pictures == DRAWINGS

    def unknown(self, task: str, text: str) -> tuple[str, ...]:
        """The words of a text, in their order, that training never used in questions of the task.

        Small words ("that", "my", "without") and letters by themselves are no matter.
        """
        known = self.words.get(task)
        if known is None:
            return ()
        words = dict.fromkeys(words_of(text))
        return tuple(w for w in words if w not in known and w not in _SMALL_WORDS and len(w) > 1)

    def tasks_with(self, word: str) -> tuple[str, ...]:
        """The names under which the word is known, in the file's order."""
        return tuple(name for name, words in self.words.items() if word in words)

    def near(self, task: str, word: str) -> str | None:
        """The task's word that this one may be a slip of the pen for ("triangel": "triangle"), or None.

        Short words are left alone: a coat is no misspelt cat.
        """
        if len(word) < _LONG:
            return None
        matches = difflib.get_close_matches(word, sorted(self.words.get(task, ())), 1, _NEAR)
        return matches[0] if matches else None

    def names_a_thing(self, text: str) -> bool:
        """Whether one of the things is named, singular or with a plain plural."""
        return any(w in self.things or w.removesuffix("s") in self.things for w in words_of(text))


def words_of(text: str) -> list[str]:
    """The words of a text in small letters, without signs and possessive endings."""
    return re.findall(r"[^\W_]+", re.sub(r"['’]s\b", "", text.lower()))


def read_knowledge(folder: str | Path | None) -> Knowledge | None:
    """What the model in a folder says of itself in its instructdiffusion.json; None where it says nothing.

    The file's key: {"knowledge": {"name": text, "pictures": "drawings", "things": [nouns], "words": {task: words in
    one text or a list}}}; every name may be left out, and others are let be. ValueError names the file and what is
    wrong in it.
    """
    path = None if folder is None else Path(folder) / FILE
    if path is None or not path.is_file():
        return None
    try:
        said = json.loads(path.read_text(encoding="utf-8")).get(KEY)
        return None if said is None else _knowledge(said)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} cannot be used: {error}") from error


def _knowledge(said: Any) -> Knowledge:
    if not isinstance(said, Mapping):
        raise ValueError(f"{KEY!r} is an object with name, pictures, things and words, got {said!r}")
    name, pictures, words = said.get("name", ""), said.get("pictures", ""), said.get("words", {})
    if not isinstance(name, str) or not isinstance(pictures, str):
        raise ValueError(f"name and pictures of {KEY!r} are texts, got {name!r} and {pictures!r}")
    if not isinstance(words, Mapping):
        raise ValueError(f"words of {KEY!r} is an object, task by task, got {words!r}")
    return Knowledge(
        name or Knowledge.name,
        pictures,
        tuple(_listed("things", said.get("things", ()), whole=True)),
        {str(task): frozenset(_listed(f"words of {task!r}", entries)) for task, entries in words.items()},
    )


def _listed(what: str, value: Any, whole: bool = False) -> Iterable[str]:
    """Texts in small letters: as they are listed, or each of their words."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{what} in {KEY!r} must be texts, got {value!r}")
    return [t.lower() for t in texts] if whole else [word for text in texts for word in words_of(text)]
