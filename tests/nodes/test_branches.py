"""Several branches told as two sides: what comes out must be the weighted sum, whatever the scales."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest
import torch


@pytest.fixture(scope="module")
def branches(pack: ModuleType) -> ModuleType:
    return importlib.import_module(".nodes.branches", pack.__name__)


@pytest.mark.parametrize(
    ("weight", "weights"),
    [
        (6.25, (-4.5, -0.75)),  # the authors' scales
        (1.0, (-0.25, 0.25)),  # text .75 and image .25: the others cancel out
        (1.0 + 1e-7, (-0.25, 0.25 - 1e-7)),
        (0.3, (0.7,)),
    ],
)
def test_two_sides_give_the_weighted_sum(
    branches: ModuleType, weight: float, weights: tuple[float, ...]
) -> None:
    generator = torch.Generator().manual_seed(0)
    full, *others = torch.randn(1 + len(weights), 2, 4, 8, 8, generator=generator)
    other, scale = branches.two_sided(full, others, weight, weights)
    expected = weight * full + sum(w * o for w, o in zip(weights, others))
    assert torch.allclose(other + scale * (full - other), expected, atol=1e-4)


def test_the_scale_is_the_full_branch_s_weight_and_the_other_a_mean(branches: ModuleType) -> None:
    full, one, two = torch.randn(3, 1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    other, scale = branches.two_sided(full, [one, two], 3.0, (-1.0, -1.0))
    assert scale == 3.0 and torch.allclose(other, (one + two) / 2)


def test_a_single_branch_is_its_own_other_side(branches: ModuleType) -> None:
    full = torch.ones(1, 4, 8, 8)
    assert branches.two_sided(full, [], 1.0, ()) == (full, 1.0)
