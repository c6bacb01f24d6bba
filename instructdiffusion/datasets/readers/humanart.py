"""HumanArt: people in paintings, cartoons, sculptures and photographs; COCO's 17 joints."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from .joints import COCO
from .reader import first_file, first_folder
from .topdown import CocoPoseReader


class HumanArt(CocoPoseReader):
    """HumanArt/annotations/{training,validation}_humanart.json; file names begin with HumanArt/images/."""

    name = "humanart"
    title = "HumanArt"
    source = "https://idea-research.github.io/HumanArt/"
    splits: ClassVar[tuple[str, ...]] = ("train", "val")
    names = COCO

    def annotation_file(self) -> Path:
        """The JSON of all kinds of pictures together."""
        stem = {"train": "training", "val": "validation"}[self.split]
        candidates = [f"HumanArt/annotations/{stem}_humanart.json", f"annotations/{stem}_humanart.json"]
        path = first_file(self.root, candidates)
        if path is None:
            raise self.missing(candidates, self.split)
        return path

    def picture_folder(self) -> Path:
        """The folder that holds images/ (HumanArt itself)."""
        if self.images is not None:
            return self.images
        folder = first_folder(self.root, ["HumanArt/images", "images"])
        if folder is None:
            raise self.incomplete(self.annotation_file(), ["HumanArt/images/"], "pictures")
        return folder.parent

    def picture_name(self, name: str) -> str:
        """Without the HumanArt/ that file names begin with."""
        return name.removeprefix("HumanArt/")
