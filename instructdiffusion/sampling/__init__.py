"""The sampler: schedule -> plan (rows of numbers, no tensors) -> sample (one loop over a model).

    schedule = Schedule(alphas_cumprod)
    plan = make_plan(schedule.sigmas("trailing", 20), "dpmpp_2m", instructdiffusion(5, 1.25), schedule)
    x = initial_noise(seeds, (4, h, w)) * plan.sigma_start
    model = UNetDenoiser(unet, image_latents, prompt_embeds, negative_prompt_embeds, prediction_type)
    latents = sample(model, x, plan, SeededNoise(seeds))

What needs torch (noise, sampler, denoiser) is imported when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .guidance import (
    BRANCHES,
    Guidance,
    Weights,
    cfg,
    dropping,
    every,
    instructdiffusion,
    instructpix2pix,
    interval,
    none,
)
from .plan import Plan, Row, StepCoefs, make_plan
from .schedule import PREDICTIONS, SPACINGS, Schedule, denoised_coefs, input_scale
from .solvers import SOLVERS, Solver, Update, get_solver

if TYPE_CHECKING:
    from .acceleration.adaptive_guidance import AdaptiveGuidance
    from .acceleration.deepcache import DeepCache
    from .denoiser import UNetDenoiser
    from .noise import GivenNoise, SeededNoise, StepNoise, check_seeds, initial_noise
    from .sampler import Model, OnStep, sample

_LAZY = {
    "AdaptiveGuidance": "acceleration.adaptive_guidance",
    "DeepCache": "acceleration.deepcache",
    "UNetDenoiser": "denoiser",
    "GivenNoise": "noise",
    "SeededNoise": "noise",
    "StepNoise": "noise",
    "check_seeds": "noise",
    "initial_noise": "noise",
    "Model": "sampler",
    "OnStep": "sampler",
    "sample": "sampler",
}

__all__ = [
    "BRANCHES",
    "PREDICTIONS",
    "SOLVERS",
    "SPACINGS",
    "AdaptiveGuidance",
    "DeepCache",
    "GivenNoise",
    "Guidance",
    "Model",
    "OnStep",
    "Plan",
    "Row",
    "Schedule",
    "SeededNoise",
    "Solver",
    "StepCoefs",
    "StepNoise",
    "UNetDenoiser",
    "Update",
    "Weights",
    "cfg",
    "check_seeds",
    "denoised_coefs",
    "dropping",
    "every",
    "get_solver",
    "initial_noise",
    "input_scale",
    "instructdiffusion",
    "instructpix2pix",
    "interval",
    "make_plan",
    "none",
    "sample",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
