"""Referring expressions in the refer API's layout: a phrase, and the one thing (or things) that it means."""

from __future__ import annotations

import random
from abc import abstractmethod
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ...results import Masks
from ..records import Record
from .annotation_masks import STUBS, check_segmentation, segmentation_mask
from .coco import beside
from .cocoformat import CocoFile, entry_id
from .index import Builder
from .problems import Flaw, inside, member, relative, text, whole
from .reader import Reader, first_folder

# Where COCO's training pictures lie: those of 2014, which 2017's are too, in the folder itself or in one beside it.
BESIDE = (*beside("train2014"), *beside("train2017"))
COCO_FOLDERS = (
    "images/mscoco/images/train2014",
    "images/train2014",
    "train2014",
    "images/mscoco/train2014",
    "images/train2017",
    "train2017",
    *BESIDE,
)
_BOUNDS = "refs.npy"


class ReferReader(Reader):
    """One record a sentence; the target is one mask, the union of what is meant, or none.

    An item is a ref, with all its sentences: the paper's authors count and draw refs, and of each one of its
    sentences (their dataset/seg/refcoco_segmentation.py and grefcoco_segmentation.py).
    """

    tasks: ClassVar[tuple[str, ...]] = ("refer",)
    version: ClassVar[int] = 2
    picture_folders: ClassVar[tuple[str, ...]] = COCO_FOLDERS
    # Of these, what may lie in the folder around the dataset's own.
    beside: ClassVar[tuple[str, ...]] = BESIDE

    @property
    @abstractmethod
    def folder(self) -> Path:
        """The folder that holds the expressions and instances.json."""

    @abstractmethod
    def refs(self) -> Iterator[dict[str, Any]]:
        """The entries of the expression file; Flaw."""

    @abstractmethod
    def refs_file(self) -> Path:
        """The expression file; LayoutMissing."""

    def instances_file(self) -> Path:
        """instances.json; LayoutMissing."""
        path = self.folder / "instances.json"
        if not path.is_file():
            raise self.incomplete(self.refs_file(), [relative(path, self.root)])
        return path

    def files(self) -> list[Path]:
        """Expressions and instances."""
        files = [self.refs_file(), self.instances_file()]
        self.picture_folder()
        return files

    def picture_folder(self) -> Path:
        """Where the pictures lie; LayoutMissing."""
        if self.images is not None:
            folder = first_folder(self.images, [*self.picture_folders, ""])
        else:
            around = self.picture_folders if self.folder == self.root else self.beside
            folder = first_folder(self.root, self.picture_folders) or first_folder(self.root.parent, around)
        if folder is None:
            candidates = [*self.picture_folders, *(f"../{name}" for name in self.beside)]
            what = "pictures; images= names a folder that lies elsewhere"
            raise self.incomplete(self.refs_file(), candidates, what)
        return folder

    def in_split(self, ref: dict[str, Any]) -> bool:
        """As the refer API has it: "testA" is also what is marked "testAB"."""
        split = ref.get("split")
        if self.split.startswith("test") and len(self.split) == 5:
            return isinstance(split, str) and split.startswith("test") and self.split[-1] in split[4:]
        return split == self.split

    @property
    def items(self) -> int:
        """The refs that have a sentence."""
        return len(self._bounds()) - 1

    def draw(self, rng: random.Random) -> int:
        """A sentence of a ref: refs are drawn alike, however many sentences they have; ValueError without records."""
        if not len(self):
            return super().draw(rng)
        bounds, ref = self._bounds(), rng.randrange(self.items)
        return rng.randrange(int(bounds[ref]), int(bounds[ref + 1]))

    def _bounds(self) -> np.ndarray:
        """int64 [refs + 1], mapped: the row at which each ref's sentences begin, and the end."""
        return np.load(self._index.folder / _BOUNDS, mmap_mode="r")

    def build(self, builder: Builder) -> None:
        """A row a sentence, and where the rows of each ref begin."""
        bounds = array("q", [0])
        try:
            self._build_rows(builder, bounds)
        finally:
            np.save(builder.folder / _BOUNDS, np.frombuffer(bounds, np.int64))

    def _build_rows(self, builder: Builder, bounds: array[int]) -> None:
        refs, folder = self.refs_file(), self.picture_folder()
        with CocoFile(self.instances_file(), builder, ("segmentation",)) as coco:
            rows = coco.by_id()
            for ref in self.refs():
                with builder.guard(refs, f"ref {entry_id(ref, 'ref_id')}"):
                    split = member(ref, "split")
                    if not isinstance(split, str) or not split.startswith(("train", "val", "test")):
                        raise Flaw(f"the split is {split!r}: expected train, val or a test")
                    if self.in_split(ref):
                        self._add(ref, coco, rows, builder, folder)
                if builder.count > bounds[-1]:
                    bounds.append(builder.count)

    def _add(
        self, ref: dict[str, Any], coco: CocoFile, rows: dict[int, int], builder: Builder, folder: Path
    ) -> None:
        image_id = whole(member(ref, "image_id"), "the image_id")
        name, height, width = coco.image_of({"image_id": image_id})
        short = name.rpartition("_")[2]  # COCO_train2014_000000000009.jpg is 000000000009.jpg in 2017
        renamed = short != name and builder.exists(folder / inside(short))
        image = builder.picture(
            folder, short if renamed and not builder.exists(folder / inside(name)) else name
        )
        masks, boxes = [], member(ref, "ann_id")
        numbers = [whole(v, "an ann_id") for v in (boxes if isinstance(boxes, list) else [boxes])]
        for number in numbers:
            if number == -1:
                continue
            if number not in rows:
                raise Flaw(f"annotation {number} is not in instances.json")
            annotation = coco[rows[number]]
            if annotation.get("iscrowd") and len(numbers) > 1:
                builder.leave_out("crowds beside what a phrase means")
                continue
            try:
                builder.remark(STUBS, check_segmentation(annotation.get("segmentation"), (height, width)))
            except Flaw as error:
                raise Flaw(f"annotation {number}: {error}") from None
            masks.append(annotation["segmentation"])
        sentences = member(ref, "sentences")
        if not isinstance(sentences, list) or not sentences:
            raise Flaw("there is no sentence")
        for place, sentence in enumerate(sentences):
            record = f"ref {ref.get('ref_id')}, sentence {sentence.get('sent_id', place)}"
            with builder.guard(self.refs_file(), record):
                builder.add(
                    id=record,
                    image=image,
                    size=[height, width],
                    phrase=phrase(sentence.get("sent")),
                    masks=masks,
                    image_id=image_id,
                    ref_id=ref.get("ref_id"),
                )

    def read(self, row: dict[str, Any], rng: random.Random) -> Record:
        """The picture, the phrase, and the mask of what it means."""
        size = (row["size"][0], row["size"][1])
        image = self.load(row["image"], size)
        subject = row["phrase"]
        if row["masks"]:
            union = np.any([segmentation_mask(part, size) for part in row["masks"]], axis=0)
            target = Masks(union[None], np.ones(1), (subject,))
        else:
            target = Masks.empty(*size)
        tags = frozenset() if row["masks"] else frozenset({"absent"})
        meta = {"image_id": row["image_id"], "ref_id": row["ref_id"], "targets": len(row["masks"])}
        return Record(image, (subject,), target, tags=tags, meta=meta)


def phrase(value: Any) -> str:
    """The words of an expression without what ends a sentence; Flaw where none are left."""
    words = text(value, "the sentence").strip(" .!")
    if not words:
        raise Flaw(f"the sentence is {value!r}: expected words")
    return words
