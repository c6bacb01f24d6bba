"""The step outside the UNet in plain torch: every other backend must agree with this function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..plan import StepCoefs


class Stepped(NamedTuple):
    """x: the new state; denoised: D of this evaluation, None if it was not to be kept; scaled: the next UNet
    input x * next_scale, which is `batch` where that was given."""

    x: Tensor
    denoised: Tensor | None
    scaled: Tensor


def step(
    x: Tensor,
    predictions: Tensor,
    coefs: StepCoefs,
    history: Sequence[Tensor] = (),
    saved: Tensor | None = None,
    noise: Tensor | None = None,
    *,
    batch: Tensor | None = None,
    finite: Tensor | None = None,
    keep: bool = True,
) -> Stepped:
    """Combine the branches, turn the prediction into the denoised latent, update the state, add noise.

        p = sum_b weights[b] * predictions[b]
        D = skip * x + out * p
        x' = x_coef * x + saved_coef * saved + d[0] * D + sum_k d[k] * history[k - 1] + noise_coef * noise

    x: [b, c, h, w] in the state's dtype (float32; float64 stays float64), in which all of it is computed.
    predictions: [branches, b, c, h, w], any float dtype. history: earlier denoised latents, newest first.
    batch: [n, b, c, h, w], any float dtype, takes the next input once for each of n branches.
    finite: bool [b], set to False for each picture whose denoised latent is not finite.
    keep: whether the denoised latent is wanted. Of the arguments only batch and finite are written.
    Terms whose coefficient is 0 are left out, not multiplied. No value is read back to the host.
    """
    check(x, predictions, coefs, history, saved, noise, batch, finite)
    mixed = _sum(list(zip(coefs.weights, predictions.to(x.dtype), strict=True)), x)
    denoised = _sum([(coefs.skip, x), (coefs.out, mixed)], x)
    terms = [(coefs.x, x), (coefs.d[0], denoised)]
    terms += list(zip(coefs.d[1:], history, strict=False))
    if saved is not None:
        terms.append((coefs.saved, saved))
    if noise is not None:
        terms.append((coefs.noise, noise))
    new = _sum(terms, x)
    scaled = new * coefs.next_scale
    if batch is not None:
        scaled = batch.copy_(scaled)
    if finite is not None:
        finite.logical_and_(torch.isfinite(denoised).flatten(1).all(1))
    return Stepped(new, denoised if keep else None, scaled)


def check(
    x: Tensor,
    predictions: Tensor,
    coefs: StepCoefs,
    history: Sequence[Tensor],
    saved: Tensor | None,
    noise: Tensor | None,
    batch: Tensor | None,
    finite: Tensor | None,
) -> None:
    """ValueError for what no backend can take: a needed tensor that is missing, or one of another shape."""
    if len(predictions) != len(coefs.weights):
        raise ValueError(f"expected {len(coefs.weights)} branch predictions; got {len(predictions)}")
    if len(history) < len(coefs.d) - 1:
        raise ValueError(f"expected {len(coefs.d) - 1} earlier denoised latents; got {len(history)}")
    if coefs.saved != 0.0 and saved is None:
        raise ValueError("this row starts from a saved x; got none")
    if coefs.noise != 0.0 and noise is None:
        raise ValueError("this row adds noise; got none. Give the run a noise source")
    alike = [("each prediction", predictions[0]), ("the saved x", saved), ("the noise", noise)]
    alike += [("the history", h) for h in history]
    alike += [("each branch of the batch", None if batch is None or not len(batch) else batch[0])]
    for name, tensor in alike:
        if tensor is not None and tensor.shape != x.shape:
            raise ValueError(
                f"{name} must have the state's shape {tuple(x.shape)}; got {tuple(tensor.shape)}"
            )
    if finite is not None and (finite.dtype != torch.bool or finite.shape != x.shape[:1]):
        raise ValueError(
            f"finite must be bool [{len(x)}], one a picture; got {finite.dtype} {tuple(finite.shape)}"
        )


def _sum(terms: Sequence[tuple[float, Tensor]], like: Tensor) -> Tensor:
    total: Tensor | None = None
    for coef, value in terms:
        if coef != 0.0:
            total = value * coef if total is None else total.add_(value, alpha=coef)
    return torch.zeros_like(like) if total is None else total
