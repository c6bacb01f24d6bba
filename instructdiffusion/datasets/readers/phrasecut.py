"""VGPhraseCut: phrases and the regions they mean in pictures of Visual Genome."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ...results import Masks
from ..records import Record
from .annotation_masks import STUBS, check_segmentation, segmentation_mask
from .index import Builder
from .large_json import stream_json
from .problems import Flaw, member, named, whole, xywh_box
from .reader import Reader, first_file, first_folder
from .referring import phrase
from .stored_images import picture_size

_FOLDERS = ("images", "VG_100K", "VG_100K_2", "images/VG_100K", "images/VG_100K_2")


class PhraseCut(Reader):
    """refer_{train,val,test,miniv}.json and images/<image_id>.jpg (or Visual Genome's VG_100K and VG_100K_2).

    Sizes come from image_data_split[3000].json where it is there, else from the pictures.
    """

    name = "phrasecut"
    title = "VGPhraseCut"
    source = "https://github.com/ChenyunWu/PhraseCutDataset and https://homes.cs.washington.edu/~ranjay/visualgenome/"
    tasks: ClassVar[tuple[str, ...]] = ("refer",)
    version: ClassVar[int] = 2
    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test", "miniv")

    @property
    def folder(self) -> Path:
        """VGPhraseCut_v0 below the root, or the root."""
        return first_folder(self.root, ["data/VGPhraseCut_v0", "VGPhraseCut_v0"]) or self.root

    def picture_folders(self) -> list[Path]:
        """The folders that may hold a picture; LayoutMissing where there is none."""
        base = self.images or self.folder
        folders = [base / name for name in _FOLDERS if (base / name).is_dir()]
        if self.images is not None:
            folders.append(self.images)
        if not folders:
            raise self.incomplete(self.phrases_file(), _FOLDERS, "pictures")
        return folders

    def phrases_file(self) -> Path:
        """refer_{split}.json; LayoutMissing."""
        path = self.folder / f"refer_{self.split}.json"
        if not path.is_file():
            raise self.missing([path.name])
        return path

    def files(self) -> list[Path]:
        """The phrases and, where it is there, the list of sizes."""
        path = self.phrases_file()
        self.picture_folders()
        sizes = first_file(self.folder, ["image_data_split3000.json", "image_data_split.json"])
        return [path] if sizes is None else [path, sizes]

    def build(self, builder: Builder) -> None:
        """A row a phrase."""
        path, *more = self.files()
        sizes: dict[int, tuple[int, int]] = {}
        for listing in more:
            with builder.guard(listing, "the sizes"):
                for _, entry in stream_json(listing):
                    image_id = whole(member(entry, "image_id"), "the image_id")
                    sizes[image_id] = whole(entry["height"], "the height"), whole(entry["width"], "the width")
        folders = self.picture_folders()
        task: Any = {}
        try:
            for _, task in stream_json(path):
                number = task.get("task_id") if isinstance(task, dict) else task
                with builder.guard(path, f"task {number}"):
                    image_id = whole(member(task, "image_id"), "the image_id")
                    name = f"{image_id}.jpg"
                    folder = next((f for f in folders if builder.exists(f / name)), folders[0])
                    image = builder.picture(folder, name)
                    if image_id not in sizes:
                        sizes[image_id] = picture_size(named(builder.root, image))
                    size = sizes[image_id]
                    polygons = list(_flattened(member(task, "Polygons")))
                    builder.remark(STUBS, check_segmentation(polygons, size))
                    for box in task.get("instance_boxes", []):
                        xywh_box(box, size)
                    builder.add(
                        id=f"task {number}",
                        image=image,
                        size=size,
                        phrase=phrase(member(task, "phrase")),
                        polygons=polygons,
                        image_id=image_id,
                        instances=len(task["Polygons"]),
                    )
        except Flaw as error:
            builder.problem(
                path, f"after task {task.get('task_id') if isinstance(task, dict) else ''}", error
            )

    def read(self, row: dict[str, Any], rng: Any) -> Record:
        """The picture, the phrase, and the union of what it means."""
        size = (row["size"][0], row["size"][1])
        image = self.load(row["image"], size)
        mask = segmentation_mask(row["polygons"], size)
        target = Masks(mask[None], np.ones(1), (row["phrase"],))
        meta = {"image_id": row["image_id"], "targets": row["instances"]}
        return Record(image, (row["phrase"],), target, meta=meta)


def _flattened(instances: Any) -> Iterator[list[float]]:
    """x, y, x, y, ... of [instance][polygon][[x, y], ...]."""
    if not isinstance(instances, list) or not instances:
        raise Flaw("there is no polygon")
    for polygons in instances:
        for polygon in polygons:
            yield [value for point in polygon for value in point]
