"""ADE20K with 847 classes: the full dataset, its classes numbered as in the open-vocabulary benchmarks."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .index import Builder
from .labelmaps import VOID, LabelMapReader, stems
from .problems import Flaw, regular, relative
from .reader import first_file, first_folder
from .stored_images import read_values

_COUNT = 847
_ENTRY = re.compile(
    r"""\{\s*["']name["']\s*:\s*(?:"([^"]*)"|'([^']*)')\s*,\s*["']id["']\s*:\s*(\d+)\s*,\s*["']trainId["']\s*:\s*(\d+)\s*,?\s*\}"""
)
_VOID = 65535
_TABLES = ("ade20k_847.json", "register_ade20k_full.py", "prepare_ade20k_full_sem_seg.py")


class Ade20kFull(LabelMapReader):
    """ADE20K_2021_17_01: images/ADE/{training,validation}/<scene kind>/<scene>/<id>.jpg with <id>_seg.png.

    A class is R // 10 * 256 + G of the segmentation (0: nothing). The table {"name", "id", "trainId"} of the
    847 benchmark classes is read, as text, from ade20k_847.json or one of MaskFormer's files that hold it
    (register_ade20k_full.py, prepare_ade20k_full_sem_seg.py) laid beside the data. Repacked label maps
    (annotations_detectron2/{training,validation}/<id>.tif of trainIds, void 65535, with images_detectron2)
    are read too.
    """

    name = "ade20k-847"
    title = "ADE20K-847"
    source = (
        "https://groups.csail.mit.edu/vision/datasets/ADE20K/ (ADE20K_2021_17_01, on request), table of classes: "
        "https://github.com/facebookresearch/Mask2Former mask2former/data/datasets/register_ade20k_full.py"
    )
    splits: ClassVar[tuple[str, ...]] = ("train", "val")

    @property
    def base(self) -> Path:
        """ADE20K_2021_17_01 below the root, or the root."""
        return first_folder(self.root, ["ADE20K_2021_17_01"]) or self.root

    def _folders(self) -> tuple[Path, Path]:
        split = {"train": "training", "val": "validation"}[self.split]
        packed = self.base / "images_detectron2" / split, self.base / "annotations_detectron2" / split
        if all(folder.is_dir() for folder in packed):
            return packed
        raw = self.base / "images" / "ADE" / split
        if raw.is_dir():
            return raw, raw
        for half, other in (packed, packed[::-1]):
            if half.is_dir():
                raise self.incomplete(half, [relative(other, self.root)], "the other half")
        candidates = [f"images/ADE/{split}/", f"images_detectron2/{split}/ and annotations_detectron2/{split}/"]
        raise self.missing([f"ADE20K_2021_17_01/{name}" for name in candidates], self.split)

    def files(self) -> list[Path]:
        """The table of classes."""
        _, labels = self._folders()
        path = first_file(self.root, _TABLES) or first_file(self.base, _TABLES)
        if path is None:
            raise self.incomplete(labels, _TABLES, "names of the classes")
        return [path]

    def used(self) -> list[Path]:
        """The table and the folders."""
        return [*self.files(), *self._folders()]

    def build(self, builder: Builder) -> None:
        """A row a picture."""
        path = self.files()[0]
        try:
            entries = _ENTRY.findall(regular(path).read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            raise Flaw("not a text") from None
        table = {int(train): (double or single, int(number)) for double, single, number, train in entries}
        if sorted(table) != list(range(_COUNT)):
            raise Flaw(f'it has {len(table)} entries {{"name", "id", "trainId"}}: expected {_COUNT}')
        builder.notes["classes"] = [table[n][0] for n in range(_COUNT)]
        builder.notes["numbers"] = [table[n][1] for n in range(_COUNT)]
        pictures, labels = self._folders()
        if labels != pictures:
            names = {*stems(builder, pictures, ".jpg"), *stems(builder, labels, ".tif")}
            self.pairs(builder, pictures, sorted(names), labels, ".tif")
            return
        below = (Path(base, name) for base, names, _ in os.walk(pictures) for name in names)
        for folder in [pictures, *sorted(below)]:
            names = set(stems(builder, folder, ".jpg"))
            names |= set(stems(builder, folder, "_seg.png"))
            for name in sorted(names):
                with builder.guard(folder / f"{name}.jpg", name):
                    image = builder.picture(folder, f"{name}.jpg")
                    seg = folder / f"{name}_seg.png"
                    if not builder.exists(seg):
                        raise Flaw(f"its label map {relative(seg, self.root)} is missing")
                    builder.add(id=name, image=image, labels=relative(seg, self.root))

    def labels(self, row: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
        """trainIds, through the dataset's own numbers where the map has colours."""
        values = read_values(self.path(row["labels"]))
        if values.ndim == 2:
            return np.where(values == _VOID, VOID, values).astype(np.int32)
        own = values[..., 0] // 10 * 256 + values[..., 1]
        table = np.full(26 * 256 + 256, VOID, np.int32)
        table[np.asarray(self.notes["numbers"])] = np.arange(len(self.notes["numbers"]))
        return table[own]
