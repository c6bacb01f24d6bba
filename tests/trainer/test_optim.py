"""Muon and AdamW: against torch, against what orthogonal means, and the learning rate by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from instructdiffusion.trainer.optim import Muon, learning_rate, make_optimizer, orthogonalize


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 12, 40), (2, 40, 12)])
def test_orthogonalize_brings_singular_values_near_one_and_keeps_the_directions(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalize(x))
    assert values.min() > 0.3 and values.max() < 1.3  # the quintic is made for speed, not for exactness
    u, _, v = torch.linalg.svd(x, full_matrices=False)
    along = (u.mT @ orthogonalize(x) @ v.mT).diagonal(dim1=1, dim2=2)
    assert (along > 0.3).all()


def test_orthogonalize_does_not_depend_on_scale_and_takes_zeros():
    x = torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(orthogonalize(x), orthogonalize(1000 * x), atol=1e-3, rtol=1e-3)
    assert torch.equal(orthogonalize(torch.zeros(1, 4, 4)), torch.zeros(1, 4, 4))


def test_the_adamw_rule_is_torchs():
    def run(make):
        p = nn.Parameter(torch.linspace(-1, 1, 5))
        optimizer = make(p)
        generator = torch.Generator().manual_seed(0)
        for _ in range(6):
            p.grad = torch.randn(5, generator=generator)
            optimizer.step()
        return p.detach()

    ours = run(lambda p: Muon([{"params": [p], "muon": False}], lr=0.01, weight_decay=0.1))
    torchs = run(lambda p: torch.optim.AdamW([p], lr=0.01, weight_decay=0.1, betas=(0.9, 0.99)))
    torch.testing.assert_close(ours, torchs, atol=1e-6, rtol=1e-5)


def test_a_muon_step_moves_a_matrix_by_the_stated_size():
    p = nn.Parameter(torch.zeros(16, 64))
    p.grad = torch.randn(16, 64, generator=torch.Generator().manual_seed(0))
    Muon([{"params": [p], "muon": True}], lr=0.1, weight_decay=0.0).step()
    # 16 singular values of about 1, times 0.1 * 0.2 * sqrt(64).
    assert torch.linalg.svdvals(p.detach() / (0.1 * 0.2 * 8)).mean() == pytest.approx(0.95, abs=0.2)


def test_muon_takes_the_hidden_matrices_and_adamw_the_rest():
    module = nn.ModuleDict(
        {"conv_in": nn.Conv2d(3, 8, 3), "mid": nn.Conv2d(8, 8, 3), "norm": nn.GroupNorm(2, 8)}
    )
    module["token_embedding"] = nn.Embedding(4, 8)
    optimizer = make_optimizer("muon", module, 1e-3, 0.0)
    sizes = {group["muon"]: len(group["params"]) for group in optimizer.param_groups}
    assert sizes == {True: 1, False: 6}
    assert optimizer.param_groups[0]["params"][0] is module["mid"].weight


def test_parameters_without_a_gradient_stay():
    p, q = nn.Parameter(torch.ones(3, 3)), nn.Parameter(torch.ones(3, 3))
    p.grad = torch.eye(3)
    Muon([{"params": [p, q], "muon": True}], lr=0.1).step()
    assert torch.equal(q, torch.ones(3, 3)) and not torch.equal(p, torch.ones(3, 3))


def test_a_closure_and_an_unknown_name_are_refused():
    p = nn.Parameter(torch.ones(1))
    with pytest.raises(ValueError, match="closure"):
        Muon([{"params": [p]}]).step(lambda: 0.0)
    with pytest.raises(ValueError, match="'adamw' or 'muon'"):
        make_optimizer("sgd", nn.Linear(2, 2), 1e-3, 0.0)


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.1), (4, 0.5), (9, 1.0), (50, 1.0), (80, 1.0), (90, 0.5), (99, 0.05)]
)
def test_the_learning_rate_is_a_trapezoid(step, expected):
    assert learning_rate(1.0, step, 100, 10, 0.2) == pytest.approx(expected)


def test_the_learning_rate_stays_where_nothing_warms_up_or_decays():
    assert {learning_rate(0.3, step, 10, 0, 0.0) for step in range(10)} == {0.3}
