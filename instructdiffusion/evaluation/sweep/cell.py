"""Cell: one way of asking a task, as a sweep measures it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One way of asking a task. guidance: (text, image) scales or None; same: the name of the cell to measure
    in its place, its own unless a cheaper-named one has the same plan.
    """

    task: str
    steps: int
    solver: str
    branches: int
    guidance: tuple[float, float] | None
    evaluations: int
    same: str = ""

    @property
    def name(self) -> str:
        """What its file is called."""
        scales = "" if self.guidance is None else "-{:g}-{:g}".format(*self.guidance)
        return f"{self.solver}-{self.steps:04d}-{self.branches}{scales}"

    @property
    def way(self) -> str:
        """Solver, branches and scales in words: the line of the chart it lies on."""
        if self.guidance is None:
            return f"{self.solver}, 1 branch"
        text, image = self.guidance
        scales = f"{text:g}" if self.branches == 2 else f"{text:g}, {image:g}"
        return f"{self.solver}, {self.branches} branches ({scales})"
