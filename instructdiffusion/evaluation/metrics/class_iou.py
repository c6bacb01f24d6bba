"""Semantic segmentation: the mean over classes of cumulative IoU (mcIoU)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .mask_metrics import Overlap


@dataclass(frozen=True)
class ClassOverlaps:
    """Sums over all pictures of a class: pixels in both masks and in either, and in how many pictures it shows."""

    both: int
    either: int
    shown: int

    @property
    def iou(self) -> float:
        """Cumulative IoU; NaN where neither truth nor answer has a pixel."""
        return self.both / self.either if self.either else float("nan")


def class_overlaps(answers: Iterable[tuple[str, Overlap, bool]]) -> dict[str, ClassOverlaps]:
    """The sums of every class asked for, of (class, overlap, whether the picture shows it)."""
    sums: dict[str, list[int]] = {}
    for name, answer, present in answers:
        total = sums.setdefault(name, [0, 0, 0])
        total[0] += answer.both
        total[1] += answer.either
        total[2] += int(present)
    return {name: ClassOverlaps(*total) for name, total in sums.items()}


def mean_class_iou(classes: dict[str, ClassOverlaps]) -> tuple[float, int]:
    """(mcIoU, how many classes it is the mean of): the mean of sum I_c / sum U_c over classes that show anywhere.

    A class that no picture shows has no IoU and is left out, as detectron2 and MaskFormer do; what is drawn for
    it by mistake costs nothing. Whether absent classes were asked for decides how much false alarms cost
    the others: if they were (the standard reading), a class marked in a picture without it enlarges its
    union. NaN without any class.
    """
    known = [c.iou for c in classes.values() if c.shown]
    return (sum(known) / len(known), len(known)) if known else (float("nan"), 0)
