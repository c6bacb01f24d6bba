"""Breadth: scenes of other shapes than the square, and things of other sizes, asked about beside the usual ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..datasets.synthetic import EXTENT_TASKS, ratio_size
from ..datasets.synthetic.examples import make_example
from ..tasks import get_task
from ..utils.errors import UsageError
from .evaluator import Case

RATIOS = ("1:1", "4:3", "3:2", "16:9", "9:16", "2:1")
EXTENTS = (0.06, 0.08, 0.12, 0.16, 0.22, 0.4, 0.69, 0.85, 0.95)
# The shorter side of such a picture: a person's is larger than what `tiny` sees of it, and a thing of 6 % needs pixels.
SIDE = 256


@dataclass(frozen=True)
class Breadth:
    """Which shapes (ratios of width to height) and sizes of things (shares of the shorter side) are asked about.

    count: scenes a task and shape, and a task and size. The shapes show the same objects (seeds) at the same size, as
    many of them whatever the room; "1:1" among them is what the others are to be compared with.
    """

    ratios: tuple[str, ...] = ()
    extents: tuple[float, ...] = ()
    count: int = 200

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UsageError(f"expected at least 1 scene a ratio and extent, got {self.count}")
        for ratio in self.ratios:
            ratio_size(ratio, SIDE)
        for extent in self.extents:
            if not 0.05 <= extent <= 0.95:
                raise UsageError(f"expected extents from .05 to .95 of the shorter side, got {extent}")
        if len(set(self.ratios)) < len(self.ratios) or len(set(self.extents)) < len(self.extents):
            raise UsageError("expected every ratio and every extent once")

    @property
    def settings(self) -> dict[str, Any]:
        """Plain data that says which answers are alike; nothing where nothing is asked."""
        if not self.ratios and not self.extents:
            return {}
        return {"ratios": list(self.ratios), "extents": list(self.extents), "ratio_count": self.count}

    def cases(self, task: str, *, split: str, seed: int, level: int, size: int) -> list[Case]:
        """The cases of a task. size: the side of the usual scenes, which restoration's are drawn with."""
        side = size if get_task(task).tiled else max(size, SIDE)  # tiles of large images take long
        seeds = range(seed, seed + self.count)
        make = partial(make_example, task, split=split, level=level)
        cases = []
        for ratio in self.ratios:
            part, shape = ratio_subset(ratio), ratio_size(ratio, side)
            cases += [Case(s, part, partial(make, s, size=shape), f"{part} {s}") for s in seeds]
        for extent in self.extents if task in EXTENT_TASKS else ():
            part = extent_subset(extent)
            cases += [
                Case(s, part, partial(make, s, size=side, extent=extent), f"{part} {s}") for s in seeds
            ]
        return cases


def breadth_of(
    ratios: Sequence[str] | None, extents: Sequence[float] | None, count: int, ratio_count: int | None = None
) -> Breadth:
    """What is asked beside `count` usual scenes, a fifth as many of each unless ratio_count says; None: all."""
    return Breadth(
        RATIOS if ratios is None else tuple(ratios),
        EXTENTS if extents is None else tuple(extents),
        max(1, count // 5) if ratio_count is None else ratio_count,
    )


def ratio_subset(ratio: str) -> str:
    """The name of the rows of a shape."""
    return f"ratio {ratio}"


def extent_subset(extent: float) -> str:
    """The name of the rows of a size of things."""
    return f"extent {extent:g}"


def of_breadth(subset: str) -> bool:
    """Whether rows are of a shape or size, rather than of the usual scenes."""
    return subset.startswith(("ratio ", "extent "))
