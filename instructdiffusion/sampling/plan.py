"""Plan: a whole sampler run as rows of float64 numbers, known before the first tensor exists.

A row evaluates the branches whose weight is not 0 at its sigma, D = sum_b weights[b] * D_b, and updates

    x' = x_coef * x + saved_coef * saved + sum_k d_coefs[k] * D[-k] + noise_coef * z

Nothing in a row lives on a device, so that a step never waits for one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .guidance import BRANCHES, Guidance, Weights, check_weights
from .schedule import Schedule, denoised_coefs, input_scale
from .solvers import Solver, get_solver


class StepCoefs(NamedTuple):
    """The host scalars of one fused step: what is left of a row once the prediction_type is known.

    denoised = skip * x + out * sum_b weights[b] * prediction_b; next_scale scales the new x for the next
    row's UNet input (1 after the last row). weights has one entry an evaluated branch.
    """

    weights: tuple[float, ...]
    skip: float
    out: float
    x: float
    d: tuple[float, ...]
    saved: float
    noise: float
    next_scale: float


@dataclass(frozen=True)
class Row:
    """One evaluation and the linear update after it; weights are over BRANCHES."""

    sigma: float
    sigma_next: float
    t: float
    weights: Weights
    x_coef: float
    d_coefs: tuple[float, ...]
    noise_coef: float = 0.0
    saved_coef: float = 0.0
    save: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", check_weights(self.weights))
        numbers = (self.sigma_next, self.t, self.x_coef, *self.d_coefs, self.noise_coef, self.saved_coef)
        if not (self.sigma > 0.0 and math.isfinite(self.sigma) and all(map(math.isfinite, numbers))):
            raise ValueError(f"a row needs sigma above 0 and finite coefficients; got {self}")
        if not self.d_coefs:
            raise ValueError("a row needs at least one denoised coefficient; got none")

    @property
    def branches(self) -> tuple[str, ...]:
        """The branches that are evaluated: those of weight other than 0, in the order of BRANCHES."""
        return tuple(b for b, w in zip(BRANCHES, self.weights, strict=True) if w != 0.0)

    def coefs(self, prediction_type: str, next_sigma: float | None = None) -> StepCoefs:
        """This row's scalars for a model that predicts `prediction_type`, with the scale of the next row's input."""
        skip, out = denoised_coefs(prediction_type, self.sigma)
        weights = tuple(w for w in self.weights if w != 0.0)
        scale = 1.0 if next_sigma is None else input_scale(next_sigma)
        return StepCoefs(
            weights, skip, out, self.x_coef, self.d_coefs, self.saved_coef, self.noise_coef, scale
        )


@dataclass(frozen=True)
class Plan:
    """Rows in the order they run; `print(plan)` shows them as a table."""

    rows: tuple[Row, ...]
    title: str = "plan"

    def __post_init__(self) -> None:
        rows = tuple(self.rows)
        if not rows:
            raise ValueError("a plan needs at least one row; got none")
        saved, past = False, 0
        for i, row in enumerate(rows):
            past += 1
            if len(row.d_coefs) > past:
                raise ValueError(f"row {i} looks back {len(row.d_coefs) - 1} rows, but only {i} came before")
            if row.saved_coef != 0.0 and not saved:
                raise ValueError(f"row {i} uses a saved x, but no row before it saves one")
            saved = saved or row.save
        object.__setattr__(self, "rows", rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, index: int) -> Row:
        return self.rows[index]

    @property
    def sigma_start(self) -> float:
        """The noise level of the x a run starts from; x = unit noise * sigma_start, as the authors do."""
        return self.rows[0].sigma

    @property
    def evaluations(self) -> int:
        """UNet evaluations a picture: the branches of all rows together."""
        return sum(len(row.branches) for row in self.rows)

    @property
    def branches(self) -> tuple[str, ...]:
        """Every branch that some row evaluates: the conditions a model must have ready."""
        used = {b for row in self.rows for b in row.branches}
        return tuple(b for b in BRANCHES if b in used)

    @property
    def history(self) -> int:
        """How many denoised latents the longest row needs, this one included."""
        return max(len(row.d_coefs) for row in self.rows)

    @property
    def draws(self) -> int:
        """How many rows add noise: the number of unit-noise tensors a run takes."""
        return sum(row.noise_coef != 0.0 for row in self.rows)

    def coefs(self, prediction_type: str) -> tuple[StepCoefs, ...]:
        """The fused step's scalars for every row, for a model that predicts `prediction_type`."""
        following = [row.sigma for row in self.rows[1:]] + [None]
        return tuple(row.coefs(prediction_type, after) for row, after in zip(self.rows, following, strict=True))

    def __str__(self) -> str:
        letters = "FITU"
        head = f"{self.title}: {len(self)} rows, {self.evaluations} evaluations, {self.draws} noise draws"
        lines = [head, f"{'row':>3} {'sigma':>9} {'t':>8} {'to':>9}  {'x':>9} {'noise':>9}  d | weights"]
        for i, row in enumerate(self.rows):
            d = " ".join(f"{c:+.5f}" for c in row.d_coefs)
            w = " ".join(f"{k}{v:+g}" for k, v in zip(letters, row.weights, strict=True) if v != 0.0)
            extra = (f" saved{row.saved_coef:+.5f}" if row.saved_coef else "") + (" save" if row.save else "")
            lines.append(
                f"{i:>3} {row.sigma:>9.4f} {row.t:>8.3f} {row.sigma_next:>9.4f}  {row.x_coef:>9.5f} "
                f"{row.noise_coef:>9.5f}  {d}{extra} | {w}"
            )
        return "\n".join(lines)


