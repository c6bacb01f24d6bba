"""Whole runs of every stage, very small: they export models that load, and killed ones resume exactly."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from accelerate import Accelerator
from PIL import Image
from safetensors.torch import load_file, save_file

from instructdiffusion.models.loading import load_components
from instructdiffusion.trainer import vae_stage
from instructdiffusion.trainer.checkpoints import checkpoints, read_state
from instructdiffusion.trainer.config import DataConfig, LossConfig, ModelConfig, TrainConfig, to_dict
from instructdiffusion.trainer.loop import _Log, build_stage, check_begun, check_resumed, train
from instructdiffusion.trainer.randomness import shuffled_indices

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


def events(output: Path):
    """What TensorBoard reads of a run."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(output / "tensorboard")).Reload()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Where the runs lie: the pool is made beside them once."""
    return tmp_path_factory.mktemp("runs")


@pytest.mark.parametrize("stage", STAGES)
def test_a_resumed_run_ends_with_the_unbroken_ones_weights(stage, shared, start_folder, generator_folder):
    init = {"vae": None, "generator": start_folder}.get(stage, generator_folder)
    whole = train(small(stage, shared / f"{stage}-whole", init), quiet=True)
    broken = small(stage, shared / f"{stage}-broken", init)
    train(broken, stop_at=2, quiet=True)
    assert not (shared / f"{stage}-broken" / "model").exists()
    torch.rand(3)  # what the process draws in between changes nothing
    train(broken, resume=True, quiet=True)
    expected = weights(whole)
    assert expected and weights(Path(broken.output)) == expected


def test_the_stages_follow_one_another_and_the_last_one_answers(tmp_path, monkeypatch):
    monkeypatch.setattr("instructdiffusion.trainer.tokenizer_corpus._PER_TASK", 3)
    init = None
    for stage in STAGES:
        output = train(small(stage, tmp_path / stage, init, steps=2, validate_every=1), quiet=True)
        init = output / "model"
        lines = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines if line["kind"] == "validation"] == [1, 2]
        assert sorted(p.name for p in (output / "validation").iterdir()) == ["00000001.png", "00000002.png"]
        with Image.open(output / "validation" / "00000002.png") as sheet:
            assert sheet.height >= 64 and sheet.width >= 64
        board = events(output)
        assert board.Tags()["images"] == ["validation"]
        assert [shown.step for shown in board.Images("validation")] == [1, 2]
        assert {"validation/hours"} | {
            f"validation/{k}" for k in lines[-1].keys() - {"kind", "step", "hours"}
        } == {*board.Tags()["scalars"]}
    model = load_components(init)
    assert (model.prediction_type, model.resolution, model.unet.config.in_channels) == ("v_prediction", 64, 8)
    assert {"segment", "edit"} <= lines[-1].keys()  # a figure a task
    for before, after in zip(STAGES[1:], STAGES[2:]):  # words and autoencoder are handed on as they are
        for name in ("vae/diffusion_pytorch_model.safetensors", "tokenizer/vocab.json"):
            assert weights(tmp_path / before)[name] == weights(tmp_path / after)[name]


def test_the_log_is_what_tensorboard_shows(tmp_path):
    log = _Log(tmp_path)
    sheet = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    for step in (20, 40):
        log.scalars("train", step, {"loss": 1 / step, "lr": 0.5})
    log.picture(40, sheet)
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[1] == {"kind": "train", "step": 40, "loss": 0.025, "lr": 0.5}
    assert np.array_equal(np.asarray(Image.open(tmp_path / "validation" / "00000040.png")), sheet)
    assert [p.name for p in (tmp_path / "validation").iterdir()] == ["00000040.png"]
    board = events(tmp_path)
    assert sorted(board.Tags()["scalars"]) == ["train/loss", "train/lr"]
    assert [(e.step, round(e.value, 4)) for e in board.Scalars("train/loss")] == [(20, 0.05), (40, 0.025)]
    (shown,) = board.Images("validation")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(shown.encoded_image_string))), sheet)


def test_a_log_without_tensorboard_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    log = _Log(tmp_path)
    log.scalars("train", 20, {"loss": 0.5})
    log.close()
    assert "note: no TensorBoard" in capsys.readouterr().out and not (tmp_path / "tensorboard").exists()
    assert json.loads((tmp_path / "log.jsonl").read_text()) == {"kind": "train", "step": 20, "loss": 0.5}


