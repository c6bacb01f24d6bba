"""AP-10K: joints of 54 kinds of animals."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from .joints import AP10K
from .reader import first_file, first_folder
from .topdown import CocoPoseReader


class Ap10k(CocoPoseReader):
    """annotations/ap10k-{train,val,test}-split{1,2,3}.json (the first split that is there), data/%012d.jpg."""

    name = "ap10k"
    title = "AP-10K"
    source = "https://github.com/AlexTheBad/AP-10K"
    splits: ClassVar[tuple[str, ...]] = (
        *("train", "val", "test"),
        *(f"{split}{number}" for number in (2, 3) for split in ("train", "val", "test")),
    )
    names = AP10K

    def annotation_file(self) -> Path:
        """The JSON of the split; "train" is of the first division, "train2" and "train3" of the others."""
        division = self.split[-1] if self.split[-1].isdigit() else "1"
        stem = f"ap10k-{self.split.rstrip('123')}-split{division}.json"
        candidates = [f"{folder}annotations/{stem}" for folder in ("", "ap-10k/", "AP-10K/")]
        path = first_file(self.root, candidates)
        if path is None:
            raise self.missing(candidates, self.split)
        return path

    def picture_folder(self) -> Path:
        """data/."""
        folder = self.images or first_folder(self.root, ["data", "ap-10k/data", "AP-10K/data"])
        if folder is None:
            raise self.incomplete(self.annotation_file(), ["data/"], "pictures")
        return folder
