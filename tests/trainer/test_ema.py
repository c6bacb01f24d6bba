"""The average of weights: its decay by hand, and that looking at it changes nothing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from instructdiffusion.trainer.ema import EMA


def _module(value: float) -> nn.Linear:
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, value)
    return module


def test_the_decay_warms_up_as_one_plus_n_over_ten_plus_n():
    module = _module(0.0)
    ema = EMA(module, 0.9999)
    nn.init.constant_(module.weight, 1.0)
    expected = 0.0
    for n in range(30):
        ema.update(module)
        decay = (1 + n) / (10 + n)
        expected = decay * expected + (1 - decay)
        assert float(ema.shadow["weight"]) == pytest.approx(expected, abs=1e-6)
    assert ema.updates == 30


def test_the_decay_is_never_above_the_asked_one():
    module = _module(0.0)
    ema = EMA(module, 0.5)
    ema.updates = 1000
    nn.init.constant_(module.weight, 1.0)
    ema.update(module)
    assert float(ema.shadow["weight"]) == 0.5


def test_inside_the_context_the_module_is_the_average_and_afterwards_itself():
    module = _module(2.0)
    ema = EMA(module, 0.9)
    nn.init.constant_(module.weight, 4.0)
    with pytest.raises(RuntimeError, match="stop"), ema.applied(module):
        assert module.weight.item() == 2.0
        raise RuntimeError("stop")
    assert module.weight.item() == 4.0 and float(ema.shadow["weight"]) == 2.0


def test_frozen_parameters_are_not_averaged():
    module = nn.Linear(2, 2)
    module.bias.requires_grad_(False)
    assert list(EMA(module, 0.9).shadow) == ["weight"]


@pytest.mark.parametrize("decay", [-0.1, 1.0, 2.0])
def test_a_decay_outside_zero_to_one_is_refused(decay):
    with pytest.raises(ValueError, match="ema_decay"):
        EMA(torch.nn.Linear(1, 1), decay)
