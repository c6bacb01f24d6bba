"""CLWD: coloured large-scale watermarks over photographs."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from .base import first_folder
from .pairs import PairReader


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
        if base is not None:
            found = base / "Watermarked_image", base / "Watermark_free_image"
            if all(folder.is_dir() for folder in found):
                return [found]
        wanted = [f"{self.split}/{name}/" for name in ("Watermarked_image", "Watermark_free_image")]
        raise self.missing([" and ".join(wanted)], self.split)
