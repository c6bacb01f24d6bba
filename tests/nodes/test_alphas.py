"""Noise levels of a MODEL, of nodes/sampler.py, which itself can be imported in ComfyUI only."""

from __future__ import annotations

import ast
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

SOURCE = Path(__file__).resolve().parents[2] / "nodes" / "sampler.py"


@pytest.fixture(scope="module")
def alphas() -> Callable[[Any], Any]:
    """The function by itself."""
    tree = ast.parse(SOURCE.read_text())
    (found,) = (part for part in tree.body if getattr(part, "name", "") == "alphas")
    names: dict[str, Any] = {"Any": Any}
    exec(compile(ast.Module([found], []), str(SOURCE), "exec"), names)
    return names["alphas"]


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
