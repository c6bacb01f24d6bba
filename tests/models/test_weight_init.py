"""What new weights compute before they have learned anything."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from instructdiffusion.models.architecture import build_unet, build_vae, widen_conv_in
from instructdiffusion.models.norms import VAE_SOFTNESS, harden_norms


def _smooth(size: int = 64) -> torch.Tensor:
    """A smooth coloured picture [1, 3, size, size] in -1..1."""
    y, x = np.mgrid[0:size, 0:size] / size
    red, green, blue = np.cos(2 * x + y), 2 * y - 1, np.sin(3 * x * y) * 0.7
    return torch.tensor(np.stack([red, green, blue])[None], dtype=torch.float32)


def _rebuilt(vae, x):
    with torch.no_grad():
        return vae.decode(vae.encode(x).latent_dist.mode()).sample


def _psnr(a, b) -> float:
    return float(-10 * torch.log10(((a - b) ** 2).mean() / 4))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    # With 32 channels a norm's groups hold one, so a pair does not share a group, and less comes through.
    ("channels", "least"),
    [((64, 32, 64), 20), ((64, 64), 20), ((32, 32, 64), 18)],
)
def test_a_new_autoencoder_already_carries_a_smooth_picture(channels, least, seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        vae = build_vae(channels)
    assert _psnr(_rebuilt(vae, _smooth()), _smooth()) > least
    harden_norms(vae, VAE_SOFTNESS)
    assert _psnr(_rebuilt(vae, _smooth()), _smooth()) > least


def test_it_does_so_by_block_means():
    vae = build_vae((64, 32, 64))
    x = _smooth() * 0.5
    with torch.no_grad():
        z = vae.encode(x).latent_dist.mode()
    means = torch.nn.functional.avg_pool2d(x, 4)
    for c in range(3):
        together = torch.corrcoef(torch.stack([z[0, c].flatten(), means[0, c].flatten()]))[0, 1]
        assert together > 0.99
    noise = x + 0.3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    assert _psnr(_rebuilt(vae, noise), x) > _psnr(noise, x) + 3  # detail inside a block is averaged away


def test_its_posterior_is_narrow_from_the_start():
    with torch.no_grad():
        posterior = build_vae((64, 32, 64)).encode(_smooth()).latent_dist
    assert posterior.std.max() < 0.2


def test_a_new_unet_has_a_path_from_the_condition_to_the_answer():
    """Where conv_in passes the condition on as the noisy latents, the answer contains it, position by position."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = widen_conv_in(build_unet((64, 32, 32), context=64, in_channels=4))
    generator = torch.Generator().manual_seed(1)
    x, condition = torch.randn(2, 1, 4, 16, 16, generator=generator)
    words, t = torch.zeros(1, 4, 64), torch.tensor([999])
    with torch.no_grad():
        silent = unet(torch.cat([x, condition], 1), t, words).sample
        unet.conv_in.weight[8:16, 4:, 1, 1] = unet.conv_in.weight[:8, :4, 1, 1]
        heard = unet(torch.cat([x, condition], 1), t, words).sample - silent
    for c in range(4):
        together = torch.corrcoef(torch.stack([heard[0, c].flatten(), condition[0, c].flatten()]))[0, 1]
        assert together > 0.9
