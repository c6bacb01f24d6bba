"""CrowdPose: people in crowds, 14 joints."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from .joints import CROWDPOSE
from .reader import first_file, first_folder
from .topdown import CocoPoseReader


class CrowdPose(CocoPoseReader):
    """json/crowdpose_{split}.json or annotations/mmpose_crowdpose_{split}.json, images/<id>.jpg; no areas.

    The first download's train and test swap width and height of every picture (CrowdPose's issue 12): the
    pictures' own sizes count, and how many differ is among the `remarks`.
    """

    name = "crowdpose"
    title = "CrowdPose"
    source = "https://github.com/Jeff-sjtu/CrowdPose"
    splits: ClassVar[tuple[str, ...]] = ("train", "val", "trainval", "test")
    names = CROWDPOSE
    sizes_swapped = True
    version: ClassVar[int] = 2

    def annotation_file(self) -> Path:
        """The JSON of the split."""
        stem = f"crowdpose_{self.split}.json"
        candidates = [f"json/{stem}", f"annotations/mmpose_{stem}", f"annotations/{stem}", stem]
        path = first_file(self.root, candidates)
        if path is None:
            raise self.missing(candidates, self.split)
        return path

    def picture_folder(self) -> Path:
        """images/."""
        folder = self.images or first_folder(self.root, ["images"])
        if folder is None:
            raise self.incomplete(self.annotation_file(), ["images/"], "pictures")
        return folder