def make_plan(
    sigmas: Sequence[float] | np.ndarray, solver: str | Solver, guidance: Guidance, schedule: Schedule
) -> Plan:
    """The plan of a run: the solver's rows over `sigmas`, each with its timestep and branch weights.

    sigmas: [steps + 1], finite, strictly falling, not below 0 (a run to a clean latent ends in 0).
    solver: a name in SOLVERS or a function sigmas -> list[Update]; give options with functools.partial.
    guidance: sigma -> weights, asked at each row's own sigma. schedule: gives t for each sigma.
    Raises ValueError saying what is wrong with the sigmas, the solver's name or the weights.
    """
    levels = check_sigmas(sigmas)
    rows = tuple(
        Row(
            sigma=u.sigma,
            sigma_next=u.sigma_next,
            t=schedule.t_of(u.sigma),
            weights=check_weights(guidance(u.sigma), f"guidance at sigma {u.sigma:g}"),
            x_coef=u.x_coef,
            d_coefs=u.d_coefs,
            noise_coef=u.noise_coef,
            saved_coef=u.saved_coef,
            save=u.save,
        )
        for u in get_solver(solver)(levels)
    )
    name = solver if isinstance(solver, str) else _name(solver)
    return Plan(rows, f"{name}, {len(levels) - 1} steps, {_name(guidance)}")


def check_sigmas(sigmas: Sequence[float] | np.ndarray) -> list[float]:
    """The sigmas as floats: at least two, finite, strictly falling, not below 0; ValueError otherwise."""
    try:
        levels = np.asarray(sigmas, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"sigmas must be numbers; got {sigmas!r}") from None
    if levels.ndim != 1 or len(levels) < 2:
        raise ValueError(f"sigmas must be a list of steps + 1 numbers, at least 2; got shape {levels.shape}")
    if not np.isfinite(levels).all():
        raise ValueError(f"sigmas must be finite; number {int(np.argmin(np.isfinite(levels)))} is not")
    rising = np.flatnonzero(np.diff(levels) >= 0)
    if len(rising):
        i = int(rising[0])
        raise ValueError(f"sigmas must fall strictly; number {i} is {levels[i]:g}, then {levels[i + 1]:g}")
    if levels[-1] < 0:
        raise ValueError(f"sigmas must not go below 0; the last is {levels[-1]:g}")
    return [float(s) for s in levels]


def _name(function: object) -> str:
    inner = getattr(function, "func", function)  # functools.partial
    return getattr(inner, "__name__", None) or str(inner)
