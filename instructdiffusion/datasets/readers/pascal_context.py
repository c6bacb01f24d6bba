"""Pascal Context with 59 classes (run lengths or label maps) and with 459 (.mat files)."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .annotation_masks import STUBS, check_segmentation, segmentation_mask
from .cocoformat import entry_id
from .index import Builder
from .labelmaps import VOID, LabelMapReader, read_label_file, read_list, stems
from .large_json import stream_json
from .mat_files import load_mat
from .problems import Flaw, member, whole
from .reader import first_file, first_folder
from .spool import Spool
from .stored_images import read_values

CLASSES = (
    *(
        "aeroplane",
        "bag",
        "bed",
        "bedclothes",
        "bench",
        "bicycle",
        "bird",
        "boat",
        "book",
        "bottle",
        "building",
    ),
    *(
        "bus",
        "cabinet",
        "car",
        "cat",
        "ceiling",
        "chair",
        "cloth",
        "computer",
        "cow",
        "cup",
        "curtain",
        "dog",
    ),
    *(
        "door",
        "fence",
        "floor",
        "flower",
        "food",
        "grass",
        "ground",
        "horse",
        "keyboard",
        "light",
        "motorbike",
    ),
    *("mountain", "mouse", "person", "plate", "platform", "pottedplant", "road", "rock", "sheep", "shelves"),
    *(
        "sidewalk",
        "sign",
        "sky",
        "snow",
        "sofa",
        "table",
        "track",
        "train",
        "tree",
        "truck",
        "tvmonitor",
        "wall",
    ),
    *("water", "window", "wood"),
)
_PHASES = ("train", "val", "test")
_SPOKEN = {"pottedplant": "potted plant", "tvmonitor": "tv monitor"}


class PascalContext59(LabelMapReader):
    """VOC2010/trainval_merged.json (its `annos_segmentation`), or SegmentationClassContext with a list.

    The JSON has all 459 categories; those of the 59 are taken by name, all else is background, which is void.
    """

    name = "pascal-context-59"
    title = "Pascal Context-59"
    source = (
        "https://cs.stanford.edu/~roozbeh/pascal-context/ and https://github.com/zhanghang1989/detail-api "
        "(trainval_merged.json), pictures of http://host.robots.ox.ac.uk/pascal/VOC/voc2010/"
    )
    splits: ClassVar[tuple[str, ...]] = ("train", "val")
    version: ClassVar[int] = 2

    @property
    def base(self) -> Path:
        """VOC2010 below the root, or the root."""
        return first_folder(self.root, ["VOCdevkit/VOC2010", "VOC2010"]) or self.root

    def files(self) -> list[Path]:
        """trainval_merged.json, or the list of the split."""
        lists = [f"ImageSets/SegmentationContext/{self.split}.txt"]
        candidates = ["trainval_merged.json", *lists]
        path = first_file(self.base, candidates)
        if path is None:
            raise self.missing([f"VOC2010/{name}" for name in candidates], self.split)
        if not (self.base / "JPEGImages").is_dir():
            raise self.incomplete(path, ["VOC2010/JPEGImages/"], "pictures")
        if path.suffix == ".txt" and not (self.base / "SegmentationClassContext").is_dir():
            raise self.incomplete(path, ["VOC2010/SegmentationClassContext/"], "label maps")
        return [path]

    def build(self, builder: Builder) -> None:
        """A row a picture."""
        builder.notes["classes"] = [_SPOKEN.get(name, name) for name in CLASSES]
        path = self.files()[0]
        if path.suffix == ".txt":
            names = read_list(path)
            self.pairs(
                builder, self.base / "JPEGImages", names, self.base / "SegmentationClassContext", listed=path
            )
            return
        with Spool(builder.scratch / "pictures") as images, Spool(builder.scratch / "parts") as parts:
            self._build_rows(builder, path, images, parts)

    def _build_rows(self, builder: Builder, path: Path, images: Spool, parts: Spool) -> None:
        rows: dict[int, int] = {}  # image id -> its place in `images`
        names_of: dict[int, str] = {}
        image_ids = array("q")  # of the parts
        try:
            for key, entry in stream_json(path):
                if key == "images":
                    with builder.guard(path, f"image {entry_id(entry, 'image_id')}"):
                        phase = member(entry, "phase")
                        if phase not in _PHASES:
                            raise Flaw(f"the phase is {phase!r}: expected one of {', '.join(_PHASES)}")
                        if phase != self.split:
                            continue
                        size = [whole(member(entry, side), side) for side in ("height", "width")]
                        head = [member(entry, "file_name"), size]
                        rows[whole(member(entry, "image_id"), "the image_id")] = len(images)
                        images.add(head)
                elif key == "categories":
                    with builder.guard(path, "a category"):
                        names_of[whole(member(entry, "category_id"), "the category_id")] = member(
                            entry, "name"
                        )
                elif key == "annos_segmentation":
                    with builder.guard(path, f"annotation {entry_id(entry)}"):
                        image = whole(member(entry, "image_id"), "the image_id")
                        category = whole(member(entry, "category_id"), "the category_id")
                        parts.add([category, member(entry, "segmentation")])
                        image_ids.append(image)
        except Flaw as error:
            builder.problem(path, f"after {len(rows)} images", error)
        order = np.argsort(np.asarray(image_ids), kind="stable")
        bounds = np.asarray(image_ids)[order]
        for image, row in rows.items():
            with builder.guard(path, f"image {image}"):
                file, size = images[row]
                masks = []
                for place in order[slice(*np.searchsorted(bounds, (image, image + 1)))].tolist():
                    category, segmentation = parts[place]
                    if category not in names_of:
                        raise Flaw(f"category {category} is not among the categories of the file")
                    if names_of[category] in CLASSES:
                        builder.remark(STUBS, check_segmentation(segmentation, (size[0], size[1])))
                        masks.append([CLASSES.index(names_of[category]), segmentation])
                picture = builder.picture(self.base / "JPEGImages", file)
                builder.add(id=f"image {image}", image=picture, size=size, masks=masks)

    def labels(self, row: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
        """From run lengths, later ones over earlier ones; or stored numbers 1 to 59."""
        if "labels" in row:
            table = {0: VOID, 255: VOID, **{n: n - 1 for n in range(1, len(CLASSES) + 1)}}
            return self.map_values(row, table)
        labels = np.full(size, VOID, np.int32)
        for number, segmentation in row["masks"]:
            labels[segmentation_mask(segmentation, size)] = number
        return labels


class PascalContext459(LabelMapReader):
    """trainval/<id>.mat with `LabelMap` (1 to 459), labels.txt, and VOC 2010's pictures.

    A label map png or tif of the same numbers less one (pascal_context_459's common repacking,
    annotations_detectron2/{training,validation}/<id>.tif, void 65535) is read too. Splits are those of VOC
    2010's ImageSets/Main lists, or of the folders.
    """

    name = "pascal-context-459"
    title = "Pascal Context-459"
    source = (
        "https://cs.stanford.edu/~roozbeh/pascal-context/ (trainval.tar.gz, labels.txt), pictures of "
        "http://host.robots.ox.ac.uk/pascal/VOC/voc2010/"
    )
    splits: ClassVar[tuple[str, ...]] = ("train", "val", "trainval")
    count: ClassVar[int] = 459

    @property
    def base(self) -> Path:
        """VOC2010 below the root, or the root."""
        return first_folder(self.root, ["VOCdevkit/VOC2010", "VOC2010"]) or self.root

    def _label_folder(self) -> Path:
        packed = {"train": "training", "val": "validation"}.get(self.split, "training")
        candidates = [
            "trainval",
            "pascal_context/trainval",
            f"annotations_detectron2/{packed}",
            "VOC2010/trainval",
        ]
        folder = first_folder(self.root, candidates) or first_folder(self.base, candidates)
        if folder is None:
            raise self.missing(candidates, "label maps")
        return folder

    def files(self) -> list[Path]:
        """labels.txt and, where label maps are not parted by split, VOC's list."""
        folder = self._label_folder()
        files = []
        if folder.parent.name != "annotations_detectron2":
            kinds = ("Main", "Segmentation", "SegmentationContext")
            lists = [f"ImageSets/{kind}/{self.split}.txt" for kind in kinds]
            chosen = first_file(self.base, lists)
            if chosen is None:
                raise self.missing(lists, self.split)
            files.append(chosen)
        elif self.split == "trainval":
            raise self.missing(["trainval/<id>.mat"], self.split)
        candidates = ["labels.txt", "trainval/labels.txt", "pascal_context/labels.txt"]
        names = first_file(self.root, candidates) or first_file(self.base, candidates)
        if names is None:
            raise self.incomplete(folder, candidates, "names of the classes")
        if not (self.base / "JPEGImages").is_dir():
            raise self.incomplete(folder, ["VOC2010/JPEGImages/"], "pictures")
        return [names, *files]

    def build(self, builder: Builder) -> None:
        """A row a picture."""
        files = self.files()
        with builder.guard(files[0], "the names of the classes"):
            names = read_label_file(files[0], self.count)
            builder.notes["classes"] = [_SPOKEN.get(names[n], names[n]) for n in sorted(names)]
        if "classes" not in builder.notes:
            return
        folder = self._label_folder()
        suffix = ".mat" if len(files) == 2 else ".tif"
        there = set(stems(builder, folder, suffix))
        if len(files) == 2:
            there = set(read_list(files[1]))
        self.pairs(builder, self.base / "JPEGImages", sorted(there), folder, suffix, listed=files[-1])

    def labels(self, row: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
        """LabelMap 1 to 459, or stored numbers from 0 with 65535 for void."""
        path = self.path(row["labels"])
        if path.suffix == ".mat":
            values = load_mat(path, "LabelMap").astype(np.int64)
            if values.ndim != 2:
                raise Flaw(f"LabelMap has {values.ndim} axes: expected [h, w]")
            return np.where(values > 0, values - 1, VOID).astype(np.int32)
        stored = read_values(path)
        return np.where(stored == 65535, VOID, stored).astype(np.int32)
