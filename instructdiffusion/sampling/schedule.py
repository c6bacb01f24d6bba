"""Schedule: the noise levels a checkpoint was trained on, and the levels a run visits.

Everything in this package is written in the variance-exploding picture of k-diffusion (Karras et al.,
2206.00364): a latent at noise level sigma is

    x = x0 + sigma * noise              sigma = sqrt((1 - ab) / ab),  ab = alphas_cumprod[t]

and the UNet, trained on sqrt(ab) x0 + sqrt(1 - ab) noise, sees x * input_scale(sigma).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

#: What a network may be trained to predict.
PREDICTIONS: tuple[str, ...] = ("epsilon", "v_prediction", "sample")


def input_scale(sigma: float) -> float:
    """Factor from the noisy latent x to what the UNet sees: 1 / sqrt(1 + sigma^2)."""
    return 1.0 / math.sqrt(1.0 + sigma * sigma)


def denoised_coefs(prediction_type: str, sigma: float) -> tuple[float, float]:
    """(skip, out) such that denoised = skip * x + out * prediction, for the unscaled latent x.

        epsilon       D = x - sigma * eps
        v_prediction  D = x / (1 + sigma^2) - v * sigma / sqrt(1 + sigma^2)
        sample        D = prediction

    Raises ValueError for another type. (v: Salimans & Ho, 2202.00512, in k-diffusion's parameterisation.)
    """
    if prediction_type == "epsilon":
        return 1.0, -sigma
    if prediction_type == "v_prediction":
        return 1.0 / (1.0 + sigma * sigma), -sigma * input_scale(sigma)
    if prediction_type == "sample":
        return 0.0, 1.0
    raise ValueError(f"prediction_type must be one of {', '.join(PREDICTIONS)}; got {prediction_type!r}")


@dataclass(frozen=True, eq=False, repr=False)
class Schedule:
    """The training schedule: sigma at every timestep, and sigma <-> t between them.

    alphas_cumprod: [T], strictly falling, inside (0, 1). A schedule with zero terminal SNR (ab = 0) has no
    finite sigma and is refused.
    """

    alphas_cumprod: np.ndarray
    train_sigmas: np.ndarray = field(init=False)  # [T] float64, rising

    def __post_init__(self) -> None:
        ab = np.array(self.alphas_cumprod, dtype=np.float64)
        if ab.ndim != 1 or len(ab) < 2:
            raise ValueError(f"alphas_cumprod must be a list of at least 2 numbers; got shape {ab.shape}")
        if not np.isfinite(ab).all() or ab.min() <= 0.0 or ab.max() >= 1.0 or (np.diff(ab) >= 0).any():
            raise ValueError(
                "alphas_cumprod must fall strictly and stay inside (0, 1); got values from "
                f"{ab[0]:g} to {ab[-1]:g}. A zero-terminal-SNR schedule needs its last value clipped above 0"
            )
        sigmas = np.sqrt((1.0 - ab) / ab)
        ab.setflags(write=False)
        sigmas.setflags(write=False)
        object.__setattr__(self, "alphas_cumprod", ab)
        object.__setattr__(self, "train_sigmas", sigmas)

    @classmethod
    def scaled_linear(
        cls, beta_start: float = 0.00085, beta_end: float = 0.012, steps: int = 1000
    ) -> Schedule:
        """Stable Diffusion's schedule: betas = linspace(sqrt(beta_start), sqrt(beta_end), steps)^2."""
        betas = np.linspace(math.sqrt(beta_start), math.sqrt(beta_end), steps, dtype=np.float64) ** 2
        return cls(np.cumprod(1.0 - betas))

    def __len__(self) -> int:
        return len(self.train_sigmas)

    def __repr__(self) -> str:
        return f"Schedule({len(self)} timesteps, sigma {self.sigma_min:.4g} to {self.sigma_max:.4g})"

    @property
    def sigma_min(self) -> float:
        """Sigma at t = 0."""
        return float(self.train_sigmas[0])

    @property
    def sigma_max(self) -> float:
        """Sigma at the last timestep (14.61 for Stable Diffusion 1.5)."""
        return float(self.train_sigmas[-1])

    def sigma_of(self, t: Any) -> Any:
        """Sigma at timestep t (fractions interpolate log sigma); clamped to [0, T - 1]. Scalar or array."""
        t = np.clip(np.asarray(t, dtype=np.float64), 0, len(self) - 1)
        between = np.exp(np.interp(t, np.arange(len(self)), np.log(self.train_sigmas)))
        nearest = np.rint(t).astype(int)
        exact = np.where(t == nearest, self.train_sigmas[nearest], between)  # exp(log s) may miss s by an ulp
        return float(exact) if exact.ndim == 0 else exact

    def t_of(self, sigma: Any) -> Any:
        """Timestep at sigma > 0, interpolated in log sigma as k-diffusion does; clamped. Scalar or array."""
        sigma = np.asarray(sigma, dtype=np.float64)
        if not (sigma > 0).all():
            raise ValueError(f"sigma must be above 0 to have a timestep; got {sigma}")
        t = np.interp(np.log(sigma), np.log(self.train_sigmas), np.arange(len(self), dtype=np.float64))
        t = np.where(np.abs(t - np.rint(t)) < 1e-9, np.rint(t), t)  # whole timesteps stay whole
        return float(t) if t.ndim == 0 else t

    def sigmas(self, spacing: str = "trailing", steps: int = 20) -> np.ndarray:
        """The noise levels of a run: float64 [steps + 1], falling, ending in 0.

        spacing: a name in SPACINGS: "native" (evenly spaced t from T - 1 to 0, k-diffusion's and the authors'),
        "trailing" (t = T - 1, T - 1 - T/steps, ...: the right one for few steps; one step evaluates T - 1
        and returns its denoised latent), "karras" (rho = 7), "exponential" (even in log sigma) or "ays"
        (Align Your Steps, for Stable Diffusion 1.5's noise levels only: ValueError for a checkpoint of others).
        """
        if spacing not in SPACINGS:
            raise ValueError(f"unknown schedule {spacing!r}; expected one of {', '.join(SPACINGS)}")
        count = _whole(steps)
        return np.append(np.asarray(SPACINGS[spacing](self, count), dtype=np.float64), 0.0)


def _whole(steps: Any) -> int:
    if isinstance(steps, bool):
        raise TypeError("steps must be a whole number; got a bool")
    try:
        count = operator.index(steps)
    except TypeError:
        raise TypeError(f"steps must be a whole number; got {steps!r}") from None
    if count < 1:
        raise ValueError(f"steps must be at least 1; got {count}")
    return count


def native(schedule: Schedule, steps: int) -> np.ndarray:
    """Sigmas at timesteps spaced evenly from T - 1 to 0 (k-diffusion's get_sigmas)."""
    return schedule.sigma_of(np.linspace(len(schedule) - 1, 0, steps))


def trailing(schedule: Schedule, steps: int) -> np.ndarray:
    """Sigmas at t = round(T - i T / steps) - 1 (2305.08891): starts at T - 1, stops short of 0."""
    total = len(schedule)
    if steps > total:
        raise ValueError(f"a trailing schedule has at most {total} steps, one a timestep; got {steps}")
    return schedule.sigma_of(np.rint(total - np.arange(steps) * (total / steps)) - 1)


def karras(schedule: Schedule, steps: int, rho: float = 7.0) -> np.ndarray:
    """Sigmas evenly spaced in sigma^(1/rho) from sigma_max to sigma_min (2206.00364, eq. 5)."""
    top, bottom = schedule.sigma_max ** (1 / rho), schedule.sigma_min ** (1 / rho)
    return (top + np.linspace(0, 1, steps) * (bottom - top)) ** rho


def exponential(schedule: Schedule, steps: int) -> np.ndarray:
    """Sigmas evenly spaced in log sigma from sigma_max to sigma_min."""
    return np.exp(np.linspace(math.log(schedule.sigma_max), math.log(schedule.sigma_min), steps))


#: Align Your Steps (2404.14507) for Stable Diffusion 1.5, ten steps, as its authors publish them: the levels
#: that are evaluated, and the lowest one of the checkpoint, which a run replaces by 0.
AYS_SD15 = (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029)


def ays(schedule: Schedule, steps: int) -> np.ndarray:
    """AYS_SD15 between the checkpoint's own first and last sigma, interpolated in log sigma for other counts.

    Raises ValueError for a checkpoint that was not trained on Stable Diffusion 1.5's noise levels.
    """
    own = (schedule.sigma_max, schedule.sigma_min)
    if not np.allclose(own, (AYS_SD15[0], AYS_SD15[-1]), rtol=0.01):
        raise ValueError(
            f"the AYS schedule is for noise levels from {AYS_SD15[0]} to {AYS_SD15[-1]} (Stable Diffusion 1.5); "
            f'this checkpoint has {own[0]:.4g} to {own[1]:.4g}. Take "trailing" or "karras"'
        )
    levels = np.log([own[0], *AYS_SD15[1:-1], own[1]])  # the published ends are rounded
    at = np.linspace(0, len(levels) - 1, steps + 1)[:-1]
    return np.exp(np.interp(at, np.arange(len(levels)), levels))


#: Schedules by name: (schedule, steps) -> [steps] falling sigmas without the final 0.
SPACINGS: dict[str, Callable[[Schedule, int], np.ndarray]] = {
    "native": native,
    "trailing": trailing,
    "karras": karras,
    "exponential": exponential,
    "ays": ays,
}
