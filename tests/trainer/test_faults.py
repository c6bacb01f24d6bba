"""What goes wrong in real runs: broken checkpoints, full disks, signals, killed makers, wrong launches."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from instructdiffusion.cli import main
from instructdiffusion.trainer import loop
from instructdiffusion.trainer.checkpoints import checkpoints, find_fault
from instructdiffusion.trainer.config import (
    DataConfig,
    LossConfig,
    ModelConfig,
    TrainConfig,
    load_config,
    to_dict,
)
from instructdiffusion.trainer.loop import train
from instructdiffusion.trainer.prefetch import MakerKilled, prefetch
from instructdiffusion.utils.errors import UsageError
from instructdiffusion.utils.files import WriteError
from instructdiffusion.utils.locks import only_writer

TRAIN = Path(__file__).parents[2] / "training" / "train.py"
FILES = ("weights.safetensors", "ema.safetensors", "optimizer.safetensors", "state.json")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch")


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")


def small(output: Path, init: Path, **changes) -> TrainConfig:
    values = {
        "steps": 4, "init": str(init), "batch_size": 4, "learning_rate": 1e-3, "warmup": 2, "validate_every": 100,
        "validate_samples": 1, "checkpoint_every": 1, "keep_checkpoints": 3,
        "model": ModelConfig((32, 32, 32), 1, (32, 32, 32), 1, None, 64, 1),
        "data": DataConfig(mixture={"segment": 1}, level=0, pool=16, workers=0), "loss": LossConfig(),
    }  # fmt: skip
    return TrainConfig("generator", str(output), **(values | changes))


@pytest.fixture(scope="module")
def begun(tmp_path_factory, start_folder):
    """A run of three steps with a checkpoint after each."""
    output = tmp_path_factory.mktemp("runs") / "begun"
    os.environ["ACCELERATE_USE_CPU"] = "true"
    train(small(output, start_folder), stop_at=3, quiet=True)
    return output


def copy_of(begun: Path, folder: Path) -> Path:
    from shutil import copytree

    copytree(begun, folder / "run")
    copytree(begun.parent / next(p.name for p in begun.parent.iterdir() if p.name.startswith("pool-")),
             folder / next(p.name for p in begun.parent.iterdir() if p.name.startswith("pool-")))  # fmt: skip
    return folder / "run"


def damage(path: Path, kind: str) -> None:
    data = bytearray(path.read_bytes())
    if kind == "removed":
        path.unlink()
        return
    if kind == "flipped":
        data[len(data) // 2] ^= 4
    path.write_bytes({"truncated": data[: len(data) // 2], "emptied": b""}.get(kind, bytes(data)))


@pytest.mark.parametrize("sums", [True, False])
@pytest.mark.parametrize("kind", ["truncated", "emptied", "removed", "flipped"])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_of_a_checkpoint_is_noticed(name, kind, sums, begun, tmp_path):
    newest = copy_of(begun, tmp_path) / "step-00000003"
    if not sums:  # as earlier versions wrote them
        (newest / "checksums.json").unlink()
    assert find_fault(newest) == ""
    damage(newest / name, kind)
    if sums or kind != "flipped":  # without sums a bit that makes another number cannot be told
        assert name in find_fault(newest) or "cannot be read" in find_fault(newest)


def test_a_run_goes_on_from_an_older_whole_checkpoint_and_says_so(begun, start_folder, tmp_path, capsys):
    output = copy_of(begun, tmp_path)
    damage(output / "step-00000003" / "ema.safetensors", "truncated")
    train(small(output, start_folder), resume=True, quiet=True)
    said = capsys.readouterr().out
    assert (
        "step-00000003 is broken (ema.safetensors is damaged" in said
        and "going on from step-00000002" in said
    )
    assert [c.name for c in checkpoints(output)] == ["step-00000002", "step-00000003", "step-00000004"]
    assert (
        all(find_fault(c) == "" for c in checkpoints(output)) and (output / "step-00000003.broken").is_dir()
    )
    whole = train(small(tmp_path / "whole", start_folder), quiet=True)
    name = "unet/diffusion_pytorch_model.safetensors"
    assert (output / "model" / name).read_bytes() == (whole / "model" / name).read_bytes()


def test_a_run_without_a_whole_checkpoint_says_what_each_lacks(begun, start_folder, tmp_path):
    output = copy_of(begun, tmp_path)
    for checkpoint in checkpoints(output):
        damage(checkpoint / "state.json", "emptied")
    with pytest.raises(ValueError, match="no checkpoint .* is whole.*step-00000001"):
        train(small(output, start_folder), resume=True, quiet=True)
    assert len(checkpoints(output)) == 3


def test_weights_that_are_not_finite_are_not_saved(start_folder, tmp_path, monkeypatch):
    build = loop.build_stage

    def poisoned(config):
        stage = build(config)
        step = stage.forward

        def forward(batch, number):
            if number == 2:
                with torch.no_grad():
                    next(p for p in stage.parameters() if p.requires_grad).view(-1)[0] = float("nan")
            return torch.nan_to_num(step(batch, number)[0]), {}

        stage.forward = forward
        return stage

    monkeypatch.setattr(loop, "build_stage", poisoned)
    with pytest.raises(FloatingPointError, match="after step 3.*step-00000002 is whole"):
        train(small(tmp_path / "out", start_folder), quiet=True)
    assert [c.name for c in checkpoints(tmp_path / "out")] == ["step-00000001", "step-00000002"]


def test_a_full_disk_says_what_is_whole(begun, start_folder, tmp_path, monkeypatch):
    output = copy_of(begun, tmp_path)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("instructdiffusion.trainer.checkpoints.save_file", full)
    with pytest.raises(WriteError, match="after step 4 .*No space left.*step-00000003 is whole.*--resume"):
        train(small(output, start_folder), resume=True, quiet=True)
    assert not list(output.glob(".step-*")) and find_fault(output / "step-00000003") == ""


def test_two_runs_do_not_write_to_one_folder(begun, start_folder, tmp_path):
    pytest.importorskip("fcntl")
    output = copy_of(begun, tmp_path)
    with only_writer(output, "training"), pytest.raises(UsageError, match="another training is writing"):
        train(small(output, start_folder), resume=True, quiet=True)
    train(small(output, start_folder), resume=True, quiet=True)  # the hold ends with its run


@pytest.mark.parametrize(
    "variable, value, words",
    [
        ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4", "gradient accumulation"),
        ("ACCELERATE_MIXED_PRECISION", "bf16", "precision"),
    ],
)
def test_what_a_launch_asks_for_and_would_not_be_done_is_refused(
    variable, value, words, start_folder, tmp_path, monkeypatch
):
    from accelerate.state import AcceleratorState, PartialState

    monkeypatch.setenv(variable, value)
    AcceleratorState._reset_state(True)
    try:
        with pytest.raises(UsageError, match=words):
            train(small(tmp_path / "out", start_folder), quiet=True)
    finally:
        monkeypatch.delenv(variable)
        AcceleratorState._reset_state(True)
        PartialState._reset_state()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "fields, name",
    [
        ({"validate_samples": 0}, "validate_samples"),
        ({"learning_rate": -1e-4}, "learning_rate"),
        ({"warmup": -1}, "warmup"),
        ({"weight_decay": -0.1}, "weight_decay"),
        ({"gradient_clip": -1.0}, "gradient_clip"),
        ({"ema_decay": 1.5}, "ema_decay"),
        ({"seed": -1}, "seed"),
        ({"data": {"workers": -1}}, "data.workers"),
        ({"data": {"pool": -5}}, "data.pool"),
        ({"data": {"size": 65}}, "data.size"),
        ({"loss": {"min_snr": 0.0}}, "loss.min_snr"),
        ({"loss": {"kl": -1.0}}, "loss.kl"),
        ({"model": {"unet_channels": [64, 0]}}, "model.unet_channels"),
        ({"model": {"text_layers": 0}}, "model.text_layers"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"learing_rate": 1e-3}, "learning_rate"),
    ],
)
def test_a_wrong_field_is_named_before_anything_loads(
    fields, name, start_folder, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(loop, "build_stage", lambda config: pytest.fail("something was loaded"))
    values = {
        "stage": "generator",
        "output": str(tmp_path / "out"),
        "steps": 2,
        "init": str(start_folder),
        **fields,
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert main(["train", "--config", str(path)]) == 2
    assert name in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_name_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("stage: vae\noutput: out\nsteps: 5\ndata:\n  size: 64\n  size: 32\n", encoding="utf-8")
    with pytest.raises(UsageError, match="`size` once .*line 5"):
        load_config(path)


def test_a_stop_before_the_first_step_is_refused(start_folder, tmp_path, capsys):
    path = tmp_path / "config.yaml"
    path.write_text(
        yaml.safe_dump(json.loads(json.dumps(to_dict(small(tmp_path / "out", start_folder))))),
        encoding="utf-8",
    )
    assert main(["train", "--config", str(path), "--stop-at", "-3"]) == 2
    assert "--stop-at" in capsys.readouterr().err and not (tmp_path / "out").exists()


def killed_at_3(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_killed_maker_of_samples_is_said():
    batches = prefetch(killed_at_3, range(6), 1, ahead=1)
    assert [next(batches), next(batches)] == [0, 1]
    with pytest.raises(MakerKilled, match="data.workers"):
        list(batches)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_saves_first_and_says_how_to_go_on(name, start_folder, tmp_path):
    config = small(tmp_path / "out", start_folder, steps=100_000, checkpoint_every=90_000)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(to_dict(config)))), encoding="utf-8")
    command = [sys.executable, str(TRAIN), "--config", str(path)]
    number = getattr(signal, name)
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, encoding="utf-8", start_new_session=True
    ) as process:
        log = tmp_path / "out" / "log.jsonl"
        while not (log.is_file() and log.read_text(encoding="utf-8")):
            assert process.poll() is None, process.stderr.read()[-3000:]
            time.sleep(0.02)
        os.killpg(process.pid, number)
        _, errors = process.communicate(timeout=120)
    (checkpoint,) = checkpoints(tmp_path / "out")
    step = int(checkpoint.name.removeprefix("step-"))
    assert process.returncode == 128 + number and find_fault(checkpoint) == ""
    assert f"stopped by {name} after step {step}, which is saved: go on with --resume" in errors
    done = train(dataclasses.replace(config, steps=step + 2), resume=True, quiet=True)
    assert (done / "model" / "unet").is_dir()