@pytest.mark.parametrize("prediction", ["epsilon", "sample"])
def test_other_predictions_are_trained_and_exported(prediction, shared, generator_folder):
    from instructdiffusion import InstructDiffusion

    config = small("instruct", shared / prediction, generator_folder)
    loss = dataclasses.replace(config.loss, prediction=prediction)
    output = train(dataclasses.replace(config, loss=loss), quiet=True)
    model = InstructDiffusion.from_pretrained(output / "model", device="cpu")
    assert model.components.prediction_type == prediction
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert model.edit(picture, "add a red star", steps=2).picture.shape == picture.shape


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
    with pytest.raises(ValueError, match="is of model.unet_channels"):
        wider = dataclasses.replace(config.model, unet_channels=(64, 32, 32))
        train(dataclasses.replace(config, model=wider), resume=True, quiet=True)
    assert sorted(p.name for p in output.iterdir()) == before


def test_a_stage_without_its_predecessor_says_so(tmp_path):
    with pytest.raises(ValueError, match="set `init`"):
        train(small("instruct", tmp_path / "out"), quiet=True)
    with pytest.raises(FileNotFoundError, match="run the earlier stage first"):
        train(small("marks", tmp_path / "out", tmp_path), quiet=True)


@pytest.mark.parametrize("stage", ["marks", "instruct"])
@pytest.mark.parametrize("part", ["unet", "text_encoder"])
def test_the_later_stages_need_a_trained_generator(part, stage, generator_folder, tmp_path):
    from instructdiffusion.trainer.loop import build_stage

    init = shutil.copytree(generator_folder, tmp_path / "init")
    shutil.rmtree(init / part)
    with pytest.raises(FileNotFoundError, match=f"expected .*/{part}: stage '{stage}'"):
        build_stage(small(stage, tmp_path / "out", init))


def test_a_run_does_not_go_on_with_other_samples(shared, start_folder, tmp_path, monkeypatch):
    """Its checkpoint names the pool that it began with; other code, or another autoencoder, would make another."""
    from instructdiffusion.trainer import pool_folder as pool

    init = shutil.copytree(start_folder, tmp_path / "init")
    config = small("generator", shared / "samples", init)
    train(config, stop_at=1, quiet=True)
    state = read_state(checkpoints(shared / "samples")[-1])
    assert (state["device"], state["processes"]) == ("cpu", 1)
    assert (shared / state["pool"]).is_dir() and state["pool"].startswith("pool-")
    before = sorted(p.name for p in shared.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(pool, "samples_version", lambda sources=False: "another")
        with pytest.raises(ValueError, match=f"began with the samples of {state['pool']}.*start anew"):
            train(config, resume=True, quiet=True)
    vocabulary = init / "tokenizer" / "vocab.json"
    whole = vocabulary.read_bytes()
    vocabulary.write_bytes(whole + b"\n")
    with pytest.raises(ValueError, match="autoencoder or tokenizer in .*init, is another one"):
        train(config, resume=True, quiet=True)
    vocabulary.write_bytes(whole)
    assert sorted(p.name for p in shared.iterdir()) == before  # no other pool was begun
    train(dataclasses.replace(config, steps=2), resume=True, quiet=True)


def test_another_machine_is_told_of():
    now = {"device": "cpu", "processes": 1, "untrained": "a"}
    assert check_begun({"step": 3}, now, "step-3") == []  # from before checkpoints said it
    assert check_begun(now, now, "step-3") == []
    device, processes = check_begun({"device": "cuda", "processes": 2}, now, "step-3")
    assert "`device` was cuda in step-3, and is cpu" in device and "to the last bit" in device
    assert "`processes` was 2 in step-3, and is 1" in processes


def test_a_run_does_not_go_on_beside_other_weights(shared, start_folder, tmp_path):
    """A decoder is trained on latents of an encoder that its checkpoints do not hold."""
    init = shutil.copytree(start_folder, tmp_path / "init")
    config = small("vae", tmp_path / "out", init)
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, vae_decoder_only=True))
    train(config, stop_at=1, quiet=True)
    path = init / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    tensors["encoder.conv_in.weight"] += 1e-3
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(
        ValueError, match="step-00000001 was trained beside other weights than `init` holds now"
    ):
        train(config, resume=True, quiet=True)
    train(dataclasses.replace(config, init=str(start_folder), steps=2), resume=True, quiet=True)


