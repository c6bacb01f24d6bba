"""A task: its words, what it draws as the answer, and how the answer is read back.

One contract holds a task together: `decode(image, render(image, y, i), i)` gives y back.
"""

from __future__ import annotations

import inspect
import random
import reprlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from ..compositing.composition import Composition
from ..compositing.rules import keep_unchanged, to_uint8
from ..imaging.colors import MASK_COLORS, Color, color_named, far_colors
from ..imaging.resize import resize_picture
from .instruction import Instruction
from .spatial import SpatialPhrase
from .subjects import clean_subject, everything_but, leaves_out, split_subjects, subjects_of
from .wordings import drop_articles

DECODERS = ("closed", "unet")  # the closed form, and the light U-Net that reads masks
ALPHA = 0.5  # how opaque masks and boxes are drawn (the paper's)


Augmentation = Literal["crop", "phrase", "pair", "pair_unscaled", "whole"]


class Task(ABC):
    """A task of the model; subclasses are stateless and shared through `TASKS`.

    A module of `catalog/` is a task, with all that the rest of the house asks of it: nothing else knows tasks by name.

    A template holds {subject} and {color}. Where a task takes several subjects, the part of the template
    in [brackets] is repeated for each: "put [a {color} disc on {subject}]" becomes "put a red disc on
    the nose and a blue disc on the left eye".
    """

    name: str
    order: int = 1000  # its place where tasks are listed; those of one place go by name
    summary: str = ""  # what it does, as the help of its command says it
    subject_label: str = "SUBJECT"  # what its command calls a subject

    # Words
    templates: tuple[str, ...]  # what training draws from
    paraphrases: tuple[str, ...] = ()  # held out: training never sees them
    wordings: tuple[str, ...] = ()  # patterns of what people say beyond the templates (`wordings`)
    palette: tuple[Color, ...] = MASK_COLORS  # colours the task can name; () for a task without colours
    max_subjects: int = 1  # 0: the task takes none
    several: bool = True  # False: a subject means one thing, whatever there is
    marks_rest: bool = False  # "everything but the dog" is understood
    asks_singly: bool = False  # several subjects: the model is asked for one at a time, each in its color
    open_ended: bool = False  # the subject is what is to be done, in words
    kind_task: str = ""  # the task that finds everything of a kind, for phrases that tell one thing by its place
    example: str = "the red star"  # a subject as errors show one

    # Answers
    target_type: type  # what `render` takes and `decode` gives
    perception: bool  # True: answered in one evaluation
    mark: str = "mask"  # the shape that is drawn, in the words of a caption; "" for an image
    local: bool  # True: what did not change is kept from the source
    keeps_rest: bool = False  # True: an image of whose source everything else stays, to the pixel
    has_compositor: bool = False  # True: `compositing.learned` can lay its edits on their sources
    decoders: tuple[str, ...] = ("closed",)  # how an answer can be read back; masks: by the light U-Net too

    # How the model is asked, taught and judged
    guidance: tuple[float, float]  # (text, image) scales the authors use with their checkpoints
    tiled: bool = False  # True: worked on at the picture's own size, in tiles as large as the model sees
    scenes: str = ""  # the task whose made-up scenes it is taught and tested with; "": its own
    augmentation: Augmentation = "crop"  # how a record of it is looked at (`datasets.augmentation`)
    mirrorable: bool = True  # False: its images mean something else in a mirror
    metric: str  # how its answers are judged: a name in `evaluation.measures.METRICS`
    bars: Mapping[str, float] = {}  # what figures of that metric are to reach

    def instruct(
        self,
        subjects: str | Sequence[str] | None = None,
        colors: Sequence[Color | str] | None = None,
        *,
        rng: random.Random | None = None,
        picture: np.ndarray | None = None,
        held_out: bool = False,
    ) -> Instruction:
        """The words that ask for `subjects`, with a colour for each.

        A text is one subject a line; for tasks that find things also a list ("the star and the dog"). What comes as a
        sequence is taken as it is.

        Colours left open are the ones farthest from what is in `picture` where it is given, else drawn by
        `rng`, else the first of the palette. The template is drawn by `rng`, or is the first; `held_out`
        takes it from the paraphrases. ValueError for a wrong number of subjects or colours, unknown colour
        names and colours used twice; TypeError for subjects that are no text and colours that are no names.
        """
        names, complement = self._rest(self._subjects(subjects))
        shades = self._colors(colors, len(names), rng, picture)
        pool = self.paraphrases if held_out else self.templates

        def fill(subjects: tuple[str, ...], colors: tuple[Color, ...]) -> str:
            return self.fill(pool[0] if rng is None else pool[int(rng.random() * len(pool))], subjects, colors)

        if self.asks_singly and len(names) > 1:
            text = "\n".join(fill((name,), (shade,)) for name, shade in zip(names, shades, strict=True))
        else:
            text = fill(names, shades)
        return Instruction(text, self.name, names, shades, complement)

    def questions(self, instruction: Instruction) -> tuple[Instruction, ...]:
        """What the model is asked for an instruction: itself, or a question a subject, one line of the text each.

        ValueError where several subjects that are asked for singly have not a line and a color each.
        """
        if not self.asks_singly or len(instruction.subjects) < 2:
            return (replace(instruction, complement=False) if is_complement(instruction) else instruction,)
        lines = instruction.text.split("\n")
        count = len(instruction.subjects)
        if len(lines) != count or len(instruction.colors) != count:
            raise ValueError(
                f"{self.name}: {count} subjects need a line of text and a color each, got {len(lines)} and "
                f"{len(instruction.colors)}: make the instruction with instruct()"
            )
        rows = zip(lines, instruction.subjects, instruction.colors, strict=True)
        return tuple(Instruction(line, instruction.task, (s,), (c,)) for line, s, c in rows)

    def window(self, instruction: Instruction, size: tuple[int, int]) -> tuple[int, int] | None:
        """Say which square of a picture the answer is drawn in, where it needs no more of the picture than that.

        Args:
            instruction: The instruction.
            size: (height, width) of the picture; the square's side is the shorter of them.

        Returns:
            (y, x) of the square's upper left corner; None for the whole picture.
        """
        return None

    def shows_alone(self, instruction: Instruction) -> bool:
        """Say whether what the words mean can be told from a part of the picture, without what is around it."""
        return False

    def spatial_phrase(self, instruction: Instruction) -> SpatialPhrase | None:
        """The phrase of an instruction that means one thing by where it stands; None where no such words do."""
        return None

    def join(self, results: Sequence[Any], instruction: Instruction) -> Any:
        """The answers to `questions(instruction)` as the one answer to it."""
        (result,) = results
        return result

    def _subjects(self, subjects: str | Sequence[str] | None) -> tuple[str, ...]:
        phrases = () if subjects is None else _several(subjects)
        if isinstance(subjects, str) and subjects.strip() and self.palette and self.max_subjects > 1:
            phrases = subjects_of(subjects) if self.asks_singly else tuple(filter(str.strip, subjects.splitlines()))
        wrong = [subjects] if phrases is None else [s for s in phrases if not isinstance(s, str)]
        if phrases is None or wrong:
            expected = f"expected words, as {self.example!r}" if self.max_subjects else "expected no subject"
            several = ", or a list of them" if self.max_subjects > 1 and not self.asks_singly else ""
            raise TypeError(f"{self.name}: {expected}{several}; got {_shown(wrong[0])}")
        names = tuple(" ".join(s.lower().split()).rstrip(" .!") for s in phrases)
        if "" in names:
            raise ValueError(f"{self.name}: a subject is empty; say it in words, as in '{self.example}'")
        low = min(1, self.max_subjects)
        if not low <= len(names) <= self.max_subjects:
            several = f"1 to {self.max_subjects} subjects" if names or not self.asks_singly else "at least one subject"
            expected = {0: "no subject", 1: "one subject"}.get(self.max_subjects, several)
            got = f"{len(names)}: {list(names)}" if names else f"none: say it in words, as {self.example!r}"
            raise ValueError(f"{self.name} takes {expected}, got {got}")
        if len(set(names)) != len(names):
            raise ValueError(f"{self.name}: every subject is asked for once, got {list(names)}")
        return names

    def _rest(self, names: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
        """(subjects, whether everything but them is meant); ValueError for a rest where the task marks none."""
        if not self.palette:
            return names, False
        left = everything_but(names[0]) if len(names) == 1 else None
        if left is not None and self.marks_rest:
            return tuple(dict.fromkeys(clean_subject(s) for s in split_subjects(left))), True
        if left is not None or any(everything_but(n) is not None or leaves_out(n) for n in names):
            rest = "" if self.marks_rest else ", or have segment mark 'everything but the dog'"
            raise ValueError(
                f"{self.name}: {listed(names)!r} leaves something out, which the model does not understand: ask for "
                f"what is to be found{rest}"
            )
        return names, False

    def _colors(
        self,
        colors: Sequence[Color | str] | None,
        count: int,
        rng: random.Random | None,
        picture: np.ndarray | None,
    ) -> tuple[Color, ...]:
        if not self.palette:
            if colors:
                raise ValueError(f"{self.name} uses no colour, got {list(colors)!r}")
            return ()
        if colors is None:
            if picture is not None:
                return tuple(far_colors(picture, None, self.palette, count))
            return tuple(self.palette[:count] if rng is None else rng.sample(self.palette, count))
        names = _several(colors)
        if names is None:
            raise TypeError(f"{self.name}: expected a colour's name, or a list of them; got {_shown(colors)}")
        shades = tuple(c if isinstance(c, Color) else color_named(c, self.palette) for c in names)
        if len(shades) != count:
            raise ValueError(f"{self.name}: {count} subjects need {count} colours, got {len(shades)}")
        if len({c.rgb for c in shades}) != count:
            raise ValueError(f"{self.name}: colours must differ, got {[c.name for c in shades]}")
        return shades

    def fill(self, template: str, subjects: tuple[str, ...], colors: tuple[Color, ...]) -> str:
        """Put subjects and colours into a template."""
        head, open_, rest = template.partition("[")
        clause, _, tail = rest.partition("]")
        if not open_:
            return template.format(subject="".join(subjects[:1]), color="".join(c.name for c in colors[:1]))
        spoken = spoken_together(subjects)
        clauses = [clause.format(subject=s, color=c.name) for s, c in zip(spoken, colors, strict=True)]
        return head + listed(clauses) + tail

    def reword_subjects(self, subjects: tuple[str, ...], rng: random.Random) -> tuple[str, ...]:
        """Say subjects as people may: now and then without their articles."""
        return drop_articles(subjects, rng)

    @abstractmethod
    def render(self, image: np.ndarray, target: Any, instruction: Instruction) -> np.ndarray:
        """The picture the model shall answer with; same kind (uint8 or float) and size as `image`."""

    def compose(
        self, source: np.ndarray, edited: np.ndarray, copy: np.ndarray | None, composition: Composition
    ) -> np.ndarray:
        """Lay what the model drew on its source.

        Args:
            source: The image asked about, uint8 [h, w, 3].
            edited: What the model drew, float 0..1 [h', w', 3], of any size.
            copy: The autoencoder's copy of the source, of the same size; None where the task has none (`local`), or the
                source is not to be preserved.
            composition: What the call says of it.

        Returns:
            uint8 [h, w, 3].
        """
        if copy is None or not composition.preserve_source:
            return resize_picture(to_uint8(edited), source.shape[:2], sharp=composition.sharp)
        return self.lay(source, edited, copy, composition)

    def lay(
        self, source: np.ndarray, edited: np.ndarray, copy: np.ndarray, composition: Composition
    ) -> np.ndarray:
        """As `compose`, where the source is preserved and there is a copy to compare with."""
        return keep_unchanged(source, edited, copy)

    def decode_options(self, **options: Any) -> dict[str, Any]:
        """Pick those of some options that this task's `decode` takes.

        Args:
            **options: As `decode` names them: "guide", the image itself, whose edges masks follow; "threshold", ...

        Returns:
            Its own among them.
        """
        parameters = inspect.signature(self.decode).parameters
        return {name: value for name, value in options.items() if name in parameters}

    @abstractmethod
    def decode(self, source: np.ndarray, edited: np.ndarray, instruction: Instruction) -> Any:
        """The answer that was drawn: what changed from `source` (or its reconstruction) to `edited`."""


def _several(value: Any) -> tuple[Any, ...] | None:
    """What was given as one text or colour, or a sequence, as a tuple; None for what is neither.

    Bytes are no text, sets have no order, and an iterator can be gone through only once.
    """
    if isinstance(value, (str, Color)):
        return (value,)
    if isinstance(value, np.ndarray):
        return tuple(value) if value.ndim == 1 else None
    plain = isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview))
    return tuple(value) if plain else None


