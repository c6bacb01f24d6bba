"""Curve order: which cells of a curve come first, and what one will cost, so that any budget of time tells most."""

from __future__ import annotations

from collections.abc import Sequence

from .cell import Cell

MAIN_SOLVER = "dpmpp_2m"  # what many steps are taken with unless a model says otherwise
FEWEST, FEW = 4, 20  # steps of a fast mode, and those up to which solvers differ most
# Two evaluations a step, fresh noise in every step, or made for distilled models: here they have not led.
LATE = ("heun", "dpmpp_2m_sde", "dpmpp_sde", "lcm")
REST, LAST = 6, 7
AUTHORS_WAY = ("euler_ancestral", 3, (50, 100))  # what the authors' own runs take


def tier(cell: Cell) -> int:
    """How soon a cell is measured, 0 first.

    0  one branch and the main solver, up to 20 steps: the curve itself
    1  more branches with it, up to 4 steps: what guidance is worth
    2  one branch with it, more steps: where the curve ends
    3  the other solvers with one branch, up to 20 steps
    4  more branches with the main solver, up to 20 steps
    5  the authors' way: three branches, 50 and 100 steps of Euler ancestral
    6  the rest of these solvers
    7  the solvers of LATE
    """
    few, alone = cell.steps <= FEW, cell.branches == 1
    if cell.solver in LATE:
        return LAST
    if cell.solver == MAIN_SOLVER:
        if alone:
            return 0 if few else 2
        return 1 if cell.steps <= FEWEST else 4 if few else REST
    if alone and few:
        return 3
    solver, branches, steps = AUTHORS_WAY
    return 5 if (cell.solver, cell.branches) == (solver, branches) and cell.steps in steps else REST


def in_order(cells: Sequence[Cell]) -> list[Cell]:
    """The cells of all tasks, the most telling first, in a tier the cheapest first, so that tasks keep pace.

    Cells measured as one (`Cell.same`) come as soon as the first of them.
    """
    rank: dict[tuple[str, str], int] = {}
    for cell in cells:
        key = cell.task, cell.same
        rank[key] = min(tier(cell), rank.get(key, LAST))
    return sorted(cells, key=lambda c: (rank[c.task, c.same], c.evaluations))


class Pace:
    """Seconds of a cell from those before: a part for asking at all and a part an evaluation, by least squares."""

    def __init__(self) -> None:
        self._seen: list[tuple[float, float]] = []  # (evaluations of a picture, seconds)

    def add(self, evaluations: float, seconds: float) -> None:
        """A cell that was measured."""
        self._seen.append((evaluations, seconds))

    def estimate(self, evaluations: float) -> float:
        """Seconds that a cell of so many evaluations will take; 0 before any was seen.

        In proportion as long as all seen had the same number of evaluations, which is on the safe side.
        """
        if not self._seen:
            return 0.0
        n = len(self._seen)
        mean_e = sum(e for e, _ in self._seen) / n
        mean_s = sum(s for _, s in self._seen) / n
        spread = sum((e - mean_e) ** 2 for e, _ in self._seen)
        slope = sum((e - mean_e) * (s - mean_s) for e, s in self._seen) / spread if spread else 0.0
        if slope <= 0.0:
            return mean_s / mean_e * evaluations
        return max(mean_s + slope * (evaluations - mean_e), slope * evaluations)