def test_the_text_encoder_alone_learns_other_words(shared, generator_folder):
    """The UNet stays what it was, and a run that was stopped and resumed still ends as an unbroken one."""
    first = small("instruct", shared / "follows", generator_folder, steps=2)
    train(first, quiet=True)
    init = shared / "follows" / "model"
    config = small("instruct", shared / "words", init, data=dataclasses.replace(first.data, wordings=3))
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, text_encoder_only=True))
    train(config, quiet=True)
    before, after = load_components(init), load_components(shared / "words" / "model")
    for name, weight in before.unet.state_dict().items():
        torch.testing.assert_close(after.unet.state_dict()[name], weight, rtol=1e-6, atol=1e-7)
    old, new = before.text_encoder.state_dict(), after.text_encoder.state_dict()
    assert any(not torch.equal(old[name], new[name]) for name in old)
    (newest,) = checkpoints(shared / "words")[-1:]
    assert all(name.startswith("text_encoder.") for name in load_file(newest / "weights.safetensors"))
    halves = dataclasses.replace(config, output=str(shared / "halves"))
    train(halves, stop_at=2, quiet=True)
    train(halves, resume=True, quiet=True)
    assert weights(shared / "halves") == weights(shared / "words")


def test_a_unet_that_follows_no_instructions_gets_no_words_alone(generator_folder, tmp_path):
    config = small("instruct", tmp_path, generator_folder)
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, text_encoder_only=True))
    with pytest.raises(ValueError, match="8 input channels.* has 4: set `init`"):
        train(config, quiet=True)


def test_a_step_sees_one_wording_of_a_sample_and_always_the_same(shared, generator_folder):
    config = small("instruct", shared / "ways", generator_folder, batch_size=16)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, wordings=3))
    stage = build_stage(config)
    stage.prepare_data(Accelerator(cpu=True))
    ways = torch.cat([stage.pool.parts["text"][:, None], stage.pool.parts["others"]], 1).long()
    seen = set()
    for step in range(8):
        batch = stage.samples(step)
        chosen = shuffled_indices(config.seed, step * 16, 16, len(stage.pool))
        equal = (ways[torch.from_numpy(chosen)] == batch["text"][:, None]).all(2)
        assert equal.any(1).all() and "others" not in batch
        assert torch.equal(stage.samples(step)["text"], batch["text"])
        seen |= set(equal.int().argmax(1).tolist())
    assert seen == {0, 1, 2}


def test_what_a_resumed_run_may_change(tmp_path):
    config = small("vae", tmp_path)
    saved = json.loads(json.dumps(to_dict(config)))
    assert check_resumed(saved, config, "step-1") == []
    free = {"output": "b", "init": "c", "keep_checkpoints": 9, "checkpoint_every": 9, "validate_every": 9}
    data = dataclasses.replace(config.data, workers=7)
    other = dataclasses.replace(config, **free, validate_samples=9, data=data)
    assert check_resumed(saved, other, "step-1") == []
    shorter = dataclasses.replace(config, steps=3, decay_fraction=0.25)
    steps, decay = check_resumed(saved, shorter, "step-1")
    assert "`steps` was 4 in step-1, and is 3" in steps and "`decay_fraction` was 0.5" in decay
    del saved["weight_decay"], saved["loss"]["kl"]  # a checkpoint from before there was such a field
    assert check_resumed(saved, config, "step-1") == []


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        (None, "seed", 5), (None, "batch_size", 8), (None, "optimizer", "adamw"), (None, "learning_rate", 0.5),
        (None, "warmup", 9), (None, "ema_decay", 0.5), ("data", "pool", 128), ("data", "seed", 3),
        ("data", "mixture", {"edit": 1, "segment": 1}), ("loss", "changed", 0.0), ("model", "text_layers", 2),
    ],
)  # fmt: skip
def test_what_a_resumed_run_may_not_change(part, name, value, tmp_path):
    config = small("vae", tmp_path)
    saved = json.loads(json.dumps(to_dict(config)))
    values = (
        {name: value} if part is None else {part: dataclasses.replace(getattr(config, part), **{name: value})}
    )
    full = name if part is None else f"{part}.{name}"
    with pytest.raises(ValueError, match=f"step-1 is of {full} .*start anew"):
        check_resumed(saved, dataclasses.replace(config, **values), "step-1")


def test_processes_see_different_pictures_that_make_one_batch(tmp_path):
    from types import SimpleNamespace

    stage = vae_stage.VaeStage(small("vae", tmp_path, batch_size=5))
    alone = stage.maker()(3)
    shares = []
    for rank in range(2):
        stage.prepare_data(SimpleNamespace(process_index=rank, num_processes=2))
        shares.append(stage.maker()(3))
    assert [len(s) for s in (alone, *shares)] == [5, 3, 2]
    assert not any(np.array_equal(a, b) for a in shares[0] for b in shares[1])


