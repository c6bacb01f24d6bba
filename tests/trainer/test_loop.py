"""Whole runs of every stage, very small: they export models that load, and killed ones resume exactly."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from instructdiffusion.models.loading import load_components
from instructdiffusion.trainer import vae_stage
from instructdiffusion.trainer.checkpoints import checkpoints
from instructdiffusion.trainer.config import DataConfig, LossConfig, ModelConfig, TrainConfig, to_dict
from instructdiffusion.trainer.loop import train

TRAIN = Path(__file__).parents[2] / "training" / "train.py"
STAGES = ("vae", "generator", "marks", "instruct")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch")


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    """Exactness is promised on one kind of device; and exporting need not measure 512 pictures here."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    real = vae_stage.pictures
    monkeypatch.setattr(vae_stage, "pictures", lambda c, s, n, *rest: real(c, s, min(n, 8), *rest))


def small(stage: str, output: Path, init: Path | None = None, **changes) -> TrainConfig:
    data = DataConfig(mixture={"segment": 1, "edit": 1}, level=0, pool=64, patches=0.5, workers=0)
    values = {
        "steps": 4,
        "init": None if init is None else str(init),
        "batch_size": 4,
        "optimizer": "muon",
        "learning_rate": 1e-3,
        "warmup": 2,
        "decay_fraction": 0.5,
        "gradient_clip": 1.0,
        "ema_decay": 0.9,
        "validate_every": 100,
        "validate_samples": 1,
        "checkpoint_every": 2,
        "model": ModelConfig((32, 32, 32), 1, (32, 32, 32), 1, None, 64, 1),
        "data": data,
        "loss": LossConfig(min_snr=5.0, changed=2.0, drop_text=0.2, drop_image=0.2),
    }
    return TrainConfig(stage, str(output), **(values | changes))


