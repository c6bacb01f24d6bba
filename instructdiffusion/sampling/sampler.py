"""Sampler: the one loop that runs a plan on a model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from ..utils.interrupts import check_interrupt
from .kernels import check_backend, step
from .noise import GivenNoise, StepNoise
from .plan import Plan, Row
from .schedule import PREDICTIONS, input_scale


class Model(Protocol):
    """What the sampler needs of a network: conditions inside, one batch of branches a call.

    A model may also have `input_batch(branches) -> Tensor`: where its next input is to be written, once a
    branch, [len(branches), b, c, h, w] of any float dtype (a slice of the UNet's own input, say). Then that
    very tensor is what predict gets as x_scaled. And it may have `begin()`, which is called before a run's first
    row: for models that carry something from row to row.
    """

    prediction_type: str  # one of PREDICTIONS

    def predict(self, x_scaled: Tensor, row: Row, branches: tuple[str, ...]) -> Tensor:
        """Predictions [len(branches), b, c, h, w] at row.t for x_scaled = x / sqrt(1 + sigma^2)."""
        ...


OnStep = Callable[[int, Tensor, Tensor], None]


@torch.no_grad()
def sample(
    model: Model,
    x: Tensor,
    plan: Plan,
    noise: StepNoise | Sequence[Tensor] | Tensor | None = None,
    on_step: OnStep | None = None,
    *,
    backend: str = "auto",
) -> Tensor:
    """Run the plan from the noisy latents x and return the latents it ends in (clean where it ends at 0).

    x: [b, c, h, w] at the plan's first sigma: unit noise * plan.sigma_start. Left unchanged.
    noise: SeededNoise(seeds), or tensors one a noisy row; may be None where plan.draws is 0.
    on_step(i, x, denoised): called after row i with the new state and the row's denoised latents; what it
    raises stops the run (that is how a caller interrupts). Heun has two rows a step.
    backend: what computes the step outside the model, one of kernels.BACKENDS; "auto" takes the fastest that can.
    Returns float32 (float64 for a float64 x; the state is never narrower than float32).
    Raises ValueError for latents that are not finite, a wrong prediction_type, shape or missing noise, and
    FloatingPointError naming row and picture where a prediction is not finite. On an accelerator that check
    is read once, after the last row, so that no step waits for the device.
    """
    check_start(x, getattr(model, "prediction_type", None))
    check_backend(backend)
    source = noise_source(noise, plan)

    begin = getattr(model, "begin", None)
    if begin is not None:
        begin()
    x = x.to(torch.float64 if x.dtype == torch.float64 else torch.float32)
    scaled = x * input_scale(plan.sigma_start)
    batch = _input_batch(model, plan, 0)
    if batch is not None:
        scaled = batch.copy_(scaled)
    history: deque[Tensor] = deque(maxlen=max(plan.history - 1, 1))
    saved: Tensor | None = None
    finite = torch.ones(len(plan), len(x), dtype=torch.bool, device=x.device)  # read once, at the end
    keep = on_step is not None or plan.history > 1
    draws = 0
    for i, (row, coefs) in enumerate(zip(plan, plan.coefs(model.prediction_type), strict=True)):
        check_interrupt()
        predictions = model.predict(scaled, row, row.branches)
        _check_shape(predictions, (len(row.branches), *x.shape), i)
        fresh = None
        if coefs.noise != 0.0 and source is not None:
            fresh = source.step(draws, x)
            draws += 1
        before = x
        x, denoised, scaled = step(
            *(before, predictions, coefs, tuple(history), saved, fresh),
            batch=_input_batch(model, plan, i + 1),
            finite=finite[i],
            keep=keep,
            backend=backend,
        )
        if row.save:
            saved = before
        if denoised is not None:
            history.appendleft(denoised)
        if x.device.type == "cpu":
            check_finite(finite[i : i + 1], plan, i)
        if on_step is not None and denoised is not None:
            on_step(i, x, denoised)
    check_finite(finite, plan, 0)
    return x


def check_start(x: Tensor, prediction_type: object) -> None:
    """ValueError for a prediction_type or starting latents that no run can take; waits for the device."""
    if prediction_type not in PREDICTIONS:
        raise ValueError(f"model.prediction_type must be one of {', '.join(PREDICTIONS)}; got {prediction_type!r}")
    if x.ndim < 2 or len(x) == 0 or not x.is_floating_point():
        raise ValueError(f"latents must be float [b, c, h, w]; got {x.dtype} {tuple(x.shape)}")
    if not bool(torch.isfinite(x).all()):
        raise ValueError("the starting latents have NaN or infinite values; check the noise and its scale")


def _input_batch(model: Model, plan: Plan, i: int) -> Tensor | None:
    """Where the model wants row i's input, if it says so and there is such a row."""
    ask = getattr(model, "input_batch", None)
    return None if ask is None or i >= len(plan) else ask(plan[i].branches)


def noise_source(noise: StepNoise | Sequence[Tensor] | Tensor | None, plan: Plan) -> StepNoise | None:
    """The noise as a StepNoise; ValueError where the plan draws more often than it can give."""
    source: StepNoise | None
    if isinstance(noise, (Tensor, Sequence)):
        source = GivenNoise(tuple(noise))
    else:
        source = noise
    if plan.draws and source is None:
        raise ValueError(
            f"this plan adds noise in {plan.draws} rows; give noise=SeededNoise(seeds) or one tensor a draw"
        )
    if isinstance(source, GivenNoise) and len(source) < plan.draws:
        raise ValueError(f"this plan adds noise in {plan.draws} rows; got {len(source)} noise tensors")
    return source


def _check_shape(predictions: object, expected: tuple[int, ...], i: int) -> None:
    if not isinstance(predictions, Tensor):
        raise TypeError(f"model.predict must return one tensor {expected}; got {type(predictions).__name__}")
    if tuple(predictions.shape) != expected:
        raise ValueError(
            f"model.predict must return [branches, b, c, h, w] = {expected} at row {i}; "
            f"got {tuple(predictions.shape)}"
        )


def check_finite(flags: Tensor, plan: Plan, first: int) -> None:
    """FloatingPointError naming row and pictures where the flags, bool [rows, b] from row `first` on, are False."""
    table = flags.cpu()
    if bool(table.all()):
        return
    i = int((~table.all(1)).nonzero()[0, 0])
    pictures = (~table[i]).nonzero().flatten().tolist()
    row = plan[first + i]
    raise FloatingPointError(
        f"the model's prediction has NaN or infinite values at row {first + i} of {len(plan)} "
        f"(sigma {row.sigma:g}, t {row.t:g}) for picture {', '.join(map(str, pictures))} of the batch; "
        "check the weights, the condition and, in half precision, whether they overflow"
    )
