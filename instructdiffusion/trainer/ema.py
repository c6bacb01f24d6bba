"""Exponential moving average of weights, with the authors' warm-up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class EMA:
    """shadow <- d shadow + (1 - d) weights, with d = min(decay, (1 + n) / (10 + n)) after n updates.

    The warm-up is the one of the paper's code (and of LDM); the update count is part of the state, so a
    resumed run continues with the decay it had.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        if not 0.0 <= decay < 1.0:
            raise ValueError(
                f"expected an EMA decay in [0, 1), got {decay}: change `ema_decay` in the config"
            )
        self.decay = decay
        self.updates = 0
        self.shadow = {n: p.detach().clone() for n, p in module.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move the shadow towards the module's present weights."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        live = dict(module.named_parameters())
        torch._foreach_lerp_(list(self.shadow.values()), [live[n] for n in self.shadow], 1 - decay)

    @contextmanager
    def applied(self, module: nn.Module) -> Iterator[None]:
        """Inside the context the module holds the averaged weights; afterwards its own again."""
        live = {n: p.detach().clone() for n, p in module.named_parameters() if n in self.shadow}
        self._load(module, self.shadow)
        try:
            yield
        finally:
            self._load(module, live)

    @torch.no_grad()
    def _load(self, module: nn.Module, values: dict[str, Tensor]) -> None:
        for n, p in module.named_parameters():
            if n in values:
                p.copy_(values[n])
