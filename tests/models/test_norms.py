"""Softening and hardening the norms is an identity of the function, for trained weights of any kind."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from instructdiffusion.models.architecture import build_unet, build_vae
from instructdiffusion.models.norms import (
    UNET_HEAD_SOFTNESS,
    UNET_SOFTNESS,
    VAE_SOFTNESS,
    harden_norms,
    soft_from_birth,
    soften_norms,
)


def _scatter(module: nn.Module) -> nn.Module:
    """Give every weight and bias a value, so that no branch is silent; the norms as SD stores them."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1:
                parameter.copy_(noise / parameter[0].numel() ** 0.5)
            else:
                parameter.copy_(0.3 * noise + ("norm" in name and name.endswith("weight")))
    return module.eval()


def _vae():
    vae = build_vae((32, 64))
    soft_from_birth(vae, 1 / VAE_SOFTNESS)
    return _scatter(vae)


def _unet():
    unet = build_unet((32, 64), context=64, attention=(True, True))
    soft_from_birth(unet, 1 / UNET_SOFTNESS, 1 / UNET_HEAD_SOFTNESS)
    return _scatter(unet)


def _answers(module: nn.Module) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    dtype = next(module.parameters()).dtype
    with torch.no_grad():
        if hasattr(module, "decoder"):
            x = torch.randn(2, 3, 16, 16, generator=generator).to(dtype)
            z = module.encode(x).latent_dist
            return torch.cat([z.mean.flatten(), z.logvar.flatten(), module.decode(z.mean).sample.flatten()])
        x = torch.randn(2, 8, 8, 8, generator=generator).to(dtype)
        words = torch.randn(2, 5, 64, generator=generator).to(dtype)
        return module(x, torch.tensor([3, 700]), words).sample.flatten()


CASES = pytest.mark.parametrize(
    ("make", "factor"),
    [(_vae, (VAE_SOFTNESS,)), (_unet, (UNET_SOFTNESS, UNET_HEAD_SOFTNESS)), (_unet, (10**2.5,))],
    ids=["vae", "unet", "even"],
)


@CASES
def test_softening_is_exact(make, factor):
    module = make().double()
    before = _answers(module)
    soften_norms(module, *factor)
    soft = _answers(module)
    assert before.std() > 0.05
    torch.testing.assert_close(soft, before, atol=1e-9, rtol=1e-9)
    harden_norms(module, *factor)
    torch.testing.assert_close(_answers(module), before, atol=1e-9, rtol=1e-9)


@CASES
def test_in_single_precision_there_and_back_changes_less_than_1e_5(make, factor):
    module = make()
    before, weights = _answers(module), {n: p.clone() for n, p in module.named_parameters()}
    soften_norms(module, *factor)
    scale = before.abs().max().clamp(min=1)
    assert (_answers(module) - before).abs().max() / scale < 1e-5
    harden_norms(module, *factor)
    assert (_answers(module) - before).abs().max() / scale < 1e-5
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(parameter.detach(), weights[name].detach(), atol=1e-6, rtol=1e-6)


@CASES
def test_soft_training_is_stored_in_the_original_structure(make, factor):
    """What training changes while the norms are soft answers the same after hardening."""
    module = make().double()
    soften_norms(module, *factor)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * parameter.abs().mean() * torch.randn(parameter.shape, generator=generator))
    trained = _answers(module)
    harden_norms(module, *factor)
    torch.testing.assert_close(_answers(module), trained, atol=1e-9, rtol=1e-9)
    stored = {round(m.eps, 12) for m in module.modules() if isinstance(m, nn.GroupNorm)}
    assert stored <= {1e-6, 1e-5}  # SD's own


def test_new_components_are_soft():
    eps = {round(m.eps, 6) for m in build_vae((32, 32)).modules() if isinstance(m, nn.GroupNorm)}
    assert eps == {1.0}
    unet = build_unet((32, 32))
    assert round(unet.conv_norm_out.eps, 6) == 1.0
    eps = {
        round(m.eps, 6) for m in unet.modules() if isinstance(m, nn.GroupNorm) and m is not unet.conv_norm_out
    }
    assert eps == {1e-3, 1e-4}  # blocks, and the norms before attention


def test_a_flat_colour_survives_soft_norms_alone():
    """Why they are there: with SD's eps a norm of one-channel groups answers a constant with nothing."""
    constant = torch.full((1, 32, 4, 4), 0.3)
    constant[:, 1::2] = -0.3
    hard, soft = nn.GroupNorm(16, 32, eps=1e-6), nn.GroupNorm(16, 32, eps=1.0)
    with torch.no_grad():
        assert (hard(constant).abs() > 0.99).all() and torch.allclose(
            hard(constant), hard(constant / 10), atol=0.01
        )
        torch.testing.assert_close(soft(constant), constant, atol=0.02, rtol=0.0)
