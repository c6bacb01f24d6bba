"""Optimisers: AdamW, and Muon for the weight matrices with AdamW for everything else.

Muon (Jordan et al. 2024) replaces a matrix's momentum by the nearest semi-orthogonal matrix, found with a
quintic Newton-Schulz iteration; the 0.2 sqrt(max(rows, cols)) factor (Liu et al. 2025, "Muon is scalable")
gives its updates AdamW's size, so both share one learning rate. Convolutions are seen as [out, in*kh*kw].
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

# Parameters whose rows are not directions of one linear map keep AdamW: look-up tables, first and last layers.
_ADAM_NAMES = ("embedding", "conv_in", "conv_out", "time_emb", "quant_conv")


def orthogonalize(matrices: Tensor, iterations: int = 5) -> Tensor:
    """Nearly orthogonal factors of a stack of matrices [n, rows, cols] (singular values within about .7-1.2).

    The iteration X <- (a + b G + c G^2) X with G = X X' is carried out on G and on the product Q of the
    factors, square matrices of the shorter side that all commute; X itself is multiplied once, at the end
    (a quarter of the work for this project's wide matrices).
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    gram = x @ x.mT
    identity = torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device)
    product = identity
    for _ in range(iterations):
        factor = a * identity + b * gram + c * gram @ gram
        product = factor @ product
        gram = factor @ gram @ factor
    x = product @ x
    update: Tensor = x.mT if tall else x
    return update


class Muon(torch.optim.Optimizer):
    """AdamW for groups with `muon=False`, Muon for groups with `muon=True`.

    Args:
        groups: parameter groups, each with a boolean `muon`.
        lr: learning rate of both rules.
        weight_decay: decoupled decay, applied to both.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float = 1e-3, weight_decay: float = 0.01) -> None:
        defaults = dict(
            lr=lr, weight_decay=weight_decay, betas=(0.9, 0.99), eps=1e-8, momentum=0.95, muon=False
        )
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient; ValueError for a closure, which would run the model again."""
        if closure is not None:
            raise ValueError("expected no closure; call backward yourself, then step()")
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
                (self._muon if group["muon"] else self._adamw)(group, params)

    # Lists of tensors at a time: a GPU takes a few launches for all of them, a CPU does what loops would do.
    def _muon(self, group: dict[str, Any], params: list[Tensor]) -> None:
        grads = [_grad(p) for p in params]
        for p in params:
            if not self.state[p]:
                self.state[p]["momentum"] = torch.zeros_like(p)
        momenta = [self.state[p]["momentum"] for p in params]
        torch._foreach_lerp_(momenta, grads, 1 - group["momentum"])
        ahead = torch._foreach_lerp(grads, momenta, group["momentum"])  # Nesterov
        by_shape: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for p, direction in zip(params, ahead, strict=True):
            flat = direction.reshape(len(p), -1)
            by_shape[flat.shape[0], flat.shape[1]].append((p, flat))
        for (rows, cols), pairs in by_shape.items():
            updates = orthogonalize(torch.stack([flat for _, flat in pairs]))
            scale = -group["lr"] * 0.2 * max(rows, cols) ** 0.5
            moved = [update.reshape(p.shape) for (p, _), update in zip(pairs, updates, strict=True)]
            torch._foreach_add_([p for p, _ in pairs], moved, alpha=scale)

    def _adamw(self, group: dict[str, Any], params: list[Tensor]) -> None:
        beta1, beta2 = group["betas"]
        grads = [_grad(p) for p in params]
        for p in params:
            if not self.state[p]:
                zeros = {"mean": torch.zeros_like(p), "square": torch.zeros_like(p)}
                self.state[p].update(step=torch.zeros(()), **zeros)
        states = [self.state[p] for p in params]
        means, squares = [s["mean"] for s in states], [s["square"] for s in states]
        for s in states:
            s["step"] += 1
        counts = [float(s["step"]) for s in states]
        torch._foreach_lerp_(means, grads, 1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, grads, grads, value=1 - beta2)
        denominators = torch._foreach_div(squares, [1 - beta2**n for n in counts])
        torch._foreach_sqrt_(denominators)
        torch._foreach_add_(denominators, group["eps"])
        rates = [-group["lr"] / (1 - beta1**n) for n in counts]
        torch._foreach_addcdiv_(params, means, denominators, scalars=rates)


def _grad(p: Tensor) -> Tensor:
    assert p.grad is not None
    return p.grad


def make_optimizer(name: str, module: nn.Module, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """The optimiser called `name` ("adamw" or "muon") over a module's trainable parameters."""
    parameters = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
    if name == "adamw":
        return torch.optim.AdamW([p for _, p in parameters], lr=lr, betas=(0.9, 0.999), weight_decay=weight_decay)
    if name == "muon":
        matrix = [p.ndim >= 2 and not any(part in n for part in _ADAM_NAMES) for n, p in parameters]
        groups = [
            {"params": [p for (_, p), m in zip(parameters, matrix, strict=True) if m], "muon": True},
            {"params": [p for (_, p), m in zip(parameters, matrix, strict=True) if not m], "muon": False},
        ]
        return Muon([g for g in groups if g["params"]], lr=lr, weight_decay=weight_decay)
    raise ValueError(
        f"expected an optimizer 'adamw' or 'muon', got {name!r}: change `optimizer` in the config"
    )


def learning_rate(base: float, step: int, steps: int, warmup: int, decay_fraction: float) -> float:
    """Trapezoid: linear warm-up, constant, then linear to zero over the last `decay_fraction` of the run."""
    up = min(1.0, (step + 1) / max(1, warmup))
    tail = steps * decay_fraction
    down = min(1.0, (steps - step) / tail) if tail >= 1 else 1.0
    return base * up * down
