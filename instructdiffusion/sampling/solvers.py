"""Solvers: each turns falling sigmas into rows of numbers; none of them ever sees a tensor.

    x' = x_coef * x + saved_coef * saved + sum_k d_coefs[k] * D[-k] + noise_coef * z

D[0] is the denoised latent of this evaluation, D[-1] of the one before, and so on; z is unit noise; `saved`
is the x of the last row with save set, as it was before that row's update (Heun's second half needs it).
With r = s1 / s0 for a step from sigma s0 to s1, and h = log s0 - log s1, all below is algebra on these.
Values agree with k-diffusion's samplers of the same names (and its defaults), in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Update:
    """One evaluation at `sigma` and the linear update after it; sigma_next is the level it arrives at."""

    sigma: float
    sigma_next: float
    x_coef: float
    d_coefs: tuple[float, ...]
    noise_coef: float = 0.0
    saved_coef: float = 0.0
    save: bool = False


Solver = Callable[[Sequence[float]], list[Update]]


def euler(sigmas: Sequence[float]) -> list[Update]:
    """Euler's method on the probability-flow ODE, dx/dsigma = (x - D) / sigma: x' = r x + (1 - r) D."""
    return [Update(s0, s1, s1 / s0, (1.0 - s1 / s0,)) for s0, s1 in _steps(sigmas)]


def euler_ancestral(sigmas: Sequence[float], *, eta: float = 1.0, s_noise: float = 1.0) -> list[Update]:
    """Euler down to sigma_down, then fresh noise up to s1 (the authors' sampler).

        sigma_up = min(s1, eta s1 sqrt(1 - r^2)),  sigma_down = sqrt(s1^2 - sigma_up^2)

    eta: 0 (no noise: Euler) .. 1; s_noise scales the fresh noise.
    """
    eta, s_noise = _at_least_zero(eta=eta), _at_least_zero(s_noise=s_noise)
    rows = []
    for s0, s1 in _steps(sigmas):
        up = min(s1, eta * s1 * math.sqrt(1.0 - (s1 / s0) ** 2))
        down = math.sqrt(max(0.0, s1 * s1 - up * up))
        rows.append(Update(s0, s1, down / s0, (1.0 - down / s0,), up * s_noise))
    return rows


def ddim(sigmas: Sequence[float], *, eta: float = 0.0) -> list[Update]:
    """DDIM (2010.02502, eq. 12 and 16): D + sqrt(s1^2 - up^2) eps + up z, up = eta s1 sqrt(1 - r^2).

    Divided by sqrt(alphas_cumprod), DDIM's own sigma_t(eta) is the ancestral sigma_up, so that eta = 0 is
    Euler in sigma and eta = 1 is Euler ancestral. The name is kept for people who look for it.
    """
    return euler_ancestral(sigmas, eta=eta)


def dpmpp_2m(sigmas: Sequence[float]) -> list[Update]:
    """DPM-Solver++(2M) (Lu et al., 2211.01095, alg. 2), data prediction, one evaluation a step.

    x' = r x + (1 - r) ((1 + c) D - c D[-1]),  c = h / (2 h_last); c = 0 in the first step and to 0.
    """
    rows: list[Update] = []
    h_last = 0.0
    for s0, s1 in _steps(sigmas):
        d = 1.0 - s1 / s0
        h = math.inf if s1 == 0.0 else math.log(s0 / s1)
        c = h / (2.0 * h_last) if rows and s1 > 0.0 else 0.0
        rows.append(Update(s0, s1, s1 / s0, (d * (1.0 + c), -d * c) if c else (d,)))
        h_last = h
    return rows


def dpmpp_2m_sde(sigmas: Sequence[float], *, eta: float = 1.0, s_noise: float = 1.0) -> list[Update]:
    """SDE-DPM-Solver++(2M), midpoint (2211.01095, appendix): the reverse SDE instead of the ODE.

        x' = r e^(-eta h) x + a ((1 + c) D - c D[-1]) + s1 sqrt(1 - e^(-2 eta h)) s_noise z
        a = 1 - e^(-(1 + eta) h),  c = h / (2 h_last)

    eta: 0 (DPM-Solver++(2M)) .. 1. A last step to 0 returns D.
    """
    eta, s_noise = _at_least_zero(eta=eta), _at_least_zero(s_noise=s_noise)
    rows: list[Update] = []
    h_last = 0.0
    for s0, s1 in _steps(sigmas):
        if s1 == 0.0:
            rows.append(Update(s0, s1, 0.0, (1.0,)))
            continue
        h = math.log(s0 / s1)
        a = -math.expm1(-(1.0 + eta) * h)
        c = h / (2.0 * h_last) if rows else 0.0
        z = s1 * math.sqrt(-math.expm1(-2.0 * eta * h)) * s_noise
        x = (s1 / s0) * math.exp(-eta * h)
        rows.append(Update(s0, s1, x, (a * (1.0 + c), -a * c) if c else (a,), z))
        h_last = h
    return rows


def heun(sigmas: Sequence[float]) -> list[Update]:
    """Heun's method (2206.00364, alg. 1, no churn): an Euler row, then one that redoes it by the mean slope.

    The second row starts from the saved x: x' = saved + (s1 - s0) (slope0 + slope1) / 2, where
    slope0 = (saved - D[-1]) / s0 and slope1 = (x - D) / s1. A last step to 0 is Euler alone.
    """
    rows = []
    for s0, s1 in _steps(sigmas):
        rows.append(Update(s0, s1, s1 / s0, (1.0 - s1 / s0,), save=s1 > 0.0))
        if s1 > 0.0:
            half = (s1 - s0) / 2.0
            rows.append(Update(s1, s1, half / s1, (-half / s1, -half / s0), saved_coef=1.0 + half / s0))
    return rows


#: Solvers by name.
SOLVERS: dict[str, Solver] = {
    "euler": euler,
    "euler_ancestral": euler_ancestral,
    "ddim": ddim,
    "dpmpp_2m": dpmpp_2m,
    "dpmpp_2m_sde": dpmpp_2m_sde,
    "heun": heun,
}


def get_solver(name: str | Solver) -> Solver:
    """The solver of that name (or the given function itself); ValueError lists the names."""
    if callable(name):
        return name
    if name not in SOLVERS:
        raise ValueError(f"unknown solver {name!r}; expected one of {', '.join(SOLVERS)}")
    return SOLVERS[name]


def _steps(sigmas: Sequence[float]) -> list[tuple[float, float]]:
    values = [float(s) for s in sigmas]
    return list(zip(values[:-1], values[1:], strict=True))


def _at_least_zero(**option: float) -> float:
    ((name, value),) = option.items()
    if not (math.isfinite(value) and value >= 0.0):
        raise ValueError(f"{name} must be a finite number of at least 0; got {value}")
    return float(value)
