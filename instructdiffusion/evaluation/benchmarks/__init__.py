"""Benchmarks by name: which reader, which splits the paper reports, and where they stand in its tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...datasets.readers import LayoutMissing, open_reader, reader_named
from .benchmark import ReaderBenchmark
from .detection_benchmark import Detect
from .editing_benchmark import TABLE_KINDS, Editing
from .pose_benchmark import Pose, ap10k
from .referring_benchmark import Refer
from .restoration_benchmark import Restoration
from .semantic_benchmark import Semantic

Make = Callable[..., ReaderBenchmark]


@dataclass(frozen=True)
class Entry:
    """A benchmark. places: split -> column of the paper's table (`paper.TABLES`); the splits run by default."""

    name: str
    make: Make
    reader: str
    task: str
    table: int | None
    places: Mapping[str, str]
    folders: tuple[str, ...] = field(default=())  # what its folder may be called beside its name
    wants: tuple[str, ...] = ()  # options of `make`

    def columns(self, split: str) -> tuple[str, ...]:
        """The columns of the paper's table that a split fills; its own name where it stands in none."""
        if self.make is Editing:
            return TABLE_KINDS
        return (self.places.get(split, f"{self.name} {split}"),)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that there are."""
        return reader_named(self.reader).splits

    def found(self, root: Path, splits: Sequence[str], images: Path | None = None) -> list[str]:
        """Those of the splits that a folder holds."""
        parts = reader_named(self.reader).parts(root, images)
        return [split for split in splits if (split, self.task) in parts]

    def folder(self, root: Path, splits: Sequence[str], images: Path | None = None) -> Path | None:
        """The folder that holds one of the splits: one below `root` that has the benchmark's name, or `root`."""
        names = {_plain(n) for n in (self.name, self.reader, *self.folders)}
        below = sorted(p for p in root.iterdir() if p.is_dir()) if root.is_dir() else []
        for place in [*(p for p in below if _plain(p.name) in names), root]:
            if self.found(place, splits, images):
                return place
        return None

    def open(
        self,
        root: Path,
        split: str,
        images: Path | None = None,
        cache: Path | None = None,
        on_broken: str = "skip",
        **options: Any,
    ) -> ReaderBenchmark:
        """The benchmark on a split; LayoutMissing names what is not there. options: those in `wants` are taken.

        on_broken: "raise" gives BrokenRecord for the first broken record of the index.
        """
        reader = open_reader(
            self.reader, root, split, self.task, images=images, cache=cache, on_broken=on_broken
        )
        return self.make(self.name, reader, **{k: options[k] for k in self.wants if k in options})


def _plain(name: str) -> str:
    return "".join(c for c in name.lower().replace("+", "plus") if c.isalnum())


def _val(column: str) -> dict[str, str]:
    return {"val": column}


def _several(title: str, splits: Sequence[str]) -> dict[str, str]:
    """testA is column "<title> A"."""
    return {split: f"{title} {split.removeprefix('test')}" for split in splits}


def _entries() -> list[Entry]:
    semantic = [
        ("ade20k-847", "A-847", ("ADE20K_2021_17_01",)),
        ("pascal-context-459", "PC-459", ("pascal-context", "pascal_context")),
        ("ade20k-150", "A-150", ("ade20k", "ADEChallengeData2016")),
        ("pascal-context-59", "PC-59", ("pascal-context", "pascal_context")),
        ("voc", "VOC", ("VOCdevkit", "VOC2012")),
        ("coco-stuff", "COCO-Stuff", ("cocostuff", "coco")),
    ]
    three = ("val", "testA", "testB")
    return [
        Entry("coco", Pose, "coco", "keypoints", 2, _val("COCO"), ("coco2017", "mscoco")),
        Entry("humanart", Pose, "humanart", "keypoints", 2, _val("HumanArt")),
        Entry("ap10k", ap10k, "ap10k", "keypoints", 2, _val("AP-10K"), ("ap-10k",)),
        Entry("grefcoco", Refer, "grefcoco", "refer", 3, {"val": "gRefCOCO"}, ("refer",)),
        Entry("refcoco", Refer, "refcoco", "refer", 3, _several("RefCOCO", three), ("refer",)),
        Entry("refcoco+", Refer, "refcoco+", "refer", 3, _several("RefCOCO+", three), ("refer",)),
        Entry(
            "refcocog", Refer, "refcocog", "refer", 3,
            {"val": "G-Ref val U", "test": "G-Ref test U", "valG": "G-Ref val G"}, ("refer",),
        ),
        Entry("refclef", Refer, "refclef", "refer", 3, _several("RefClef", (*three, "testC")), ("refer",)),
        *(
            Entry(name, Semantic, name, "segment", 4, _val(column), folders, ("absent",))
            for name, column, folders in semantic
        ),
        Entry("gopro", Restoration, "gopro", "deblur", 5, {"test": "GoPro"}, ("GOPRO_Large",), ("lpips",)),
        Entry("sidd", Restoration, "sidd", "denoise", 5, {"val": "SIDD"}, (), ("lpips",)),
        Entry("clwd", Restoration, "clwd", "dewatermark", 5, {"test": "CLWD"}, (), ("lpips",)),
        Entry("editing", Editing, "editing", "edit", 5, {"test": "editing"}, (), ("clip", "aesthetic", "giqa")),
        Entry("coco-boxes", Detect, "coco", "detect", None, _val("COCO boxes")),
    ]  # fmt: skip


BENCHMARKS: dict[str, Entry] = {entry.name: entry for entry in _entries()}
ALIASES = {
    "ade20k": "ade20k-150", "pascal-context": "pascal-context-59", "cocostuff": "coco-stuff", "g-ref": "refcocog",
}  # fmt: skip


def benchmark_named(name: str) -> Entry:
    """The benchmark of that name; ValueError lists the names there are."""
    try:
        return BENCHMARKS[ALIASES.get(name.lower(), name.lower())]
    except (KeyError, AttributeError):
        raise ValueError(
            f"unknown benchmark {name!r}: choose scenes, all, or one of {', '.join(BENCHMARKS)}"
        ) from None


__all__ = ["ALIASES", "BENCHMARKS", "Entry", "LayoutMissing", "ReaderBenchmark", "benchmark_named"]
