"""The authors' loop: k-diffusion's Euler ancestral with three branches in every step.

Where the package k-diffusion is installed its own sampler runs; elsewhere the same algorithm, written from its
published form, with its tensors where it has them: noise levels stay on the device, so the timestep is looked
up there and the host waits twice a step. The wrapper around the UNet is written from its published form.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

NoiseSampler = Callable[[Any, Any], Tensor]


@cache
def package_sampler() -> Callable[..., Tensor] | None:
    """k-diffusion's own sampler, None where it is not installed (pip install --no-deps k-diffusion).

    Its module of samplers is loaded by itself, with stand-ins for what other samplers than this one use: the
    package around it imports training tools and models that sampling has no use for.
    """
    found = importlib.util.find_spec("k_diffusion")
    if found is None or not found.submodule_search_locations:
        return None
    parent = types.ModuleType("k_diffusion_samplers")
    parent.__path__ = list(found.submodule_search_locations)
    parent.utils = types.ModuleType("k_diffusion_samplers.utils")  # type: ignore[attr-defined]
    modules = {parent.__name__: parent, f"{parent.__name__}.utils": parent.utils}
    for name in ("torchdiffeq", "torchsde"):
        if importlib.util.find_spec(name) is None:
            modules[name] = types.ModuleType(name)
            modules[name].odeint = None  # type: ignore[attr-defined]
    parent.utils.append_dims = _append_dims
    name = f"{parent.__name__}.sampling"
    spec = importlib.machinery.PathFinder.find_spec(name, parent.__path__)
    if spec is None or spec.loader is None:
        return None
    sampling = importlib.util.module_from_spec(spec)
    modules[name] = sampling
    sys.modules.update(modules)
    try:
        spec.loader.exec_module(sampling)
    finally:
        for key in modules:
            del sys.modules[key]
    return sampling.sample_euler_ancestral


def _append_dims(x: Tensor, dims: int) -> Tensor:
    return x[(...,) + (None,) * (dims - x.ndim)]


class GuidedDenoiser:
    """(x, sigma) -> denoised, under .5 (I + T) + s_text (F - I) + s_image (F - T), all branches always."""

    def __init__(
        self,
        unet: Any,
        alphas: Tensor,
        prediction_type: str,
        conditions: tuple[Tensor, Tensor, Tensor],
        scales: tuple[float, float],
    ) -> None:
        self.unet, self.prediction_type, self.scales = unet, prediction_type, scales
        self.image, self.text, self.null = conditions
        self.log_sigmas = ((1 - alphas) / alphas).sqrt().log()

    def sigmas(self, steps: int) -> Tensor:
        """Levels at evenly spaced timesteps, then 0; log sigma is interpolated between timesteps."""
        t = torch.linspace(len(self.log_sigmas) - 1, 0, steps, device=self.log_sigmas.device)
        low, high = t.floor().long(), t.ceil().long()
        part = t.frac()
        levels = ((1 - part) * self.log_sigmas[low] + part * self.log_sigmas[high]).exp()
        return torch.cat([levels, levels.new_zeros(1)])

    def timestep(self, sigma: Tensor) -> Tensor:
        """Fractional timesteps of levels [n], found on the device."""
        wanted = sigma.log()
        low = (wanted[None] >= self.log_sigmas[:, None]).cumsum(0).argmax(0)
        low = low.clamp(max=len(self.log_sigmas) - 2)
        below, above = self.log_sigmas[low], self.log_sigmas[low + 1]
        part = ((below - wanted) / (below - above)).clamp(0, 1)
        return (1 - part) * low + part * (low + 1)

    def evaluate(self, x: Tensor, sigma: Tensor, image: Tensor, text: Tensor) -> Tensor:
        """Denoised latents of a batch, for an eps or v prediction."""
        level = sigma[:, None, None, None]
        inputs = torch.cat([(x * (level**2 + 1) ** -0.5).to(image.dtype), image], dim=1)
        out = self.unet(inputs, self.timestep(sigma), encoder_hidden_states=text, return_dict=False)[0]
        out = out.to(x.dtype)  # in half precision, as autocast does; else nothing
        if self.prediction_type == "epsilon":
            return x - out * level
        if self.prediction_type == "v_prediction":
            return x / (level**2 + 1) - out * level * (level**2 + 1) ** -0.5
        raise ValueError(
            f"the authors' loop takes epsilon and v_prediction models, this one is {self.prediction_type!r}"
        )

    def __call__(self, x: Tensor, sigma: Tensor, **_: Any) -> Tensor:
        text = torch.cat([self.text, self.null.expand_as(self.text), self.text])
        image = torch.cat([self.image, self.image, torch.zeros_like(self.image)])
        full, image_only, text_only = self.evaluate(x.repeat(3, 1, 1, 1), sigma.repeat(3), image, text).chunk(
            3
        )
        s_text, s_image = self.scales
        mean = 0.5 * (image_only + text_only)
        return mean + s_text * (full - image_only) + s_image * (full - text_only)


def euler_ancestral(model: Any, x: Tensor, sigmas: Tensor, noise_sampler: NoiseSampler) -> Tensor:
    """The published sampler: Euler to sigma_down, then noise up to the next level."""
    ones = x.new_ones([len(x)])
    for now, after in zip(sigmas[:-1], sigmas[1:]):
        denoised = model(x, now * ones)
        up = min(after, (after**2 * (now**2 - after**2) / now**2) ** 0.5)  # the host waits here
        down = (after**2 - up**2) ** 0.5
        x = x + (x - denoised) / now * (down - now)
        if after > 0:  # and here
            x = x + noise_sampler(now, after) * up
    return x


@torch.no_grad()
def authors_loop(model: GuidedDenoiser, noise: Tensor, steps: int, fresh: Callable[[], Tensor]) -> Tensor:
    """Latents drawn from unit noise [b, c, h, w]; `fresh` gives each step's noise."""
    sigmas = model.sigmas(steps).to(noise)
    x, package = noise * sigmas[0], package_sampler()
    if package is not None:
        return package(model, x, sigmas, disable=True, noise_sampler=lambda now, after: fresh())
    return euler_ancestral(model, x, sigmas, lambda now, after: fresh())
