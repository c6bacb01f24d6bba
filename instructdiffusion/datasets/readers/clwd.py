"""CLWD: coloured large-scale watermarks over photographs."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from .pairs import PairReader
from .reader import first_folder


class Clwd(PairReader):
    """{train,test}/Watermarked_image/<id>.jpg with Watermark_free_image/<id>.jpg."""

    name = "clwd"
    title = "CLWD"
    source = "https://github.com/MRUIL/WDNet (Colored Large-scale Watermark Dataset)"
    tasks: ClassVar[tuple[str, ...]] = ("dewatermark",)
    splits: ClassVar[tuple[str, ...]] = ("train", "test")

    def folders(self) -> list[tuple[Path, Path]]:
        """(with the mark, without)."""
        base = first_folder(self.root, [self.split, f"CLWD/{self.split}"])
        names = "Watermarked_image", "Watermark_free_image"
        if pair := self.pair_in(base, [names]):
            return [pair]
        raise self.missing([" and ".join(f"{self.split}/{name}/" for name in names)], self.split)
