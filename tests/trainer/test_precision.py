"""Training in bfloat16: the same function to a rounding error, with float32 weights, gradients and exports."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from instructdiffusion.trainer.config import DataConfig, ModelConfig, TrainConfig
from instructdiffusion.trainer.loop import build_stage, check_precision
from instructdiffusion.trainer.pool import Pool

SIZES = ModelConfig((32, 32, 32), 1, (32, 32, 32), 1, None, 64, 1)


def _gradients(config, batch):
    stage = build_stage(config)
    stage.rank, stage.world = 0, 1
    with (
        torch.no_grad()
    ):  # the widened input and the residual branches start at zero, where little can differ
        generator = torch.Generator().manual_seed(1)
        for p in stage.parameters():
            p.add_(0.02 * torch.randn(p.shape, generator=generator))
    loss, _ = stage(batch | stage.draws(batch, 0), 0)
    loss.backward()
    assert all(p.grad is None or p.grad.dtype == p.dtype == torch.float32 for p in stage.parameters())
    gradients = [p.grad.flatten() for p in stage.parameters() if p.grad is not None]
    return float(loss.detach()), torch.cat(gradients)


def test_losses_and_gradients_are_those_of_float32_to_a_rounding_error(generator_folder):
    exact = TrainConfig("instruct", "out", 1, init=str(generator_folder), model=SIZES)
    generator = torch.Generator().manual_seed(0)
    batch = {
        "source": torch.randn(6, 4, 16, 16, generator=generator),
        "target": torch.randn(6, 4, 16, 16, generator=generator),
        "text": torch.randint(2, 90, (6, 48), generator=generator),
        "task": torch.zeros(6, dtype=torch.long),
    }
    loss, gradients = _gradients(exact, batch)
    rounded_loss, rounded = _gradients(dataclasses.replace(exact, precision="bfloat16"), batch)
    assert rounded_loss != loss and rounded_loss == pytest.approx(loss, rel=0.02)
    assert torch.cosine_similarity(rounded, gradients, dim=0) > 0.995
    assert rounded.norm() == pytest.approx(float(gradients.norm()), rel=0.05)


def test_a_pool_encoded_in_bfloat16_is_another_folder_with_nearly_the_same_latents(start_folder, tmp_path):
    data = DataConfig({"segment": 1.0}, level=0, pool=8, workers=0)
    exact = Pool(tmp_path, data, start_folder, quiet=True)
    rounded = Pool(tmp_path, dataclasses.replace(data, encoding="bfloat16"), start_folder, quiet=True)
    assert len(list(tmp_path.glob("pool-*"))) == 2
    for key in ("source", "target"):
        off = (rounded.parts[key].float() - exact.parts[key].float()).std() / exact.parts[key].float().std()
        assert 0 < off < 0.02
    assert torch.equal(rounded.parts["text"], exact.parts["text"])


def test_a_cpu_that_is_slow_at_bfloat16_is_told_of(monkeypatch):
    asked = TrainConfig("instruct", "out", 1, precision="bfloat16", data=DataConfig(encoding="bfloat16"))
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    [line] = check_precision(asked, "cpu")
    assert "--set precision=float32 --set data.encoding=float32" in line
    assert not check_precision(asked, "cuda") and not check_precision(
        TrainConfig("instruct", "out", 1), "cpu"
    )
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    assert not check_precision(asked, "cpu")
