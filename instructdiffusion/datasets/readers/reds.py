"""REDS: motion blur in clips of 100 frames."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from .index import Builder
from .pairs import PICTURES, PairReader, subfolders
from .problems import relative


class Reds(PairReader):
    """{train,val}/{train,val}_blur/<clip>/*.png with {train,val}_sharp, or {train,val}/{blur,sharp}/[<clip>/].

    train_blur and train_sharp may also lie in the folder itself; validation clips may be 300 single pictures.
    """

    name = "reds"
    title = "REDS"
    source = "https://seungjunnah.github.io/Datasets/reds (train_blur, train_sharp, val_blur, val_sharp)"
    tasks: ClassVar[tuple[str, ...]] = ("deblur",)
    splits: ClassVar[tuple[str, ...]] = ("train", "val")

    def _bases(self) -> tuple[Path, Path]:
        split = self.split
        candidates = [
            f"{split}/{split}_blur",
            f"{split}_blur/{split}/{split}_blur",
            f"{split}_blur",
            f"{split}/blur",
        ]
        pairs = [(self.root / name, self.root / name.replace("blur", "sharp")) for name in candidates]
        for pair in pairs:
            if all(folder.is_dir() for folder in pair):
                return pair
        for half, other in (pair[::step] for pair in pairs for step in (1, -1)):
            if half.is_dir():
                raise self.incomplete(half, [f"{relative(other, self.root)}/"], "the other half")
        raise self.missing([f"{name}/ and its sharp partner" for name in candidates], self.split)

    def used(self) -> list[Path]:
        """The folders of the clips' folders."""
        return list(self._bases())

    def folders(self) -> list[tuple[Path, Path]]:
        """(blur, sharp) of every clip; the clips of either side, so that none is lost."""
        blur, sharp = self._bases()
        clips = sorted({p.name for p in subfolders(blur)} | {p.name for p in subfolders(sharp)})
        folders = [(blur / clip, sharp / clip) for clip in clips]
        single = any(p.suffix.lower() in PICTURES for p in blur.iterdir())
        return [(blur, sharp), *folders] if single or not folders else folders

    def build(self, builder: Builder) -> None:
        """The folders of the clips are watched too."""
        for base in self._bases():
            builder.listing(base)
        super().build(builder)
