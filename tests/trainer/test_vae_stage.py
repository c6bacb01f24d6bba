"""Training on the decoder alone: the latents a UNet has learned stay what they were."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from instructdiffusion.models.loading import load_components
from instructdiffusion.trainer.config import ModelConfig, TrainConfig
from instructdiffusion.trainer.vae_stage import VaeStage


def _config(folder, **changes) -> TrainConfig:
    return TrainConfig("vae", "out", 1, init=folder, model=ModelConfig(vae_decoder_only=True), **changes)


def test_the_decoder_learns_and_the_encoder_stays(model_folder, tmp_path):
    stage = VaeStage(_config(str(model_folder)))
    optimizer = torch.optim.SGD([p for p in stage.parameters() if p.requires_grad], lr=0.1)
    batch = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    first, _ = stage(batch, 0)
    first.backward()
    optimizer.step()
    assert float(stage(batch, 1)[0].detach()) < float(first.detach())
    stage.export(tmp_path)
    before, after = load_components(model_folder).vae, type(stage.vae).from_pretrained(tmp_path / "vae")
    x = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        old, new = (v.encode(x).latent_dist.mode() for v in (before, after))
        torch.testing.assert_close(new, old, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(after.decode(old).sample, before.decode(old).sample)
    assert after.config.scaling_factor == before.config.scaling_factor


def test_a_decoder_needs_an_encoder_to_go_with():
    with pytest.raises(ValueError, match="`init`"):
        VaeStage(_config(None))
