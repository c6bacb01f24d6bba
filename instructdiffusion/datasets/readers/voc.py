"""Pascal VOC 2012 segmentation: 20 classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .index import Builder
from .labelmaps import VOID, LabelMapReader, read_list
from .reader import first_file, first_folder

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "dining table"),
    *("dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv monitor"),
)


class Voc(LabelMapReader):
    """[VOCdevkit/]VOC2012: ImageSets/Segmentation/{split}.txt, JPEGImages, SegmentationClass[Aug].

    0 is background, 255 void. "trainaug" takes the enlarged list (of SBD) with SegmentationClassAug.
    """

    name = "voc"
    title = "Pascal VOC 2012"
    source = "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/ (VOCtrainval_11-May-2012.tar)"
    splits: ClassVar[tuple[str, ...]] = ("train", "val", "trainval", "trainaug")

    @property
    def base(self) -> Path:
        """VOC2012 below the root, or the root."""
        return first_folder(self.root, ["VOCdevkit/VOC2012", "VOC2012", "VOC2012*"]) or self.root

    def label_folder(self) -> Path:
        """SegmentationClass, or for trainaug SegmentationClassAug; LayoutMissing."""
        candidates = (
            ["SegmentationClassAug"]
            if self.split == "trainaug"
            else ["SegmentationClass", "SegmentationClassAug"]
        )
        folder = first_folder(self.base, candidates)
        if folder is None:
            raise self.incomplete(self.list_file(), candidates, "label maps")
        return folder

    def list_file(self) -> Path:
        """The list of the split; LayoutMissing."""
        candidates = [f"ImageSets/Segmentation/{self.split}.txt", f"ImageSets/SegmentationAug/{self.split}.txt"]
        path = first_file(self.base, candidates)
        if path is None:
            raise self.missing(candidates, self.split)
        return path

    def files(self) -> list[Path]:
        """The list of the split."""
        path = self.list_file()
        self.label_folder()
        if not (self.base / "JPEGImages").is_dir():
            raise self.incomplete(path, ["JPEGImages/"], "pictures")
        return [path]

    def build(self, builder: Builder) -> None:
        """A row a picture of the list."""
        builder.notes["classes"] = list(CLASSES)
        path = self.files()[0]
        names = [Path(name).stem for name in read_list(path)]  # some lists hold paths
        self.pairs(builder, self.base / "JPEGImages", names, self.label_folder(), listed=path)

    def labels(self, row: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
        """Stored numbers 1 to 20 are the classes."""
        return self.map_values(row, {0: VOID, 255: VOID, **{n: n - 1 for n in range(1, len(CLASSES) + 1)}})
