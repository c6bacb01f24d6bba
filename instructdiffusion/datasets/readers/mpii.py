"""MPII Human Pose: 16 joints; pixels are numbered from 1."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from .index import Builder
from .joints import MPII, SHIFT
from .large_json import stream_json
from .problems import Flaw, member, number
from .reader import first_file, first_folder
from .topdown import PoseReader

_FILES = {"train": ("train",), "val": ("valid", "val"), "trainval": ("trainval",), "test": ("test",)}


class Mpii(PoseReader):
    """annot/{train,valid,trainval,test}.json or annotations/mpii_{train,val}.json, images/.

    The box is the square of 200 px x scale around the centre, moved down by 15 x scale and enlarged by 1.25, as
    the public loaders do; the crop adds no further margin.
    """

    name = "mpii"
    title = "MPII Human Pose"
    source = "http://human-pose.mpi-inf.mpg.de (images; the JSON files come with public pose estimators)"
    splits: ClassVar[tuple[str, ...]] = tuple(_FILES)
    names = MPII
    margin = 1.0

    def annotation_file(self) -> Path:
        """The JSON of the split."""
        stems = _FILES[self.split]
        wanted = [f"annot/{s}.json" for s in stems] + [f"annotations/mpii_{s}.json" for s in stems]
        found = first_file(self.root, wanted)
        if found is None:
            raise self.missing(wanted, self.split)
        return found

    def picture_folder(self) -> Path:
        """images/."""
        found = self.images or first_folder(self.root, ["images"])
        if found is None:
            raise self.incomplete(self.annotation_file(), ["images/"], "pictures")
        return found

    def files(self) -> list[Path]:
        """The annotation file."""
        found = [self.annotation_file()]
        self.picture_folder()
        return found

    def build(self, builder: Builder) -> None:
        """A row a person with labelled joints."""
        path, folder = self.annotation_file(), self.picture_folder()
        place = -1
        try:
            for place, (_, entry) in enumerate(stream_json(path)):
                with builder.guard(path, f"person {place}"):
                    self._add(builder, folder, entry, place)
        except Flaw as error:
            builder.problem(path, f"after person {place}", error)

    def _add(self, builder: Builder, folder: Path, entry: Any, place: int) -> None:
        scale = number(member(entry, "scale"), "the scale")
        center = [number(v, "a number of the centre") for v in member(entry, "center")]
        if scale <= 0 or len(center) != 2:
            raise Flaw(f"the scale is {scale} and the centre {center}: expected a positive number and x, y")
        if "joints" not in entry:  # the test set's are kept secret
            builder.leave_out("without joints")
            return
        points, seen = entry["joints"], entry.get("joints_vis") or [1] * len(entry["joints"])
        if len(points) != len(self.names) or len(seen) != len(self.names):
            raise Flaw(f"expected {len(self.names)} joints, got {len(points)} and {len(seen)} flags")
        joints = []
        for (x, y), v in zip(points, seen, strict=True):
            x, y = number(x, "a coordinate of a joint"), number(y, "a coordinate of a joint")
            labelled = bool(v) and (x, y) != (-1, -1)
            joints.append([x - 1 + SHIFT, y - 1 + SHIFT, 2.0] if labelled else [0.0, 0.0, 0.0])
        if not any(v for _, _, v in joints):
            builder.leave_out("without labelled joints")
            return
        x, y = center[0] - 1 + SHIFT, center[1] - 1 + SHIFT + 15 * scale
        half = 1.25 * scale * 200 / 2
        name = builder.picture(folder, member(entry, "image"))
        builder.add(
            id=f"person {place}",
            image=name,
            size=[0, 0],  # the file has no sizes
            box=[x - half, y - half, x + half, y + half],
            joints=joints,
            area=(200 * scale) ** 2,
            image_id=name,
            annotation_id=place,
        )
