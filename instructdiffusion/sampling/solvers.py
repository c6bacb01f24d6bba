"""Solvers: each turns falling sigmas into rows of numbers; none of them ever sees a tensor.

    x' = x_coef * x + saved_coef * saved + sum_k d_coefs[k] * D[-k] + noise_coef * z

D[0] is the denoised latent of this evaluation, D[-1] of the one before, and so on; z is unit noise; `saved`
is the x of the last row with save set, as it was before that row's update (a second half of a step needs it).
With r = s1 / s0 for a step from sigma s0 to s1, and h = log s0 - log s1, all below is algebra on these.
Values agree with k-diffusion's samplers of the same names (and its defaults), UniPC's with diffusers', in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


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
        down, up = _ancestral(s0, s1, eta)
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


def dpmpp_sde(sigmas: Sequence[float], *, eta: float = 1.0, s_noise: float = 1.0) -> list[Update]:
    """DPM-Solver++ SDE with a midpoint (k-diffusion's sample_dpmpp_sde, r = 1/2): two evaluations a step.

        m = sqrt(s0 s1);  down, up of an ancestral step from s0, to m or to s1
        y  = down_m / s0 x + (1 - down_m / s0) D(x, s0) + up_m z_m
        x' = down / s0 x + (1 - down / s0) D(y, m) + up z

    The path that led to m goes on to s1, so that z = c z_m + sqrt(1 - c^2) fresh (`midpoint_correlation`);
    z_m is read back from y, which is linear in it. Both fresh noises are independent.
    eta: 0 (DPM-Solver-2's midpoint) .. 1. A last step to 0 is Euler alone.
    """
    eta, s_noise = _at_least_zero(eta=eta), _at_least_zero(s_noise=s_noise)
    rows = []
    for s0, s1 in _steps(sigmas):
        if s1 == 0.0:
            rows.append(Update(s0, s1, 0.0, (1.0,)))
            continue
        m = math.sqrt(s0 * s1)
        down_m, up_m = _ancestral(s0, m, eta)
        down, up = _ancestral(s0, s1, eta)
        r_m, r = down_m / s0, down / s0
        rows.append(Update(s0, m, r_m, (1.0 - r_m,), up_m * s_noise, save=True))
        # up c z_m = k (y - r_m x - (1 - r_m) D[-1]), where s_noise is in y already
        c = midpoint_correlation(s0, s1) if up_m > 0.0 and s_noise > 0.0 else 0.0
        k = up * c / up_m if c else 0.0
        rows.append(
            Update(
                *(m, s1, k, (1.0 - r, -k * (1.0 - r_m)) if k else (1.0 - r,)),
                noise_coef=up * math.sqrt(1.0 - c * c) * s_noise,
                saved_coef=r - k * r_m,
            )
        )
    return rows


def midpoint_correlation(s0: float, s1: float) -> float:
    """Correlation of the noise gathered from s0 to sqrt(s0 s1) with that from s0 to s1: 1 / sqrt(1 + sqrt(r)).

    That of a Brownian path in sigma, as k-diffusion draws it: sqrt((s0 - m) / (s0 - s1)).
    """
    return 1.0 / math.sqrt(1.0 + math.sqrt(s1 / s0))


def lcm(sigmas: Sequence[float]) -> list[Update]:
    """Latent consistency sampling (2310.04378, alg. 3): x' = D + s1 z, the denoised latent noised anew.

    For models distilled to answer in one evaluation; nothing of x but its denoised latent is kept.
    """
    return [Update(s0, s1, 0.0, (1.0,), s1) for s0, s1 in _steps(sigmas)]


def unipc(sigmas: Sequence[float], *, order: int = 2) -> list[Update]:
    """UniPC (Zhao et al., 2302.04867, alg. 5-8, data prediction, B(h) = e^-h - 1), one evaluation a step.

    Predictor and corrector both start from the corrected x of the level before, by the same r x, so that
    their difference is in denoised latents alone: a row corrects its own x (with the D it just evaluated)
    and predicts the next, without going back. order: 1 to 3, of the predictor; the corrector adds one.
    The first steps, and the last ones of a run that ends in 0, have lower orders, as in diffusers.
    """
    if isinstance(order, bool) or order not in (1, 2, 3):
        raise ValueError(f"the order of UniPC must be 1, 2 or 3; got {order!r}")
    steps = _steps(sigmas)
    levels = [-math.log(s0) for s0, _ in steps]  # lambda = log(1 / sigma)
    rows: list[Update] = []
    moved: np.ndarray = np.zeros(1)  # over D[0], D[-1], ..: what the last predictor took of them
    used = 0
    for i, (s0, s1) in enumerate(steps):
        corrected = np.zeros(1)
        if i:
            past = levels[:i][::-1][:used]
            corrected = _unipc_weights(levels[i] - past[0], _ratios(past, levels[i]), evaluated=True)
            corrected[1 : 1 + len(moved)] -= moved
        used = min(order, i + 1, len(steps) - i if steps[-1][1] == 0.0 else order)
        if s1 == 0.0:
            rows.append(Update(s0, s1, 0.0, (1.0,)))
            continue
        past = levels[: i + 1][::-1][:used]
        moved = _unipc_weights(-math.log(s1) - past[0], _ratios(past, -math.log(s1)), evaluated=False)
        r = s1 / s0
        d = np.zeros(max(len(corrected), len(moved)))
        d[: len(corrected)] += r * corrected
        d[: len(moved)] += moved
        rows.append(Update(s0, s1, r, tuple(float(c) for c in d)))
    return rows


def unipc_3(sigmas: Sequence[float]) -> list[Update]:
    """UniPC of order 3; its authors advise it without guidance, and order 2 with."""
    return unipc(sigmas, order=3)


#: Solvers by name.
SOLVERS: dict[str, Solver] = {
    "euler": euler,
    "euler_ancestral": euler_ancestral,
    "ddim": ddim,
    "dpmpp_2m": dpmpp_2m,
    "dpmpp_2m_sde": dpmpp_2m_sde,
    "heun": heun,
    "dpmpp_sde": dpmpp_sde,
    "unipc": unipc,
    "unipc_3": unipc_3,
    "lcm": lcm,
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


def _ancestral(s0: float, s1: float, eta: float) -> tuple[float, float]:
    """(sigma_down, sigma_up) of an ancestral step."""
    up = min(s1, eta * s1 * math.sqrt(1.0 - (s1 / s0) ** 2))
    return math.sqrt(max(0.0, s1 * s1 - up * up)), up


def _ratios(past: Sequence[float], target: float) -> list[float]:
    """Where the levels before the newest of `past` lie, in steps from the newest to the target (below 0)."""
    return [(level - past[0]) / (target - past[0]) for level in past[1:]]


def _unipc_weights(h: float, ratios: Sequence[float], *, evaluated: bool) -> np.ndarray:
    """What a UniPC step of length h takes of the denoised latents, newest first, the target's own where evaluated.

    x(target) = e^-h x - (e^-h - 1) (D0 + sum_k rho_k (D_k - D0) / ratio_k), where sum_k rho_k ratio_k^(n-1) =
    -h n! phi_{n+1}(-h) / B(h): the step is exact for a D that is a polynomial of lambda (2302.04867, section 3).
    """
    points = [*ratios, 1.0] if evaluated else list(ratios)
    size = math.expm1(-h)  # B(h), which is -h phi_1(-h)
    rho = np.array([0.5])  # the paper's choice: a single point is not solved for
    if len(points) > 1:
        matrix = np.vander(points, increasing=True).T
        phi, right = size / -h - 1.0, []
        for n in range(1, len(points) + 1):
            right.append(phi * math.factorial(n) / size)
            phi = phi / -h - 1.0 / math.factorial(n + 1)
        rho = np.linalg.solve(matrix, np.array(right))
    slopes = np.array([-size * k / p for k, p in zip(rho, points, strict=False)])
    newest = -size - slopes.sum()
    if evaluated:
        return np.array([slopes[-1], newest, *slopes[:-1]])
    return np.array([newest, *slopes])


def _at_least_zero(**option: float) -> float:
    ((name, value),) = option.items()
    if not (math.isfinite(value) and value >= 0.0):
        raise ValueError(f"{name} must be a finite number of at least 0; got {value}")
    return float(value)
