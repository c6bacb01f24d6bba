"""Readers of the public datasets, raw downloads first: `open_reader("refcoco", folder)` -> records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...utils.errors import UsageError
from .ade20k import Ade20k
from .ade20k_full import Ade20kFull
from .aic import Aic
from .ap10k import Ap10k
from .clwd import Clwd
from .coco import Coco
from .coco_stuff import CocoStuff
from .crowdpose import CrowdPose
from .gier import Gier
from .gopro import GoPro
from .gqa_inpaint import GqaInpaint
from .grefcoco import GRefCoco
from .humanart import HumanArt
from .instructpix2pix import InstructPix2Pix
from .lists import EditingBenchmark, Ieiw
from .magicbrush import MagicBrush
from .mpii import Mpii
from .pascal_context import PascalContext59, PascalContext459
from .phrasecut import PhraseCut
from .problems import BrokenRecord, LayoutIncomplete, LayoutMissing, Problem
from .reader import Reader, RecordReader
from .reds import Reds
from .refcoco import RefClef, RefCoco, RefCocoG, RefCocoPlus
from .sidd import Sidd
from .voc import Voc

READERS: dict[str, type[Reader]] = {
    reader.name: reader
    for reader in (
        Coco,
        RefCoco,
        RefCocoPlus,
        RefCocoG,
        RefClef,
        GRefCoco,
        CocoStuff,
        CrowdPose,
        Mpii,
        Aic,
        Ade20k,
        Voc,
        PascalContext59,
        PhraseCut,
        GoPro,
        Reds,
        Sidd,
        Clwd,
        InstructPix2Pix,
        MagicBrush,
        Gier,
        GqaInpaint,
        Ieiw,
        HumanArt,
        Ap10k,
        Ade20kFull,
        PascalContext459,
        EditingBenchmark,
    )
}


def reader_named(name: str) -> type[Reader]:
    """The reader of that name; ValueError lists the names there are."""
    try:
        return READERS[name]
    except (KeyError, TypeError):
        raise UsageError(f"unknown dataset {name!r}: choose one of {', '.join(READERS)}") from None


def open_reader(
    name: str, root: str | Path, split: str = "train", task: str | None = None, **options: Any
) -> Reader:
    """The records of a split of the dataset `name` in the folder `root`; the options are those of `Reader`."""
    return reader_named(name)(root, split, task, **options)


__all__ = [
    "READERS",
    "BrokenRecord",
    "LayoutIncomplete",
    "LayoutMissing",
    "Problem",
    "Reader",
    "RecordReader",
    "open_reader",
    "reader_named",
]
