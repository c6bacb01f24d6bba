"""Noise levels of a MODEL."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch


@pytest.fixture(scope="module")
def alphas(convert: types.ModuleType) -> Callable[[Any], Any]:
    return convert.alphas


class OnMPS:
    """A tensor on Apple's GPU, which has no float64."""

    def __init__(self, values: torch.Tensor) -> None:
        self.cpu = lambda: values

    def double(self) -> None:
        raise TypeError(
            "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64"
        )


def test_noise_levels_are_read_on_the_cpu_in_float64(alphas: Callable[[Any], Any]) -> None:
    levels = types.SimpleNamespace(sigmas=OnMPS(torch.tensor([0.5, 2.0])))
    model = types.SimpleNamespace(get_model_object=lambda name: levels)
    found = alphas(model)
    assert found.dtype == np.float64 and np.allclose(found, [0.8, 0.2], rtol=1e-15)


def test_a_model_of_continuous_levels_is_refused(alphas: Callable[[Any], Any]) -> None:
    model = types.SimpleNamespace(get_model_object=lambda name: object())
    with pytest.raises(ValueError, match="discrete noise levels"):
        alphas(model)
