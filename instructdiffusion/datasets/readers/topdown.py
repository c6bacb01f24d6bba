"""Pose datasets: one record a person (or animal), cut out of the picture with room around, some joints asked for."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ...imaging import rasterize
from ...results import Keypoints
from ..records import Record
from .cocoformat import CocoFile
from .index import Builder
from .joints import SHIFT, spoken, unified
from .problems import Flaw, named, number, xywh_box
from .reader import Reader
from .stored_images import picture_size

MARGIN = 1.25  # the paper's room around a person's box
MOST = 5  # joints asked for at once, at most


class PoseReader(Reader):
    """Keypoints of one person a record.

    By default the record is the paper's crop: a square of `margin` times the longer side of the person's box,
    black where it leaves the picture, at the picture's own resolution. `margin = None` gives the whole
    picture (for an augmentation that cuts for itself).

    A record asks for 1 to 5 joints, labelled or not: one that is not labelled is asked for and not drawn. A
    joint whose disc would hide under another one's is not asked for together with it. meta: box (x1, y1, x2,
    y2 in the whole picture), window (likewise, of the crop), size (height, width of the whole picture), area
    (pixels), image_id, annotation_id, and joints [k, 3]: x, y and v of all joints in the whole picture, in the
    dataset's order (0 not labelled, 1 hidden, 2 visible).
    """

    tasks: ClassVar[tuple[str, ...]] = ("keypoints",)
    names: ClassVar[tuple[str, ...]]  # of the joints, in the file's order
    margin: float | None = MARGIN
    half_body: ClassVar[float] = 0.0  # share of views that training cuts to the upper or the lower body

    def read(self, row: dict[str, Any], rng: random.Random) -> Record:
        """The person with joints drawn by `rng`."""
        return self._asked(row, rng, None)

    def ask(self, index: int, joints: Sequence[str]) -> Record:
        """The person of a record with exactly these joints asked for (by their names, "left shoulder")."""
        unknown = [j for j in joints if j not in self.names]
        if unknown or not joints:
            raise ValueError(f"{self.name} has the joints {', '.join(self.names)}; got {list(joints)}")
        row = self.rows[index]
        return self._checked(index, lambda: self._asked(row, random.Random(0), list(joints)))

    def _asked(self, row: dict[str, Any], rng: random.Random, names: list[str] | None) -> Record:
        picture = self.load(row["image"], row["size"] if row["size"][0] else None)
        size = picture.shape[:2]
        window = (0, 0, size[1], size[0]) if self.margin is None else square_window(row["box"], self.margin)
        image = cut(picture, window)
        joints = np.asarray(row["joints"], np.float64).reshape(-1, 3)
        xy = (joints[:, :2] - window[:2]).astype(np.float32)
        h, w = image.shape[:2]
        inside = (xy >= 0).all(1) & (xy < (w, h)).all(1)
        visible = (joints[:, 2] > 0) & inside
        chosen = names or self._drawn(xy, visible, rasterize.disc_radius(h, w), rng)
        columns = [self.names.index(name) for name in chosen]
        subjects = tuple(spoken(name) for name in chosen)
        visible_joints = visible[columns]
        target = Keypoints(
            np.where(visible_joints[:, None], xy[columns], 0)[None],
            visible_joints[None],
            visible_joints[None].astype(np.float32),
            subjects,
            (h, w),
        )
        meta = {
            "box": tuple(row["box"]),
            "window": window,
            "size": tuple(size),
            "area": row["area"],
            "image_id": row["image_id"],
            "annotation_id": row["annotation_id"],
            "joints": joints,
            "figure": row.get("category", "person"),
        }
        tags = frozenset() if visible_joints.all() else frozenset({"hidden" if visible_joints.any() else "absent"})
        return Record(image, subjects, target, caption=f"a {meta['figure']}", tags=tags, meta=meta)

    def _drawn(self, xy: np.ndarray, visible: np.ndarray, radius: float, rng: random.Random) -> list[str]:
        count = rng.randint(1, MOST)
        chosen: list[int] = []
        for column in rng.sample(range(len(self.names)), len(self.names)):
            apart = not visible[column] or all(
                not visible[other] or np.linalg.norm(xy[column] - xy[other]) > radius for other in chosen
            )
            if apart:
                chosen.append(column)
            if len(chosen) == count:
                break
        return [self.names[column] for column in chosen]


class CocoPoseReader(PoseReader):
    """Pose datasets whose annotations are in COCO's JSON format."""

    field: ClassVar[str] = "keypoints"
    sizes_swapped: ClassVar[bool] = False  # whether downloads with width and height exchanged are known

    @abstractmethod
    def annotation_file(self) -> Path:
        """The JSON file; LayoutMissing."""

    @abstractmethod
    def picture_folder(self) -> Path:
        """Where the pictures lie; LayoutMissing."""

    def files(self) -> list[Path]:
        """The annotation file."""
        files = [self.annotation_file()]
        self.picture_folder()
        return files

    def picture_name(self, name: str) -> str:
        """The name below the folder of pictures of a `file_name`."""
        return name

    def build(self, builder: Builder) -> None:
        """A row a person with labelled joints."""
        path, folder = self.annotation_file(), self.picture_folder()
        fields = (self.field, "bbox", "area", "num_keypoints")
        swapped: dict[Any, bool] = {}
        with CocoFile(path, builder, fields) as coco:
            for entry in coco.categories.values():
                if "keypoints" in entry:
                    self._check_order(entry)
            for annotation in coco:
                with builder.guard(path, f"annotation {annotation['id']}"):
                    if annotation.get("iscrowd"):
                        builder.leave_out("crowds")
                        continue
                    joints = joint_rows(annotation.get(self.field), len(self.names), SHIFT)
                    if not any(v > 0 for _, _, v in joints):
                        builder.leave_out("without labelled joints")
                        continue
                    name, height, width = coco.image_of(annotation)
                    image = builder.picture(folder, self.picture_name(name))
                    if self.sizes_swapped:
                        if (number_of := annotation["image_id"]) not in swapped:
                            swapped[number_of] = _sides_swapped(builder, image, (height, width))
                        height, width = (width, height) if swapped[number_of] else (height, width)
                    box = xywh_box(annotation.get("bbox"), (height, width))
                    # CrowdPose has no areas; COCO's tools then take the box's.
                    area = annotation.get("area", (box[2] - box[0]) * (box[3] - box[1]))
                    builder.add(
                        id=f"annotation {annotation['id']}",
                        image=image,
                        size=[height, width],
                        box=box,
                        joints=joints,
                        area=number(area, "the area"),
                        image_id=annotation["image_id"],
                        annotation_id=annotation["id"],
                        category=coco.category_of(annotation),
                    )

    def _check_order(self, category: dict[str, Any]) -> None:
        listed = category["keypoints"]
        if not isinstance(listed, list):
            raise Flaw(f"category {category.get('name')} lists {listed!r} as joints")
        order = tuple(unified(str(name)) for name in listed)
        if order[: len(self.names)] != self.names:  # HumanArt lists four more for its other field
            raise Flaw(
                f"category {category.get('name')} lists the joints {', '.join(order)}: expected "
                f"{', '.join(self.names)}"
            )


