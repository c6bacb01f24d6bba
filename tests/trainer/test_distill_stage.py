"""Distillation on a small random teacher: its lessons are what they say, the loss falls, runs resume exactly."""

from __future__ import annotations

import dataclasses
import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from instructdiffusion import InstructDiffusion
from instructdiffusion.sampling import Row, instructdiffusion
from instructdiffusion.trainer.config import (
    DataConfig,
    DistillConfig,
    LossConfig,
    ModelConfig,
    TrainConfig,
    load_config,
)
from instructdiffusion.trainer.distill_stage import (
    Teacher,
    ddim_denoised,
    ddim_step,
    denoised_of,
    prediction_of,
)
from instructdiffusion.trainer.loop import build_stage, train

KINDS = ("epsilon", "v_prediction", "sample")
CONFIGS = Path(__file__).parents[2] / "training" / "configs"
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch")


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    """Exactness is promised on one kind of device."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")


@pytest.fixture(scope="module")
def teacher_folder(generator_folder, tmp_path_factory):
    """An instruct stage's folder whose random UNet looks at the picture, so that its branches differ."""
    folder = tmp_path_factory.mktemp("teacher") / "model"
    sizes = ModelConfig((32, 32, 32), 1, (32, 32, 32), 1, None, 64, 1)
    stage = build_stage(TrainConfig("instruct", "out", 1, init=str(generator_folder), model=sizes))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        weight = stage.unet.conv_in.weight
        weight[:, 4:] = 0.3 * torch.randn(weight[:, 4:].shape, generator=generator)
        weight = stage.unet.conv_out.weight
        weight.copy_(0.3 * torch.randn(weight.shape, generator=generator))
    stage.export(folder)
    return folder


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Where the runs lie: the pool is made beside them once."""
    return tmp_path_factory.mktemp("runs")


def small(kind: str, output: Path, init: Path | None, **changes) -> TrainConfig:
    values = {
        "steps": 4,
        "init": None if init is None else str(init),
        "batch_size": 2,
        "learning_rate": 1e-3,
        "warmup": 0,
        "ema_decay": 0.9,
        "validate_every": 100,
        "validate_samples": 1,
        "checkpoint_every": 2,
        "data": DataConfig(mixture={"segment": 1, "edit": 1}, level=0, pool=8, workers=0),
        "loss": LossConfig(changed=2.0, last_step=0.5, last_step_other=0.2),
        "distill": DistillConfig(kind, {"edit": (3.0, 1.5)}, steps=2, teacher_steps=4),
    }
    return TrainConfig("distill", str(output), **(values | changes))


def ready(config: TrainConfig):
    """The stage with its pool, without a run."""
    stage = build_stage(config)
    stage.prepare_data(
        SimpleNamespace(
            main_process_first=nullcontext,
            is_main_process=False,
            process_index=0,
            num_processes=1,
            device="cpu",
        )
    )
    return stage


@pytest.mark.parametrize("kind", KINDS)
def test_a_prediction_and_its_clean_latent_say_the_same(kind):
    x, denoised = torch.randn(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    level = torch.tensor([0.01, 0.5, 0.99])[:, None, None, None]
    prediction = prediction_of(denoised, x, level, kind)
    torch.testing.assert_close(denoised_of(prediction, x, level, kind), denoised, atol=1e-4, rtol=1e-4)


def test_clean_latents_agree_with_the_sampler():
    """denoised_of is the sampler's own conversion, and ddim_step its Euler row, in the other scale."""
    x, prediction = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    for kind in KINDS:
        here, there = torch.tensor([0.2]), torch.tensor([0.7])
        sigma, after = ((1 - here) / here).sqrt().item(), ((1 - there) / there).sqrt().item()
        row = Row(sigma, after, 0.0, (1.0, 0.0, 0.0, 0.0), after / sigma, (1.0 - after / sigma,))
        coefs = row.coefs(kind)
        wide = x / here.sqrt()  # variance exploding
        denoised = coefs.skip * wide + coefs.out * prediction
        torch.testing.assert_close(denoised_of(prediction, x, here, kind), denoised)
        expected = (coefs.x * wide + coefs.d[0] * denoised) * there.sqrt()
        torch.testing.assert_close(ddim_step(denoised, x, here, there), expected)


