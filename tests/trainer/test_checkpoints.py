"""Checkpoints are whole or absent, and what is read is what was written."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from instructdiffusion.trainer.checkpoints import (
    checkpoints,
    flatten_optimizer,
    load_checkpoint,
    save_checkpoint,
    unflatten_optimizer,
)
from instructdiffusion.trainer.ema import EMA
from instructdiffusion.trainer.optim import make_optimizer


def _parts(optimizer: str = "muon", width: int = 4, seed: int = 0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = nn.Sequential(nn.Linear(3, width), nn.Linear(width, 2))
    return module, EMA(module, 0.9), make_optimizer(optimizer, module, 0.01, 0.1)


def _step(module, ema, optimizer, seed):
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    module(x).square().sum().backward()
    optimizer.step()
    ema.update(module)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_restored_run_goes_on_bit_for_bit(tmp_path, optimizer):
    live = _parts(optimizer)
    for n in range(3):
        _step(*live, n)
    path = save_checkpoint(tmp_path, 3, *live, {"seconds": 1.5}, keep=2)
    again = _parts(optimizer, seed=9)
    state = load_checkpoint(path, *again)
    assert (state["step"], state["seconds"], again[1].updates) == (3, 1.5, 3)
    for n in range(3, 6):
        _step(*live, n)
        _step(*again, n)
    for name, value in live[0].state_dict().items():
        assert torch.equal(value, again[0].state_dict()[name])
        assert torch.equal(live[1].shadow[name], again[1].shadow[name])


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_an_optimisers_state_survives_being_flat(optimizer):
    live, again = _parts(optimizer), _parts(optimizer)
    _step(*live, 0)
    flat = flatten_optimizer(live[2])
    assert flat and all("." in name for name in flat)
    unflatten_optimizer(again[2], flat)
    assert flatten_optimizer(again[2]).keys() == flat.keys()
    assert all(torch.equal(value, flat[name]) for name, value in flatten_optimizer(again[2]).items())


def test_only_the_newest_are_kept(tmp_path):
    parts = _parts()
    for step in (1, 2, 10, 100):
        save_checkpoint(tmp_path, step, *parts, {}, keep=2)
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000010", "step-00000100"]


def test_what_a_kill_leaves_half_written_does_not_count(tmp_path):
    parts = _parts()
    save_checkpoint(tmp_path, 5, *parts, {}, keep=2)
    half = tmp_path / ".step-00000010.tmp"
    half.mkdir()
    (half / "state.json").write_text("{}")
    (tmp_path / "validation").mkdir()
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000005"]
    save_checkpoint(tmp_path, 10, *parts, {}, keep=2)  # the leftover is no obstacle
    assert json.loads((tmp_path / "step-00000010" / "state.json").read_text())["step"] == 10
    assert not half.exists()


def test_a_failing_write_leaves_the_checkpoint_before_whole(tmp_path, monkeypatch):
    parts = _parts()
    save_checkpoint(tmp_path, 5, *parts, {}, keep=1)

    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("instructdiffusion.trainer.checkpoints.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(tmp_path, 10, *parts, {}, keep=1)
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000005"]
    assert load_checkpoint(checkpoints(tmp_path)[0], *_parts())["step"] == 5


def test_no_folder_has_no_checkpoints(tmp_path):
    assert checkpoints(tmp_path / "none") == []


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    path = save_checkpoint(tmp_path, 1, *_parts(), {}, keep=1)
    with pytest.raises(ValueError, match=r"another model: 0\.weight has shape \(4, 3\)"):
        load_checkpoint(path, *_parts(width=6))
    module = nn.Linear(3, 4)
    with pytest.raises(ValueError, match="another model: 6 names differ"):
        load_checkpoint(path, module, EMA(module, 0.9), make_optimizer("muon", module, 0.1, 0.0))


def test_frozen_weights_are_not_written(tmp_path):
    from safetensors.torch import load_file

    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    module[0].requires_grad_(False)
    path = save_checkpoint(
        tmp_path, 1, module, EMA(module, 0.9), make_optimizer("adamw", module, 1.0, 0.0), {}, 1
    )
    assert set(load_file(path / "weights.safetensors")) == {"1.weight", "1.bias"}


def test_every_file_is_on_disk_before_the_checkpoint_counts_and_its_name_after(tmp_path, monkeypatch):
    import os

    synced, real = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda d: (synced.append(os.fstat(d).st_ino), real(d)))
    replaced, replace = [], os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (replaced.append(len(synced)), replace(a, b)))
    path = save_checkpoint(tmp_path, 1, *_parts(), {}, keep=1)
    files = {p.stat().st_ino for p in path.iterdir()}
    (before,) = replaced
    assert len(files) == 5 and files <= set(synced[:before])
    assert synced[before:] == [tmp_path.stat().st_ino]
