"""COCO's JSON format: images, categories, and annotations spooled to disk, however many there are."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .index import Builder
from .large_json import stream_json
from .problems import Flaw, member, whole
from .spool import Spool


class CocoFile:
    """One annotation file, read once; annotations lie in a scratch file and are fetched by row or by id.

    images: id -> (file_name, height, width). categories: id -> the entry. Entries without what is needed are
    problems of the builder.
    """

    def __init__(
        self, path: Path, builder: Builder, fields: Sequence[str], *, size_needed: bool = True
    ) -> None:
        self.path = path
        self.images: dict[int, tuple[str, int, int]] = {}
        self.categories: dict[int, dict[str, Any]] = {}
        self.ids, self.image_ids, self.category_ids = array("q"), array("q"), array("q")
        self._fields = ("id", "image_id", "category_id", "iscrowd", *fields)
        self._spool = Spool(builder.scratch / f"{path.name}.spool")
        try:
            for key, entry in stream_json(path):
                if key == "images":
                    with builder.guard(path, f"image {entry_id(entry)}"):
                        self._image(entry, size_needed)
                elif key == "annotations":
                    with builder.guard(path, f"annotation {entry_id(entry)}"):
                        self._annotation(entry)
                elif key == "categories":
                    with builder.guard(path, f"category {entry_id(entry)}"):
                        self.categories[whole(member(entry, "id"), "the id")] = entry
        except Flaw as error:
            builder.problem(path, f"after {len(self.images)} images and {len(self)} annotations", error)

    def _image(self, entry: Any, size_needed: bool) -> None:
        height = whole(entry["height"], "the height") if "height" in entry or size_needed else 0
        width = whole(entry["width"], "the width") if "width" in entry or size_needed else 0
        if size_needed and (height < 1 or width < 1):
            raise Flaw(f"the picture is said to be of {width}x{height} pixels")
        name = member(entry, "file_name")
        if not isinstance(name, str):
            raise Flaw(f"the file_name is {name!r}: expected words")
        self.images[whole(member(entry, "id"), "the id")] = (name, height, width)

    def _annotation(self, entry: Any) -> None:
        number = whole(member(entry, "id"), "the id")
        image = whole(member(entry, "image_id"), "the image_id")
        category = whole(entry.get("category_id", 0), "the category_id")
        self._spool.add({k: entry[k] for k in self._fields if k in entry})
        self.ids.append(number)
        self.image_ids.append(image)
        self.category_ids.append(category)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, row: int) -> dict[str, Any]:
        entry: dict[str, Any] = self._spool[row]
        return entry

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._spool)

    def close(self) -> None:
        """Let the scratch file go."""
        self._spool.close()

    def __enter__(self) -> CocoFile:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def image_of(self, annotation: dict[str, Any]) -> tuple[str, int, int]:
        """(file_name, height, width) of an annotation's picture; Flaw where the file lists none."""
        number = whole(annotation["image_id"], "the image_id")
        if number not in self.images:
            raise Flaw(f"image {number} is not among the images of the file")
        return self.images[number]

    def category_of(self, annotation: dict[str, Any]) -> str:
        """The name of an annotation's category; Flaw where the file lists none."""
        entry = self.categories.get(annotation.get("category_id", 0))
        if entry is None or not isinstance(entry.get("name"), str):
            raise Flaw(f"category {annotation.get('category_id')} is not among the categories of the file")
        name: str = entry["name"]
        return name

    def groups(self) -> Iterator[np.ndarray]:
        """Rows of the annotations of one category in one image, in the order of the images' ids."""
        images, categories = np.asarray(self.image_ids), np.asarray(self.category_ids)
        order = np.lexsort((categories, images))
        if not len(order):
            return
        edges = np.flatnonzero((np.diff(images[order]) != 0) | (np.diff(categories[order]) != 0)) + 1
        bounds = np.concatenate([[0], edges, [len(order)]])
        for start, end in zip(bounds[:-1], bounds[1:]):
            yield order[start:end]

    def by_id(self) -> dict[int, int]:
        """Annotation id -> row."""
        return {number: row for row, number in enumerate(self.ids)}


def entry_id(entry: Any, key: str = "id") -> Any:
    """What names an entry in messages."""
    return entry.get(key, f"without {key}") if isinstance(entry, dict) else repr(entry)[:40]
