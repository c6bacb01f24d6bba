"""Answer: what came of one instruction on one picture, ready to look at and to write down."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..knowledge import Knowledge
from ..results import Boxes, Keypoints, Label, Masks, to_coco
from ..tasks.instruction import Instruction
from ..utils.files import jpeg_bytes, json_bytes, png_bytes, write_files

LARGE = 2_000_000  # pixels; beyond it pictures for people are saved as JPEG


@dataclass(frozen=True, eq=False)
class Answer:
    """An instruction, its typed result, and the pictures, all at the source's own size.

    result: Masks, Keypoints, Boxes, Label, or a picture uint8 [h, w, 3] for tasks that answer with one.
    picture: what the model drew, uint8 [h, w, 3], or a function without arguments that composes it, which is
    called when it is first asked for: masks and points do without, and at 12 million pixels it takes a second.
    source: the picture asked about. settings: how the model was asked (plain data). knowledge: what the model says of
    itself, None where it says nothing.
    """

    instruction: Instruction
    result: Masks | Keypoints | Boxes | Label | np.ndarray
    picture: np.ndarray  # or Callable[[], np.ndarray] where it is made
    source: np.ndarray
    settings: Mapping[str, Any] = field(default_factory=dict)
    knowledge: Knowledge | None = None

    def __post_init__(self) -> None:
        _check_picture("source", self.source)
        if callable(self.picture):
            self.__dict__["_compose"] = self.__dict__.pop("picture")  # `__getattr__` asks it
        else:
            self._check(self.picture)

    def __getattr__(self, name: str) -> Any:
        """The picture, composed when it is first asked for."""
        if name != "picture" or "_compose" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        picture = self.__dict__["_compose"]()
        self._check(picture)
        self.__dict__["picture"] = picture
        self.__dict__.pop("_compose", None)
        return picture

    def __getstate__(self) -> dict[str, Any]:
        """What pickling and copying keep: the picture, not how it is composed."""
        picture = self.picture
        return {**{k: v for k, v in self.__dict__.items() if k != "_compose"}, "picture": picture}

    def _check(self, picture: np.ndarray) -> None:
        _check_picture("picture", picture)
        if picture.shape != self.source.shape:
            raise ValueError(f"picture {picture.shape} and source {self.source.shape} must have one size")

    @property
    def task(self) -> str:
        """The name of the task."""
        return self.instruction.task

    @cached_property
    def message(self) -> str:
        """What there is to say (`messages.remarks`), as "nothing found for 'the red star'"; empty where all went well.

        "nothing was changed" where an edit or a watermark's removal kept every pixel; before that how free words were
        understood.
        """
        from .messages import message

        picture = self.picture if isinstance(self.result, np.ndarray) else None  # what is read back needs no composing
        return message(self.knowledge, self.instruction, self.source, self.result, picture)

    def overlay(self) -> np.ndarray:
        """The result drawn on the source for people, uint8; small pictures come enlarged.

        Points have the colours that the instruction asked for them.
        For a task that answers with a picture, that picture.
        """
        from ..imaging.annotate import overlay

        if isinstance(self.result, np.ndarray):
            return self.picture
        colors = self.instruction.colors if isinstance(self.result, Keypoints) else None
        return overlay(self.source, self.result, colors)

    def to_coco(self, image_id: int = 1, file_name: str = "") -> dict[str, Any]:
        """A COCO data set of this one picture: images, categories, annotations, and the question in info."""
        height, width = self.source.shape[:2]
        annotations = [] if isinstance(self.result, np.ndarray) else to_coco(self.result, image_id)
        return {
            "info": {
                "task": self.task,
                "instruction": self.instruction.text,
                "subjects": list(self.instruction.subjects),
                "colors": [c.name for c in self.instruction.colors],
                "message": self.message,
                "settings": dict(self.settings),
            },
            "images": [{"id": image_id, "file_name": file_name, "width": width, "height": height}],
            "categories": self._categories(),
            "annotations": annotations,
        }

    def _categories(self) -> list[dict[str, Any]]:
        if isinstance(self.result, Keypoints):
            return [{"id": 1, "name": "object", "keypoints": list(self.result.names), "skeleton": []}]
        if isinstance(self.result, (Masks, Boxes)):
            names = dict.fromkeys((*self.result.labels, *self.instruction.subjects))
            return [{"id": number, "name": name} for number, name in enumerate(names, 1)]
        if isinstance(self.result, Label):
            categories = self.result.scores or ((self.result.name,) if self.result.name else ())
            return [{"id": number, "name": name} for number, name in enumerate(categories, 1)]
        return []

    def files(self, folder: str | os.PathLike[str], stem: str, file_name: str = "") -> dict[Path, bytes]:
        """The files `save` writes, as path -> content.

        Always STEM_TASK.json; for tasks that answer with a picture STEM_TASK.png; for the others
        STEM_TASK_overlay.png and STEM_TASK_drawn.png, and STEM_TASK_mask.png (white where found) for masks. With
        the task in every name, answers of several tasks about one picture stand side by side. Of pictures of more than
        LARGE pixels overlay and drawing are JPEG files, a tenth as large.
        """
        start = Path(folder) / f"{stem}_{self.task}"
        pictures: dict[str, np.ndarray] = {}
        if isinstance(self.result, np.ndarray):
            pictures[""] = self.picture
        else:
            pictures["_overlay"], pictures["_drawn"] = self.overlay(), self.picture
        large = self.source.shape[0] * self.source.shape[1] > LARGE
        files = {start.with_name(f"{start.name}.json"): json_bytes(self.to_coco(file_name=file_name))}
        for ending, picture in pictures.items():
            if ending and large:
                files[start.with_name(f"{start.name}{ending}.jpg")] = jpeg_bytes(picture)
            else:
                files[start.with_name(f"{start.name}{ending}.png")] = png_bytes(picture)
        if isinstance(self.result, Masks):
            files[start.with_name(f"{start.name}_mask.png")] = png_bytes(self.result.union())
        return files

    def save(self, folder: str | os.PathLike[str], stem: str, file_name: str = "") -> list[Path]:
        """Write the answer's files, all or none; returns their paths. WriteError where that cannot be.

        Overlay and drawing of an earlier answer of that name go where they had the other format, PNG or JPEG.
        """
        if stem in ("", ".", "..") or stem != Path(stem).name:
            raise ValueError(f"expected a plain file name without folders as stem, got {stem!r}")
        paths = write_files(self.files(folder, stem, file_name))
        for path in paths:
            if path.stem.endswith(("_overlay", "_drawn")):
                with contextlib.suppress(OSError):  # the answer itself is whole
                    path.with_suffix(".png" if path.suffix == ".jpg" else ".jpg").unlink()
        return paths


def _check_picture(name: str, array: Any) -> None:
    """TypeError for what is no picture uint8 [h, w, 3]."""
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or array.ndim != 3:
        raise TypeError(f"{name} must be a picture uint8 [h, w, 3]")
