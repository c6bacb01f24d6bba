"""The diffusion objective: what is shown to the network, what it should answer, and how errors count."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_UNTOUCHED = 0.1  # the share of a picture that a typical answer changes


@dataclass(frozen=True)
class Noised:
    """x [n, 4, h, w]: the network's noisy input; answer: what it should say; t int64 [n]."""

    x: Tensor
    answer: Tensor
    t: Tensor


def draw_timesteps(count: int, steps: int, last: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Timesteps int64 [count] and which of them are last-step samples, bool [count].

    last: each sample's chance of being trained at the last timestep; the others are uniform.
    """
    uniform = torch.randint(0, steps, (count,), generator=generator)
    final = torch.rand(count, generator=generator) < last
    return torch.where(final, steps - 1, uniform), final


def add_noise(
    clean: Tensor, noise: Tensor, t: Tensor, final: Tensor, alphas_cumprod: Tensor, prediction: str
) -> Noised:
    """Noisy inputs and targets of a batch.

    x = sqrt(a) x0 + sqrt(1 - a) e. Samples with `final` start from noise alone (x0's share is left out), as
    one evaluation at inference does: the schedule's last step still holds .068 x0, enough to give a mask
    away, and a network that reads it there fails where it is absent. Their target is whatever makes the
    estimate of x0 exact given that input.
    """
    a = alphas_cumprod[t].to(clean)[:, None, None, None]
    signal, sigma = a.sqrt(), (1 - a).sqrt()
    x = torch.where(final.to(clean.device)[:, None, None, None], 0.0, signal) * clean + sigma * noise
    if prediction == "v_prediction":
        answer = (signal * x - clean) / sigma
    elif prediction == "epsilon":
        answer = (x - signal * clean) / sigma
    elif prediction == "sample":
        answer = clean
    else:
        raise ValueError(f"expected epsilon, v_prediction or sample, got {prediction!r}")
    return Noised(x, answer, t)


def snr_weights(t: Tensor, alphas_cumprod: Tensor, prediction: str, gamma: float | None) -> Tensor:
    """Min-SNR-gamma weights [n] (Hang et al. 2023), 1 everywhere for gamma None."""
    if gamma is None:
        return torch.ones(len(t))
    a = alphas_cumprod[t].float()
    snr = a / (1 - a)
    clipped = snr.clamp(max=gamma)
    if prediction == "epsilon":
        return clipped / snr
    return clipped / (snr + 1) if prediction == "v_prediction" else clipped


def changed_weights(source: Tensor, target: Tensor, extra: float) -> Tensor:
    """Weights [n, 1, h, w] of latent cells: 1, and 1 + extra where the target differs from the source.

    A cell counts as changed in proportion to its difference, fully at half a latent deviation. Divided by
    their mean over the picture, so that pictures with large and small answers count alike.
    """
    difference = (target - source).square().mean(1, keepdim=True).sqrt()
    weights = 1 + extra * (2 * difference).clamp(max=1)
    return weights / weights.mean((2, 3), keepdim=True)


def area_weights(source: Tensor, target: Tensor, area: float) -> Tensor:
    """Weights [n, 1, 1, 1] of samples: 1 / (share of the picture that the answer changes + area).

    A small mark then counts about as much as a large mask, and all cells of a picture count alike: a model in
    doubt between two places, or between a mark and none, draws each as faintly as it is unlikely, which is what
    reading at half the opacity expects. (`changed_weights` makes it draw whatever has a tenth of a chance.)
    An untouched picture counts like one of which a tenth is changed.
    """
    difference = (target - source).square().mean(1).sqrt()
    share = (2 * difference).clamp(max=1).mean((1, 2))
    return (1 / (torch.where(share == 0, _UNTOUCHED, share) + area))[:, None, None, None]


def absent_weights(source: Tensor, target: Tensor, perception: Tensor, weight: float) -> Tensor:
    """Weights [n, 1, 1, 1] of samples: `weight` where a PERCEPTION answer is the untouched source, else 1.

    perception: bool [n]. Of a picture to be restored or edited, an untouched answer is one like any other.
    """
    untouched = (source == target).flatten(1).all(1) & perception.to(source.device)
    return torch.where(untouched, weight, 1.0).to(source)[:, None, None, None]
