"""AI Challenger keypoints: the raw lists (whose flags are COCO's the other way round) or a COCO-style repacking."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from .index import Builder
from .joints import AIC, SHIFT
from .large_json import stream_json
from .problems import Flaw, inside, member, named, number, text, xywh_box
from .reader import first_file, first_folder
from .stored_images import picture_size
from .topdown import CocoPoseReader

_DATES = {"train": ("train", "20170902", "20170909"), "val": ("validation", "20170911", "20170911")}
# AI Challenger's flags: 1 labelled and visible, 2 labelled and hidden, 3 not labelled.
_FLAGS = {1: 2.0, 2: 1.0, 3: 0.0}


class Aic(CocoPoseReader):
    """annotations/aic_{train,val}.json, or keypoint_{train,validation}_annotations_<date>.json as downloaded."""

    name = "aic"
    title = "AI Challenger keypoints"
    source = "https://github.com/AIChallenger/AI_Challenger_2017"
    splits: ClassVar[tuple[str, ...]] = ("train", "val")
    names = AIC

    def annotation_file(self) -> Path:
        """The COCO-style file where there is one, else the raw one."""
        kind, date, made = _DATES[self.split]
        raw = f"keypoint_{kind}_annotations_{made}.json"
        candidates = [
            f"annotations/aic_{self.split}.json",
            f"ai_challenger_keypoint_{kind}_{date}/{raw}",
            raw,
            f"*/keypoint_{kind}_annotations_*.json",
            f"keypoint_{kind}_annotations_*.json",
        ]
        path = first_file(self.root, candidates)
        if path is None:
            raise self.missing(candidates, self.split)
        return path

    def picture_folder(self) -> Path:
        """ai_challenger_keypoint_<split>_<date>/keypoint_<split>_images_<date>."""
        kind, date, _ = _DATES[self.split]
        inner = f"keypoint_{kind}_images_{date}"
        candidates = [f"ai_challenger_keypoint_{kind}_{date}/{inner}", inner, f"*/keypoint_{kind}_images_*"]
        folder = self.images or first_folder(self.root, candidates)
        if folder is None:
            raise self.incomplete(self.annotation_file(), candidates, "pictures")
        return folder

    def build(self, builder: Builder) -> None:
        """A row a person with labelled joints."""
        path, folder = self.annotation_file(), self.picture_folder()
        if path.name.startswith("aic_"):
            super().build(builder)
            return
        place = -1
        try:
            for place, (_, entry) in enumerate(stream_json(path)):
                with builder.guard(path, f"picture {place}"):
                    self._add(builder, path, folder, entry)
        except Flaw as error:
            builder.problem(path, f"after picture {place}", error)

    def _add(self, builder: Builder, path: Path, folder: Path, entry: Any) -> None:
        number_of = text(member(entry, "image_id"), "the image_id")
        image = builder.picture(folder, f"{inside(number_of)}.jpg")
        height, width = picture_size(named(builder.root, image))  # the list has no sizes
        boxes, points = member(entry, "human_annotations"), member(entry, "keypoint_annotations")
        for human in boxes:
            with builder.guard(path, f"{number_of}, {human}"):
                x1, y1, x2, y2 = (number(v, "a number of the box") for v in boxes[human])
                box = xywh_box([x1, y1, x2 - x1, y2 - y1], (height, width))
                values = member(points, human)
                if len(values) != 3 * len(self.names):
                    raise Flaw(f"expected {len(self.names)} joints of x, y, v; got {len(values)} numbers")
                joints = []
                for start in range(0, len(values), 3):
                    x, y = (number(v, "a coordinate of a joint") for v in values[start : start + 2])
                    if values[start + 2] not in _FLAGS:
                        raise Flaw(f"a joint's flag is {values[start + 2]!r}: expected 1, 2 or 3")
                    v = _FLAGS[values[start + 2]]
                    joints.append([x + SHIFT, y + SHIFT, v] if v else [0.0, 0.0, 0.0])
                if not any(v for _, _, v in joints):
                    builder.leave_out("without labelled joints")
                    continue
                builder.add(
                    id=f"{number_of}, {human}",
                    image=image,
                    size=[height, width],
                    box=box,
                    joints=joints,
                    area=(box[2] - box[0]) * (box[3] - box[1]),
                    image_id=number_of,
                    annotation_id=human,
                )