def _sides_swapped(builder: Builder, image: str, stated: tuple[int, int]) -> bool:
    """Whether a picture is of `stated` (height, width) the other way round; a remark where it is."""
    try:
        size = picture_size(named(builder.root, image))
    except Flaw:  # a damaged picture: named when it is read
        return False
    if size == stated or size != stated[::-1]:
        return False
    builder.remark("pictures have width and height swapped in the annotations: their own size counts")
    return True


def joint_rows(values: Any, count: int, shift: float) -> list[list[float]]:
    """[[x, y, v], ...] of COCO's flat list, shifted to pixel centres; Flaw for another number of joints or NaN."""
    if not isinstance(values, (list, tuple)) or len(values) != 3 * count:
        length = len(values) if isinstance(values, (list, tuple)) else values
        raise Flaw(f"expected {count} joints of x, y, v; got {length} numbers")
    rows = []
    for place in range(0, len(values), 3):
        x, y = (number(v, "a coordinate of a joint") for v in values[place : place + 2])
        v = number(values[place + 2], "a joint's v")
        rows.append([x + shift, y + shift, float(v)] if v > 0 else [0.0, 0.0, 0.0])
    return rows


def square_window(box: Sequence[float], margin: float) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2: the square around the centre of a box with `margin` times its longer side, whole pixels."""
    side = max(8, int(np.ceil(max(box[2] - box[0], box[3] - box[1]) * margin)))
    x1 = round((box[0] + box[2] - side) / 2)
    y1 = round((box[1] + box[3] - side) / 2)
    return x1, y1, x1 + side, y1 + side


def cut(picture: np.ndarray, window: tuple[int, int, int, int]) -> np.ndarray:
    """The window of a picture, black where it leaves it."""
    h, w = picture.shape[:2]
    x1, y1, x2, y2 = window
    out = np.zeros((y2 - y1, x2 - x1, 3), np.uint8)
    left, top, right, bottom = max(0, x1), max(0, y1), min(w, x2), min(h, y2)
    if left < right and top < bottom:
        out[top - y1 : bottom - y1, left - x1 : right - x1] = picture[top:bottom, left:right]
    return out