def _shown(value: Any) -> str:
    """A value in few letters, with its type."""
    return f"{reprlib.repr(value)} ({type(value).__name__})"


def check_decoder(task: Task, decoder: str) -> str:
    """The name of a decoder; ValueError where there is none of that name, or the task's answers are no masks."""
    if decoder not in DECODERS:
        raise ValueError(f"expected a decoder, one of {', '.join(DECODERS)}; got {decoder!r}")
    if decoder not in task.decoders:
        raise ValueError(
            f"the decoder {decoder!r} reads masks, and {task.name!r} answers with none: leave it at 'closed'"
        )
    return decoder


def listed(clauses: Sequence[str]) -> str:
    """Clauses as one sentence part: "a, b and c"."""
    return clauses[0] if len(clauses) == 1 else ", ".join(clauses[:-1]) + " and " + clauses[-1]


def spoken_together(subjects: Sequence[str]) -> tuple[str, ...]:
    """Subjects with a shared owner said once: of "the nose of the man", "the ear of the man" the first loses it.

    Keeps an instruction of five joints inside the text encoder's length.
    """
    owners = {s.partition(" of ")[2] for s in subjects}
    if len(subjects) == 1 or len(owners) > 1 or "" in owners:
        return tuple(subjects)
    return tuple(s.partition(" of ")[0] for s in subjects[:-1]) + (subjects[-1],)


def check_picture(picture: np.ndarray, what: str = "picture") -> None:
    """ValueError / TypeError unless picture is [h, w, 3], uint8 or float."""
    if not isinstance(picture, np.ndarray):
        raise TypeError(f"{what} must be a numpy array, got {type(picture).__name__}")
    if picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise ValueError(f"{what} must have shape [h, w, 3], got {list(picture.shape)}")
    if picture.dtype != np.uint8 and picture.dtype.kind != "f":
        raise TypeError(f"{what} must be uint8 or float in 0..1, got {picture.dtype}")


def check_pair(source: np.ndarray, edited: np.ndarray) -> None:
    """ValueError / TypeError unless both are pictures of one size."""
    check_picture(source, "source")
    check_picture(edited, "edited")
    if source.shape != edited.shape:
        raise ValueError(f"source {source.shape} and edited {edited.shape} differ in size: resize one first")


def is_complement(instruction: Instruction) -> bool:
    """Whether everything but the subjects is meant; an instruction of an older copy of the package does not say."""
    return bool(getattr(instruction, "complement", False))


def nothing_found(subjects: Sequence[str]) -> str:
    """The message of an empty answer."""
    return "nothing found for " + " or ".join(f"'{s}'" for s in subjects)