@pytest.mark.parametrize("there", [0.4, 0.9, 1.0])
def test_one_step_leads_where_several_did(there):
    x, arrived = torch.randn(2, 2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    here, end = torch.tensor(0.1), torch.tensor(there)
    denoised = ddim_denoised(x, arrived, here, end)
    torch.testing.assert_close(ddim_step(denoised, x, here, end), arrived, atol=1e-5, rtol=1e-5)


def test_the_teacher_is_guided_as_the_sampler_guides(teacher_folder):
    """Against UNetDenoiser and the weights of a plan's row, for a batch whose tasks have different scales."""
    from instructdiffusion.sampling import UNetDenoiser

    model = InstructDiffusion.from_pretrained(teacher_folder, device="cpu")
    backend, parts = model.backend, model.components
    generator = torch.Generator().manual_seed(0)
    x, source = torch.randn(2, 2, 4, 16, 16, generator=generator)
    ids = parts.tokenizer(["add a red star", "remove it"], padding="max_length", max_length=48)
    null = parts.tokenizer([""], padding="max_length", max_length=48)
    weights = torch.tensor([instructdiffusion(3, 1.5)(1.0)[:3], (1.0, 0.0, 0.0)])
    words, empty = torch.tensor(ids.input_ids), torch.tensor(null.input_ids)
    t = torch.tensor([500, 500])
    got = Teacher(parts.unet, parts.text_encoder, source, words, empty, weights).predict(x, t)
    denoiser = UNetDenoiser(
        *(parts.unet, source, backend.encode_prompt(["add a red star", "remove it"]), backend.encode_prompt([""])),
        "v_prediction",
    )
    with torch.inference_mode():
        row = SimpleNamespace(t=500.0)
        branches = denoiser.predict(x, row, ("full", "image_only", "text_only"))
    full, image, text = branches
    expected = 0.5 * (image + text) + 3 * (full - image) + 1.5 * (full - text)
    torch.testing.assert_close(got[0], expected[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(got[1], full[1], atol=1e-5, rtol=1e-5)
    assert float((expected[0] - full[0]).abs().max()) > 0.05  # the guidance has something to say


@pytest.mark.parametrize("kind", ["guidance", "steps"])
def test_the_student_learns_its_lessons(kind, shared, teacher_folder):
    config = small(kind, shared / "lessons", teacher_folder)
    stage = ready(config)
    batch = stage.samples(0)
    batch["task"][:] = batch["task"].max()  # all are edits
    with torch.no_grad():
        before = stage(batch, 0)[0].item()
    optimizer = torch.optim.AdamW(stage.parameters(), lr=2e-3)
    for _ in range(12):
        optimizer.zero_grad()
        stage(batch, 0)[0].backward()
        optimizer.step()
    with torch.no_grad():
        after = stage(batch, 0)[0].item()
    assert before > 1e-3 and after < 0.5 * before
    teacher = stage.frozen["unet"]
    assert all(p.grad is None for p in teacher.parameters())


def test_a_steps_samples_are_taught_in_the_share_asked_for(shared, teacher_folder):
    for share, count in ((0.5, 4), (0.25, 2), (1.0, 8)):
        distill = DistillConfig("guidance", {"edit": None}, share=share)
        stage = ready(small("guidance", shared / "share", teacher_folder, distill=distill, batch_size=8))
        batches = [stage.samples(step) for step in range(4)]
        assert [int(stage.taught[b["task"]].sum()) for b in batches] == [count] * 4
        again = stage.samples(2)
        assert all(torch.equal(again[name], value) for name, value in batches[2].items())
        parts = stage.pool.parts
        edits = parts["target"][stage.taught[parts["task"].long()]].float()
        seen = torch.cat([b["target"][stage.taught[b["task"]]] for b in batches])
        found = {int((edits == row).flatten(1).all(1).nonzero()[0, 0]) for row in seen}
        assert len(found) == min(len(edits), 4 * count)  # all have their turn before one comes again


def test_a_student_that_is_asked_for_nothing_new_has_nothing_to_learn(shared, teacher_folder):
    """Plain guidance and one timestep: the student is its teacher, so the lesson is what it says already."""
    distill = DistillConfig("guidance", {"edit": None, "segment": None})
    stage = ready(small("guidance", shared / "nothing", teacher_folder, distill=distill))
    with torch.no_grad():
        loss, figures = stage(stage.samples(0), 0)
    assert float(loss) < 1e-8 and set(figures) == {"taught"}


def test_tasks_without_a_teacher_learn_from_the_truth(shared, teacher_folder):
    """Where no sample is taught, the loss is the instruct stage's, dropout aside."""
    loss = LossConfig(changed=2.0, last_step=1.0, last_step_other=1.0, drop_text=0.0, drop_image=0.0)
    stage = ready(small("guidance", shared / "kept", teacher_folder, loss=loss))
    batch = stage.samples(0)
    batch["task"][:] = 0  # segment
    with torch.no_grad():
        value, figures = stage(batch, 0)
    assert set(figures) == {"kept"} and float(value) > 0.01


@pytest.mark.parametrize("kind", ["guidance", "steps"])
def test_a_resumed_run_ends_with_the_unbroken_ones_weights(kind, shared, teacher_folder):
    def weights(output: Path) -> dict[str, bytes]:
        folder = output / "model"
        return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    whole = train(small(kind, shared / f"{kind}-whole", teacher_folder), quiet=True)
    broken = small(kind, shared / f"{kind}-broken", teacher_folder)
    train(broken, stop_at=2, quiet=True)
    assert not (Path(broken.output) / "model").exists()
    torch.rand(3)  # what the process draws in between changes nothing
    train(broken, resume=True, quiet=True)
    expected = weights(whole)
    assert "unet/diffusion_pytorch_model.safetensors" in expected
    assert weights(Path(broken.output)) == expected
    start = (teacher_folder / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    assert expected["unet/diffusion_pytorch_model.safetensors"] != start
    other = dataclasses.replace(broken, distill=dataclasses.replace(broken.distill, teacher_steps=6))
    with pytest.raises(ValueError, match="is of distill.teacher_steps 4"):
        train(other, resume=True, quiet=True)


@pytest.mark.parametrize("kind", ["guidance", "steps"])
def test_the_exported_student_answers_in_its_fast_mode(kind, shared, teacher_folder):
    config = small(kind, shared / f"{kind}-export", teacher_folder, steps=2, validate_every=2)
    output = train(config, quiet=True)
    model = InstructDiffusion.from_pretrained(output / "model", device="cpu")
    settings = model.settings["edit"]
    assert settings.guidance is None
    assert (settings.steps, settings.solver) == ((2, "euler") if kind == "steps" else (20, "dpmpp_2m"))
    lines = [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]
    (validation,) = [line for line in lines if line["kind"] == "validation"]
    assert {"segment", "edit", "gap edit"} <= validation.keys() and validation["gap edit"] > 0


def test_a_stage_without_a_fitting_teacher_says_so(tmp_path, generator_folder, teacher_folder):
    with pytest.raises(FileNotFoundError, match="set `init` to its model folder"):
        build_stage(small("guidance", tmp_path, None))
    with pytest.raises(ValueError, match="8 input channels"):
        build_stage(small("guidance", tmp_path, generator_folder))
    loss = LossConfig(prediction="epsilon")
    with pytest.raises(ValueError, match="predicts 'v_prediction', the config says"):
        build_stage(small("guidance", tmp_path, teacher_folder, loss=loss))
    for guidance, message in (
        ({"edit": (1,)}, "be .text, image. or null"),
        ({"sing": None}, "at least one task"),
    ):
        with pytest.raises(ValueError, match=message):
            build_stage(
                small("guidance", tmp_path, teacher_folder, distill=DistillConfig("guidance", guidance))
            )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "magic"}, "one of guidance, steps"),
        ({"steps": 4, "teacher_steps": 6}, "a larger multiple"),
        ({"steps": 4, "teacher_steps": 4}, "a larger multiple"),
        ({"steps": 0}, "`distill.steps` to be at least 1"),
        ({"share": 0.0}, "distill.share"),
    ],
)
def test_bad_fields_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        DistillConfig(**values)


@pytest.mark.parametrize("kind", ["guidance", "steps"])
def test_the_shipped_configs_fit_together(kind):
    config = load_config(CONFIGS / f"tiny-distill-{kind}.yaml")
    instruct = load_config(CONFIGS / "tiny-4-instruct.yaml")
    assert (config.stage, config.distill.kind) == ("distill", kind)
    assert config.distill.steps <= 4 and config.loss.prediction == instruct.loss.prediction
    assert set(config.distill.guidance) <= set(config.data.mixture)
    assert config.init.startswith("runs/tiny-") and config.init.endswith("/model")