@pytest.mark.parametrize("kind", ["vae", "generator"])
def test_an_export_that_fails_leaves_the_model_before_whole(kind, start_folder, tmp_path, monkeypatch):
    from instructdiffusion.trainer.loop import build_stage

    stage = build_stage(small(kind, tmp_path, None if kind == "vae" else start_folder))
    stage.export(tmp_path / "model")
    before = weights(tmp_path)

    def full(*_, **__):
        raise OSError("No space left on device")

    module = "diffusers.AutoencoderKL" if kind == "vae" else "transformers.CLIPTextModel"
    monkeypatch.setattr(f"{module}.save_pretrained", full)
    with pytest.raises(OSError, match="No space left"):
        stage.export(tmp_path / "model")
    assert weights(tmp_path) == before and [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_tokenizer_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    from instructdiffusion.trainer import tokenizer_corpus

    monkeypatch.setattr(tokenizer_corpus, "_PER_TASK", 1)

    def broken(sentences, folder):
        (folder / "vocab.json").write_text("{")
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(tokenizer_corpus, "write_tokenizer", broken)
        with pytest.raises(OSError, match="No space left"):
            tokenizer_corpus.ensure_tokenizer(tmp_path, DataConfig(level=0))
    assert list(tmp_path.iterdir()) == []
    tokenizer_corpus.ensure_tokenizer(tmp_path, DataConfig(level=0))
    assert [p.name for p in tmp_path.iterdir()] == ["tokenizer"] and (
        tmp_path / "tokenizer" / "vocab.json"
    ).is_file()


def test_a_diverging_run_stops_before_it_writes_a_checkpoint(tmp_path):
    config = small(
        "vae", tmp_path / "out", learning_rate=1e30, optimizer="adamw", gradient_clip=0.0, warmup=0
    )
    with pytest.raises(FloatingPointError, match="lower `learning_rate`"):
        train(dataclasses.replace(config, steps=6, checkpoint_every=6, decay_fraction=0.0), quiet=True)
    assert checkpoints(tmp_path / "out") == []


def test_the_instruct_stage_starts_from_the_answers_of_the_stage_before(generator_folder, tmp_path):
    """Widening the input changes no answer, whatever picture is shown."""
    from instructdiffusion.trainer.loop import build_stage

    plain = build_stage(small("generator", tmp_path, generator_folder))
    wide = build_stage(small("instruct", tmp_path, generator_folder))
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


LAUNCHERS = {
    "python": (),
    "accelerate": (
        *("-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1", "--num_machines", "1"),
        *("--mixed_precision", "no", "--dynamo_backend", "no", "--num_cpu_threads_per_process", "1"),
    ),
}


def _start(config: TrainConfig, folder: Path, launcher: str, *arguments: str) -> subprocess.Popen:
    path = folder / f"{Path(config.output).name}.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(to_dict(config)))))
    command = [sys.executable, *LAUNCHERS[launcher], str(TRAIN), "--config", str(path), *arguments]
    # A group of its own, so that the launcher and the process that it starts are killed at once.
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def _finish(process: subprocess.Popen) -> None:
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_run_killed_in_mid_training_resumes_to_identical_weights(launcher, tmp_path, generator_folder):
    """The real command line, SIGKILL after a checkpoint, --resume: byte for byte the unbroken run's model."""
    whole = small("instruct", tmp_path / "whole", generator_folder, steps=30, checkpoint_every=3)
    killed = dataclasses.replace(whole, output=str(tmp_path / "killed"))
    _finish(_start(whole, tmp_path, launcher))

    process = _start(killed, tmp_path, launcher)
    while not checkpoints(killed.output):
        assert process.poll() is None, process.stderr.read()[-3000:]
        time.sleep(0.002)
    time.sleep(0.05)  # into the steps after it
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stderr.close()
    reached = json.loads((checkpoints(killed.output)[-1] / "state.json").read_text())["step"]
    assert 3 <= reached < 30 and not (tmp_path / "killed" / "model").exists()

    _finish(_start(killed, tmp_path, launcher, "--resume"))
    expected = weights(tmp_path / "whole")
    assert {"unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"} <= expected.keys()
    assert weights(tmp_path / "killed") == expected
    fresh = small("instruct", tmp_path, generator_folder)
    assert expected["unet/diffusion_pytorch_model.safetensors"] != _initial(fresh, tmp_path / "initial")


def _initial(config: TrainConfig, folder: Path) -> bytes:
    from instructdiffusion.trainer.loop import build_stage

    build_stage(config).unet.save_pretrained(folder)
    return (folder / "diffusion_pytorch_model.safetensors").read_bytes()
