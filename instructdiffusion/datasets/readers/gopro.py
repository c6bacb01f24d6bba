"""GoPro: motion blur from averaged frames."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from .index import Builder
from .pairs import PairReader, subfolders
from .reader import first_folder


class GoPro(PairReader):
    """{train,test}/GOPR*/{blur,sharp}/*.png as downloaded, or {train,test}/{input,target}/ flattened."""

    name = "gopro"
    title = "GoPro"
    source = "https://seungjunnah.github.io/Datasets/gopro (GOPRO_Large)"
    tasks: ClassVar[tuple[str, ...]] = ("deblur",)
    splits: ClassVar[tuple[str, ...]] = ("train", "test")

    def folders(self) -> list[tuple[Path, Path]]:
        """(blur, sharp) of every scene."""
        base = first_folder(self.root, [self.split, f"GOPRO_Large/{self.split}", f"GoPro/{self.split}"])
        if base is not None:
            scenes = [
                (s / "blur", s / "sharp")
                for s in subfolders(base)
                if (s / "blur").is_dir() or (s / "sharp").is_dir()
            ]
            if scenes:
                return scenes
            if flat := self.pair_in(base, [("input", "target")]):
                return [flat]
        candidates = [f"{self.split}/GOPR*/blur/ and sharp/", f"{self.split}/input/ and target/"]
        raise self.missing(candidates, self.split)

    def build(self, builder: Builder) -> None:
        """The folder of the scenes is watched too: a new scene changes it."""
        for blur, _ in self.folders():
            builder.listing(blur.parent.parent)
        super().build(builder)
