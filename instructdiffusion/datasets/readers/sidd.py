"""SIDD: noise of smartphone cameras."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..records import Record
from .index import Builder
from .mat_files import load_mat
from .pairs import PairReader, add_pairs, subfolders
from .problems import Flaw, LayoutIncomplete, relative
from .reader import first_file, first_folder

_BLOCKS = ("ValidationNoisyBlocksSrgb", "ValidationGtBlocksSrgb")
_FILES = ("noisy.npy", "clean.npy")  # of the unpacked blocks
_CUT = (("input", "gt"), ("noisy", "gt"), ("input", "groundtruth"), ("input_crops", "gt_crops"))


class Sidd(PairReader):
    """SIDD_Medium_Srgb/Data/<scene>/<id>_{NOISY,GT}_SRGB_{010,011}.PNG, or pre-cut {train,val}/{input,gt}/.

    Pre-cut folders are also called {input,groundtruth} (CycleISP's and MIRNet's data) and {input_crops,gt_crops}
    (NAFNet's); files have the same name in both, or _GT_ where the noisy one has _NOISY_. val:
    Validation{Noisy,Gt}BlocksSrgb.mat, [40, 32, 256, 256, 3], a record a block; they are unpacked once beside the
    index. val may also be pre-cut.
    """

    name = "sidd"
    title = "SIDD"
    source = "https://www.eecs.yorku.ca/~kamel/sidd/ (SIDD-Medium sRGB; validation blocks)"
    tasks: ClassVar[tuple[str, ...]] = ("denoise",)
    splits: ClassVar[tuple[str, ...]] = ("train", "val")

    @property
    def archived(self) -> bool:  # type: ignore[override]
        """Validation blocks lie in one file."""
        return bool(self._mats())

    def _mats(self) -> list[Path]:
        if self.split != "val":
            return []
        files = [first_file(self.root, [f"{n}.mat", f"val/{n}.mat", f"*/{n}.mat"]) for n in _BLOCKS]
        there = [path for path in files if path is not None]
        if len(there) == 1:
            lacking = [f"{name}.mat" for name, path in zip(_BLOCKS, files, strict=True) if path is None]
            raise self.incomplete(there[0], lacking, "the other half")
        return there

    def files(self) -> list[Path]:
        """The .mat files of the validation blocks, if these are what is there."""
        mats = self._mats()
        if not mats:
            self.folders()
        return mats

    def used(self) -> list[Path]:
        """The .mat files, or the folders."""
        return self._mats() or super().used()

    def folders(self) -> list[tuple[Path, Path]]:
        """(noisy, clean): pre-cut folders, or every scene with itself."""
        data = first_folder(self.root, ["SIDD_Medium_Srgb/Data", "Data"]) if self.split == "train" else None
        try:
            if cut := self.pair_in(first_folder(self.root, [self.split]), _CUT):
                return [cut]
        except LayoutIncomplete:
            if data is None:
                raise
        if data is not None:
            return [(scene, scene) for scene in subfolders(data)]
        candidates = (
            ["SIDD_Medium_Srgb/Data/", "train/input/ and train/gt/"]
            if self.split == "train"
            else [" and ".join(f"{name}.mat" for name in _BLOCKS), "val/input/ and val/gt/"]
        )
        raise self.missing(candidates, self.split)

    def build(self, builder: Builder) -> None:
        """A row a pair or a block."""
        mats = self._mats()
        if mats:
            self._unpack(builder, mats)
            return
        for damaged, clean in self.folders():
            if damaged == clean:
                builder.listing(damaged.parent)
                self._scene(builder, damaged)
            else:
                add_pairs(builder, damaged, clean, partial(_clean_name, listed=builder.listing(clean)))

    def _scene(self, builder: Builder, scene: Path) -> None:
        names = builder.names(scene, ".png")
        for name in names:
            noisy = "_NOISY_" in name
            partner = _clean_name(name) if noisy else name.replace("_GT_", "_NOISY_")
            with builder.guard(scene / name, name):
                if partner == name:
                    builder.leave_out("neither _NOISY_ nor _GT_")
                elif partner not in names:
                    raise Flaw(f"its partner {partner} is missing")
                elif noisy:
                    image = relative(scene / name, builder.root)
                    builder.add(id=image, image=image, target=relative(scene / partner, builder.root))

    def _unpack(self, builder: Builder, mats: list[Path]) -> None:
        shapes: list[tuple[int, ...]] = []
        for path, name, file in zip(mats, _BLOCKS, _FILES, strict=True):  # one at a time: each is of 250 MB
            with builder.guard(path, name):
                blocks = load_mat(path, name)
                if blocks.ndim != 5 or blocks.shape[4] != 3 or blocks.dtype != np.uint8:
                    raise Flaw(
                        f"the blocks are {blocks.dtype} {blocks.shape}: expected uint8 [n, m, h, w, 3]"
                    )
                shapes.append((blocks.shape[0] * blocks.shape[1], *blocks.shape[2:]))
                head = {"descr": "|u1", "fortran_order": False, "shape": shapes[-1]}
                with open(builder.folder / file, "wb") as stream:
                    np.lib.format.write_array_header_1_0(stream, head)
                    for (
                        row
                    ) in blocks:  # MATLAB's order is another: turned over all at once it would be there twice
                        stream.write(np.ascontiguousarray(row))
                del blocks
        if len(shapes) == 2 and shapes[0] == shapes[1]:
            names = [relative(path, builder.root) for path in mats]
            for number in range(shapes[0][0]):
                builder.add(id=f"block {number}", image=names[0], target=names[1], block=number)
            return
        for file in _FILES:
            (builder.folder / file).unlink(missing_ok=True)
        if len(shapes) == 2:
            raise Flaw(f"noisy blocks are {shapes[0]} and clean ones {shapes[1]}")

    def read(self, row: dict[str, Any], rng: random.Random) -> Record:
        """The noisy picture (or block) with the clean one as target."""
        if "block" not in row:
            return super().read(row, rng)
        folder = self._index.rows.folder
        image, target = (np.load(folder / file, mmap_mode="r") for file in _FILES)
        number = row["block"]
        return Record(np.array(image[number]), (), np.array(target[number]), meta={"name": row["id"]})


def _clean_name(noisy: str, listed: frozenset[str] = frozenset()) -> str:
    """The name of the clean picture: the same where it is listed, else the download's."""
    return noisy if noisy in listed else noisy.replace("_NOISY_", "_GT_")
