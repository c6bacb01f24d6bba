"""COCO: people's joints (person_keypoints), and masks and boxes of its 80 categories (instances)."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ...results import Boxes, Masks
from ..records import Record
from .annotation_masks import STUBS, check_segmentation, segmentation_mask
from .cocoformat import CocoFile
from .index import Builder
from .joints import COCO
from .problems import Flaw, xywh_box
from .reader import first_file, first_folder
from .topdown import CocoPoseReader


def beside(split: str) -> tuple[str, ...]:
    """Where a split ("train2014") of COCO's pictures may lie in a folder of datasets that share them.

    coco is what training/configs/paper.yaml calls it, coco_2014 what the paper's authors do.
    """
    return tuple(f"{name}/{inner}{split}" for name in ("coco", "coco_2014") for inner in ("", "images/"))


class Coco(CocoPoseReader):
    """annotations/{person_keypoints,instances}_{train,val}{2017,2014}.json with [images/]{split}{year}/.

    segment and detect ask for all things of one category of a picture; crowds belong to the masks (as COCO
    draws them) and not to the boxes.
    """

    name = "coco"
    title = "COCO"
    source = "https://cocodataset.org/#download (2017 Train/Val images and annotations)"
    tasks: ClassVar[tuple[str, ...]] = ("keypoints", "segment", "detect")
    names = COCO
    version: ClassVar[int] = 3
    # Of the paper's datasets COCO's alone: prob_half_body in the authors' dataset/pose/pose.py.
    half_body = 0.3

    def annotation_file(self) -> Path:
        """person_keypoints for keypoints, else instances."""
        kind = "person_keypoints" if self.task == "keypoints" else "instances"
        candidates = [
            f"{folder}{kind}_{self.split}{year}.json"
            for year in (2017, 2014)
            for folder in ("annotations/", "")
        ]
        path = first_file(self.root, candidates)
        if path is None:
            raise self.missing(candidates, f"{self.task}, {self.split}")
        return path

    def picture_folder(self) -> Path:
        """[images/]{train,val}{2017,2014}, of the year of the annotations."""
        year = "2014" if "2014" in self.annotation_file().name else "2017"
        candidates = [f"{self.split}{year}", f"images/{self.split}{year}", f"images/{self.split}"]
        folder = first_folder(self.images, [*candidates, ""]) if self.images else first_folder(self.root, candidates)
        if folder is None:
            raise self.incomplete(self.annotation_file(), candidates, "pictures")
        return folder

    def build(self, builder: Builder) -> None:
        """Keypoints: a row a person; segment and detect: a row a category in a picture."""
        if self.task == "keypoints":
            super().build(builder)
            return
        path, folder = self.annotation_file(), self.picture_folder()
        with CocoFile(path, builder, ("segmentation", "bbox", "area")) as coco:
            for rows in coco.groups():
                annotations = [coco[row] for row in rows]
                first = annotations[0]
                record = f"image {first['image_id']}, category {first.get('category_id')}"
                with builder.guard(path, record):
                    name, height, width = coco.image_of(first)
                    objects = []
                    for annotation in annotations:
                        crowd = bool(annotation.get("iscrowd"))
                        if crowd and self.task == "detect":
                            builder.leave_out("crowds, of which there are no boxes")
                            continue
                        objects.append(self._asked_of(annotation, (height, width)))
                    if not objects:
                        continue
                    builder.remark(STUBS, sum(stubs for _, stubs in objects))
                    image = builder.picture(folder, name)
                    key = "boxes" if self.task == "detect" else "masks"
                    value = [thing for thing, _ in objects]
                    row = {"category": coco.category_of(first), "image_id": first["image_id"], key: value}
                    builder.add(id=record, image=image, size=[height, width], **row)

    def _asked_of(self, annotation: dict[str, Any], size: tuple[int, int]) -> tuple[Any, int]:
        """(box for detect, segmentation for segment; polygons passed over); Flaw that names the annotation.

        What the task does not ask for is not looked at: a broken polygon is none of detect's business.
        """
        try:
            if self.task == "detect":
                return xywh_box(annotation.get("bbox"), size), 0
            segmentation = annotation.get("segmentation")
            return segmentation, check_segmentation(segmentation, size)
        except Flaw as error:
            raise Flaw(f"annotation {annotation['id']}: {error}") from None

    def read(self, row: dict[str, Any], rng: random.Random) -> Record:
        """A person with joints, or all things of a category."""
        if self.task == "keypoints":
            return super().read(row, rng)
        size = (row["size"][0], row["size"][1])
        image = self.load(row["image"], size)
        subject = f"the {row['category']}"
        meta = {"category": row["category"], "image_id": row["image_id"]}
        if self.task == "detect":
            boxes = np.float32(row["boxes"])
            target: Any = Boxes(boxes, np.ones(len(boxes)), (subject,) * len(boxes), size)
        else:
            data = np.stack([segmentation_mask(part, size) for part in row["masks"]])
            target = Masks(data, np.ones(len(data)), (subject,) * len(data))
        return Record(image, (subject,), target, meta=meta)