def weights(output: Path) -> dict[str, bytes]:
    """Every file of an exported model."""
    folder = output / "model"
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Where the runs lie: the pool is made beside them once."""
    return tmp_path_factory.mktemp("runs")


@pytest.mark.parametrize("stage", STAGES)
def test_a_resumed_run_ends_with_the_unbroken_ones_weights(stage, shared, start_folder):
    init = None if stage == "vae" else start_folder
    whole = train(small(stage, shared / f"{stage}-whole", init), quiet=True)
    broken = small(stage, shared / f"{stage}-broken", init)
    train(broken, stop_at=2, quiet=True)
    assert not (shared / f"{stage}-broken" / "model").exists()
    torch.rand(3)  # what the process draws in between changes nothing
    train(broken, resume=True, quiet=True)
    expected = weights(whole)
    assert expected and weights(Path(broken.output)) == expected


def test_the_stages_follow_one_another_and_the_last_one_answers(tmp_path, monkeypatch):
    monkeypatch.setattr("instructdiffusion.trainer.words._PER_TASK", 3)
    init = None
    for stage in STAGES:
        output = train(small(stage, tmp_path / stage, init, steps=2, validate_every=1), quiet=True)
        init = output / "model"
        lines = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines if line["kind"] == "validation"] == [1, 2]
        assert sorted(p.name for p in (output / "validation").iterdir()) == ["00000001.png", "00000002.png"]
        with Image.open(output / "validation" / "00000002.png") as sheet:
            assert sheet.height >= 64 and sheet.width >= 64
        assert list((output / "tensorboard").iterdir())
    model = load_components(init)
    assert (model.prediction_type, model.resolution, model.unet.config.in_channels) == ("v_prediction", 64, 8)
    assert {"segment", "edit"} <= lines[-1].keys()  # a figure a task
    for before, after in zip(STAGES[1:], STAGES[2:]):  # words and autoencoder are handed on as they are
        for name in ("vae/diffusion_pytorch_model.safetensors", "tokenizer/vocab.json"):
            assert weights(tmp_path / before)[name] == weights(tmp_path / after)[name]


def test_a_run_is_neither_started_twice_nor_resumed_as_another(shared, start_folder):
    output = shared / "refusals"
    config = small("generator", output, start_folder)
    with pytest.raises(FileNotFoundError, match="leave out --resume"):
        train(config, resume=True, quiet=True)
    train(config, stop_at=1, quiet=True)
    before = sorted(p.name for p in output.iterdir())
    with pytest.raises(FileExistsError, match="--resume"):
        train(config, quiet=True)
    for stage in ("marks", "instruct"):
        with pytest.raises(ValueError, match=f"is of stage 'generator', the config says '{stage}'"):
            train(dataclasses.replace(config, stage=stage), resume=True, quiet=True)
    with pytest.raises(ValueError, match="is of another model"):
        wider = dataclasses.replace(config.model, unet_channels=(64, 32, 32))
        train(dataclasses.replace(config, model=wider), resume=True, quiet=True)
    with pytest.raises(ValueError, match="is of another model"):
        deeper = dataclasses.replace(config.model, text_layers=2)
        train(dataclasses.replace(config, model=deeper), resume=True, quiet=True)
    assert sorted(p.name for p in output.iterdir()) == before


def test_a_stage_without_its_predecessor_says_so(tmp_path):
    with pytest.raises(ValueError, match="set `init`"):
        train(small("instruct", tmp_path / "out"), quiet=True)
    with pytest.raises(FileNotFoundError, match="run the earlier stage first"):
        train(small("marks", tmp_path / "out", tmp_path), quiet=True)


def test_a_diverging_run_stops_before_it_writes_a_checkpoint(tmp_path):
    config = small(
        "vae", tmp_path / "out", learning_rate=1e30, optimizer="adamw", gradient_clip=0.0, warmup=0
    )
    with pytest.raises(FloatingPointError, match="lower `learning_rate`"):
        train(dataclasses.replace(config, steps=6, checkpoint_every=6, decay_fraction=0.0), quiet=True)
    assert checkpoints(tmp_path / "out") == []


def test_the_instruct_stage_starts_from_the_answers_of_the_stage_before(start_folder, tmp_path):
    """Widening the input changes no answer, whatever picture is shown."""
    from instructdiffusion.trainer.loop import build_stage

    plain = build_stage(small("generator", tmp_path, start_folder))
    wide = build_stage(small("instruct", tmp_path, start_folder))
    generator = torch.Generator().manual_seed(0)
    x, picture = torch.randn(2, 2, 4, 16, 16, generator=generator)
    words = torch.randn(2, 48, 64, generator=generator)
    t = torch.tensor([3, 999])
    with torch.no_grad():
        expected = plain.unet(x, t, words).sample
        answer = wide.unet(torch.cat([x, 50 * picture], 1), t, words).sample
    torch.testing.assert_close(answer, expected, atol=1e-5, rtol=1e-5)


def test_building_a_stage_leaves_the_global_generator_alone(start_folder, tmp_path):
    from instructdiffusion.trainer.loop import build_stage

    before = torch.random.get_rng_state()
    first = build_stage(small("generator", tmp_path, start_folder))
    torch.rand(5)
    again = build_stage(small("generator", tmp_path, start_folder))
    other = build_stage(small("generator", tmp_path, start_folder, seed=1))
    torch.random.set_rng_state(before)
    name = "unet.mid_block.resnets.0.conv1.weight"
    assert torch.equal(first.state_dict()[name], again.state_dict()[name])
    assert not torch.equal(first.state_dict()[name], other.state_dict()[name])


def test_pictures_of_a_step_depend_on_the_step_alone(tmp_path):
    config = small("vae", tmp_path)
    first = vae_stage.pictures(config, 3, 4)
    vae_stage.pictures(config, 4, 4)
    assert np.array_equal(first, vae_stage.pictures(config, 3, 4))
    assert first.shape == (4, 64, 64, 3) and first.dtype == np.uint8
    assert not np.array_equal(first, vae_stage.pictures(config, 4, 4))


def _start(config: TrainConfig, folder: Path, *arguments: str) -> subprocess.Popen:
    path = folder / f"{Path(config.output).name}.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(to_dict(config)))))
    command = [sys.executable, str(TRAIN), "--config", str(path), *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _finish(process: subprocess.Popen) -> None:
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors[-3000:]


@pytest.mark.slow
def test_a_run_killed_in_mid_training_resumes_to_identical_weights(tmp_path, start_folder):
    """The real command line, SIGKILL after a checkpoint, --resume: byte for byte the unbroken run's model."""
    whole = small("instruct", tmp_path / "whole", start_folder, steps=30, checkpoint_every=3)
    killed = dataclasses.replace(whole, output=str(tmp_path / "killed"))
    _finish(_start(whole, tmp_path))

    process = _start(killed, tmp_path)
    while not checkpoints(killed.output):
        assert process.poll() is None, process.stderr.read()[-3000:]
        time.sleep(0.002)
    time.sleep(0.05)  # into the steps after it
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stderr.close()
    reached = json.loads((checkpoints(killed.output)[-1] / "state.json").read_text())["step"]
    assert 3 <= reached < 30 and not (tmp_path / "killed" / "model").exists()

    _finish(_start(killed, tmp_path, "--resume"))
    expected = weights(tmp_path / "whole")
    assert {"unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"} <= expected.keys()
    assert weights(tmp_path / "killed") == expected
    fresh = small("instruct", tmp_path, start_folder)
    assert expected["unet/diffusion_pytorch_model.safetensors"] != _initial(fresh, tmp_path / "initial")


def _initial(config: TrainConfig, folder: Path) -> bytes:
    from instructdiffusion.trainer.loop import build_stage

    build_stage(config).unet.save_pretrained(folder)
    return (folder / "diffusion_pytorch_model.safetensors").read_bytes()
