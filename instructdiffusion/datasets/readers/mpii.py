"""MPII Human Pose: 16 joints; pixels are numbered from 1."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .index import Builder
from .joints import MPII, SHIFT
from .large_json import stream_json
from .mat_files import load_variable
from .problems import Flaw, LayoutMissing, member, number, relative, whole
from .reader import first_file, first_folder
from .topdown import PoseReader

_FILES = {"train": ("train",), "val": ("valid", "val"), "trainval": ("trainval",), "test": ("test",)}
_MAT = ("mpii_human_pose_v1_u12_1.mat", "*/mpii_human_pose_v1_u12_1.mat", "mpii_human_pose*.mat")


class Mpii(PoseReader):
    """annot/{train,valid,trainval,test}.json or annotations/mpii_{train,val}.json, images/.

    Without them trainval is read from the data set's own mpii_human_pose_v1_u12_1.mat, which does not say who of
    its training persons belongs to train and who to val, and keeps the joints of test secret.

    The box is the square of 200 px x scale around the centre, moved down by 15 x scale and enlarged by 1.25, as
    the public loaders do; the crop adds no further margin.
    """

    name = "mpii"
    title = "MPII Human Pose"
    source = (
        "http://human-pose.mpi-inf.mpg.de (images, and mpii_human_pose_v1_u12_1.mat for trainval; the JSON files "
        "come with public pose estimators)"
    )
    splits: ClassVar[tuple[str, ...]] = tuple(_FILES)
    names = MPII
    margin = 1.0

    def annotation_file(self) -> Path:
        """The JSON of the split, or of trainval the .mat."""
        stems = _FILES[self.split]
        candidates = [f"annot/{s}.json" for s in stems] + [f"annotations/mpii_{s}.json" for s in stems]
        mat = first_file(self.root, _MAT)
        path = first_file(self.root, candidates) or (mat if self.split == "trainval" else None)
        if path is None:
            lacking = self.missing([*candidates, _MAT[0]] if self.split == "trainval" else candidates, self.split)
            if mat is None:
                raise lacking
            raise LayoutMissing(
                f"{lacking}\n{relative(mat, self.root)} is there: it is read as split trainval, and says neither who "
                "of these is train or val, nor the joints of test. Ask for trainval, or add the JSON file"
            )
        return path

    def picture_folder(self) -> Path:
        """images/."""
        folder = self.images or first_folder(self.root, ["images"])
        if folder is None:
            raise self.incomplete(self.annotation_file(), ["images/"], "pictures")
        return folder

    def files(self) -> list[Path]:
        """The annotation file."""
        files = [self.annotation_file()]
        self.picture_folder()
        return files

    def build(self, builder: Builder) -> None:
        """A row a person with labelled joints."""
        path, folder = self.annotation_file(), self.picture_folder()
        if path.suffix == ".mat":
            for place, (picture, people) in enumerate(_training_pictures(path)):
                file = _words(_cell(picture, "name"))
                for person, structure in enumerate(people):
                    record = f"{file or f'picture {place}'}, person {person}"
                    with builder.guard(path, record):
                        self._add(builder, folder, {**_from_matlab(structure), "image": file}, record)
            return
        place = -1
        try:
            for place, (_, entry) in enumerate(stream_json(path)):
                with builder.guard(path, f"person {place}"):
                    self._add(builder, folder, entry, place)
        except Flaw as error:
            builder.problem(path, f"after person {place}", error)

    def _add(self, builder: Builder, folder: Path, entry: Any, place: int | str) -> None:
        if isinstance(entry, dict) and "joints" not in entry:  # the test set's are kept secret
            builder.leave_out("without joints")
            return
        scale = number(member(entry, "scale"), "the scale")
        center = [number(v, "a number of the centre") for v in member(entry, "center")]
        if scale <= 0 or len(center) != 2:
            raise Flaw(f"the scale is {scale} and the centre {center}: expected a positive number and x, y")
        points, visible = entry["joints"], entry.get("joints_vis") or [1] * len(entry["joints"])
        if len(points) != len(self.names) or len(visible) != len(self.names):
            raise Flaw(f"expected {len(self.names)} joints, got {len(points)} and {len(visible)} flags")
        hidden = entry.get("joints_hidden", ())
        joints = []
        for column, ((x, y), v) in enumerate(zip(points, visible, strict=True)):
            x, y = number(x, "a coordinate of a joint"), number(y, "a coordinate of a joint")
            labelled = bool(v) and (x, y) != (-1, -1)
            flag = 1.0 if column in hidden else 2.0
            joints.append([x - 1 + SHIFT, y - 1 + SHIFT, flag] if labelled else [0.0, 0.0, 0.0])
        if not any(v for _, _, v in joints):
            builder.leave_out("without labelled joints")
            return
        x, y = center[0] - 1 + SHIFT, center[1] - 1 + SHIFT + 15 * scale
        half = 1.25 * scale * 200 / 2
        name = builder.picture(folder, member(entry, "image"))
        builder.add(
            id=f"person {place}" if isinstance(place, int) else place,
            image=name,
            size=[0, 0],  # the file has no sizes
            box=[x - half, y - half, x + half, y + half],
            joints=joints,
            area=(200 * scale) ** 2,
            image_id=name,
            annotation_id=place,
        )


def _training_pictures(path: Path) -> Iterator[tuple[Any, Any]]:
    """(image, persons) of RELEASE's pictures that are for training, as scipy has MATLAB's structures."""
    release = load_variable(path, "RELEASE")
    annolist, trained = _cell(release, "annolist"), _cell(release, "img_train")
    if not isinstance(annolist, np.ndarray) or not isinstance(trained, np.ndarray):
        raise Flaw("the MATLAB file has no RELEASE with annolist and img_train")
    if annolist.size and not annolist.dtype.names:
        raise Flaw("RELEASE.annolist is no list of pictures")
    if trained.size != annolist.size:
        raise Flaw(f"RELEASE has {annolist.size} pictures and {trained.size} flags of img_train")
    for picture, flag in zip(annolist.flat, trained.flat, strict=True):
        if flag == 1:
            people = _field(picture, "annorect")
            yield _field(picture, "image"), people.flat if isinstance(people, np.ndarray) else ()


def _from_matlab(person: Any) -> dict[str, Any]:
    """A person of annorect as the JSON files have one: without joints where there are none; Flaw."""
    points = _cell(_field(person, "annopoints"), "point")
    if not isinstance(points, np.ndarray) or not points.size:
        return {}
    joints, labelled, hidden = [[-1.0, -1.0] for _ in MPII], [0] * len(MPII), set()
    for point in points.flat:
        column = whole(_number(_field(point, "id")), "the id of a joint")
        if not 0 <= column < len(MPII):
            raise Flaw(f"the id of a joint is {column}: expected 0 to {len(MPII) - 1}")
        joints[column] = [_number(_field(point, "x")), _number(_field(point, "y"))]
        labelled[column] = 1
        flag = _field(point, "is_visible")  # a number, a digit, or nothing: nobody looked
        if isinstance(flag, np.ndarray) and flag.size and str(flag.flat[0]) == "0":
            hidden.add(column)
    center, scale = _field(person, "objpos"), _number(_field(person, "scale"))
    return {
        "joints": joints,
        "joints_vis": labelled,
        "joints_hidden": hidden,
        "scale": scale,
        "center": [_number(_cell(center, "x")), _number(_cell(center, "y"))],
    }


def _field(structure: Any, name: str) -> Any:
    """A field of one structure; None where it has none of that name."""
    return structure[name] if isinstance(structure, np.void) and name in (structure.dtype.names or ()) else None


def _cell(value: Any, name: str) -> Any:
    """A field of the one structure in an array; None where the array is empty or lacks it."""
    return _field(value.flat[0], name) if isinstance(value, np.ndarray) and value.size else None


def _number(value: Any) -> Any:
    """The one number of an array, as Python's; None where there is none."""
    return value.flat[0].item() if isinstance(value, np.ndarray) and value.size and value.dtype.kind in "uifb" else None


def _words(value: Any) -> Any:
    """The one text of an array; None where there is none."""
    return str(value.flat[0]) if isinstance(value, np.ndarray) and value.size and value.dtype.kind == "U" else None
