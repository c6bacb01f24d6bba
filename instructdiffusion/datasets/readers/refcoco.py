"""RefCOCO, RefCOCO+, RefCOCOg and RefClef: refs(<who split them>).p and instances.json, as the refer API has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from .plain_pickle import plain_parts
from .problems import Flaw
from .referring import ReferReader

_FAMILY = ("refcoco", "refcoco+", "refcocog", "refclef")
_SOURCE = "https://github.com/lichengunc/refer (annotations) and https://cocodataset.org/#download (2014 Train images)"


class RefCoco(ReferReader):
    """RefCOCO, split by UNC (or by Google where only that is there)."""

    name = "refcoco"
    title = "RefCOCO"
    source = _SOURCE
    splits: ClassVar[tuple[str, ...]] = ("train", "val", "testA", "testB")
    divisions: ClassVar[tuple[str, ...]] = ("unc", "google")

    @property
    def folder(self) -> Path:
        """root/refcoco, or the root itself, unless that has the name of another of the family (files are alike)."""
        below = self.root / self.name
        another = self.root.name in _FAMILY and self.root.name != self.name
        return below if below.is_dir() or another else self.root

    def refs_file(self) -> Path:
        """refs(unc).p; the first division that is there."""
        candidates = [self.folder / f"refs({division}).p" for division in self._divisions()]
        for path in candidates:
            if path.is_file():
                return path
        raise self.missing([path.relative_to(self.root).as_posix() for path in candidates], self.split)

    def _divisions(self) -> tuple[str, ...]:
        return self.divisions

    def refs(self) -> Iterator[dict[str, Any]]:
        """The pickled list, part by part through the restricted unpickler."""
        for part in plain_parts(self.refs_file()):
            if not isinstance(part, list):
                raise Flaw(f"expected a list of expressions, got {type(part).__name__}")
            yield from part


class RefCocoPlus(RefCoco):
    """RefCOCO+: no words of place."""

    name = "refcoco+"
    title = "RefCOCO+"
    divisions = ("unc",)


class RefCocoG(RefCoco):
    """RefCOCOg (G-Ref): train, val and test are the UMD division; trainG and valG Google's."""

    name = "refcocog"
    title = "RefCOCOg"
    splits = ("train", "val", "test", "trainG", "valG")
    divisions = ("umd",)

    def _divisions(self) -> tuple[str, ...]:
        return ("google",) if self.split.endswith("G") else ("umd",)

    def in_split(self, ref: dict[str, Any]) -> bool:
        """Google's splits are called train and val in its own file."""
        return ref.get("split") == self.split.removesuffix("G")


class RefClef(RefCoco):
    """RefClef (ReferIt): pictures of SAIAPR TC-12."""

    name = "refclef"
    title = "RefClef"
    source = "https://github.com/lichengunc/refer (annotations and saiapr_tc-12 images)"
    splits = ("train", "val", "testA", "testB", "testC", "test")
    divisions = ("unc", "berkeley")
    picture_folders = ("images/saiapr_tc-12", "saiapr_tc-12", "images/saiaprtc12", "images")
    beside = ("saiapr_tc-12", "images/saiapr_tc-12")

    def _divisions(self) -> tuple[str, ...]:
        return ("berkeley",) if self.split == "test" else self.divisions
