"""A method for each task: the question made of its words and colours, and asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..imaging.images import load_pictures
from ..tasks import get_task
from .answer import Answer

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .options import RunOptions

    Answers = Answer | list[Answer]


class TaskMethods:
    """What a model that has `run` can be asked, a method a task."""

    run: Callable[..., Answers]  # as `pipeline.InstructDiffusion.run`

    def _ask(self, task: str, image: Any, subjects: Any, colors: Any, options: Any) -> Answers:
        pictures, single = load_pictures(image)
        colors = [colors] if isinstance(colors, str) else colors
        questions = [get_task(task).instruct(subjects, colors, picture=p) for p in pictures]
        return self.run(questions[0] if single else questions, pictures[0] if single else pictures, **options)

    def segment(
        self, image: Any, subject: str | Sequence[str], *, color: str | Sequence[str] | None = None,
        **options: Unpack[RunOptions],
    ) -> Answers:  # fmt: skip
        """Masks of everything that the subject names, one a connected region; empty where there is none.

        Of several subjects each has its own masks, labelled with it; "everything but the dog" gives the rest as one.
        color: the word for the colour drawn with (a list of them for several subjects), None for one far from the
        picture's colours. options: as in `run`, here and in all the methods below.
        """
        return self._ask("segment", image, subject, color, options)

    def refer(
        self, image: Any, phrase: str | Sequence[str], *, color: str | Sequence[str] | None = None,
        **options: Unpack[RunOptions],
    ) -> Answers:  # fmt: skip
        """Masks with the one thing that the phrase describes ("the small star left of the circle")."""
        return self._ask("refer", image, phrase, color, options)

    def keypoints(
        self, image: Any, names: str | Sequence[str], *, colors: Sequence[str] | None = None,
        **options: Unpack[RunOptions],
    ) -> Answers:  # fmt: skip
        """Keypoints of the named joints ("the left shoulder", "the nose of the man"), best 1 to 5 at once."""
        return self._ask("keypoints", image, names, colors, options)

    def align(
        self, image: Any, names: str | Sequence[str], *, colors: Sequence[str] | None = None,
        **options: Unpack[RunOptions],
    ) -> Answers:  # fmt: skip
        """Keypoints of the named landmarks of a face or parts of a thing ("the left eye")."""
        return self._ask("align", image, names, colors, options)

    def detect(
        self, image: Any, subject: str | Sequence[str], *, color: str | Sequence[str] | None = None,
        **options: Unpack[RunOptions],
    ) -> Answers:  # fmt: skip
        """Boxes of every thing that the subject names, the surest first."""
        return self._ask("detect", image, subject, color, options)

    def classify(
        self, image: Any, categories: Sequence[str], *, colors: Sequence[str] | None = None,
        **options: Unpack[RunOptions],
    ) -> Answers:  # fmt: skip
        """The Label that fits among the categories ("a dog", "a cat"), or Label(None)."""
        return self._ask("classify", image, categories, colors, options)

    def denoise(self, image: Any, **options: Unpack[RunOptions]) -> Answers:
        """The picture without its noise, at its own size."""
        return self._ask("denoise", image, None, None, options)

    def deblur(self, image: Any, **options: Unpack[RunOptions]) -> Answers:
        """The picture without its blur, at its own size."""
        return self._ask("deblur", image, None, None, options)

    def remove_watermark(self, image: Any, **options: Unpack[RunOptions]) -> Answers:
        """The picture without its watermark, at its own size; what the mark did not cover is kept."""
        return self._ask("dewatermark", image, None, None, options)

    def edit(self, image: Any, words: str, **options: Unpack[RunOptions]) -> Answers:
        """The picture changed as the words say ("add a red star on the left"); the rest is kept."""
        return self._ask("edit", image, words, None, options)
