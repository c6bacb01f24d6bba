"""A stage starts from a single file as from a folder: plain Stable Diffusion's four channels become eight."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from instructdiffusion.models.architecture import build_unet
from instructdiffusion.models.components import Components
from instructdiffusion.models.formats.folder import training_alphas
from instructdiffusion.models.loading import load_components
from instructdiffusion.models.saving import export_checkpoint
from instructdiffusion.trainer.init import start_folder
from instructdiffusion.trainer.loop import build_stage, train

from .test_loop import on_the_cpu, small  # noqa: F401  (the fixture is used by all tests here)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch")


@pytest.fixture(scope="module")
def parts(generator_folder):
    """The parts of a text-to-image model, which `load_components` refuses."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    return Components(
        unet=UNet2DConditionModel.from_pretrained(generator_folder / "unet"),
        vae=AutoencoderKL.from_pretrained(generator_folder / "vae"),
        text_encoder=CLIPTextModel.from_pretrained(generator_folder / "text_encoder"),
        tokenizer=CLIPTokenizer.from_pretrained(generator_folder / "tokenizer"),
        alphas_cumprod=training_alphas().numpy(),
        prediction_type="v_prediction",
        resolution=64,
        path=generator_folder,
    )


@pytest.fixture(scope="module")
def file(parts, tmp_path_factory):
    """That model as a single file."""
    assert parts.unet.config.in_channels == 4
    return export_checkpoint(parts, tmp_path_factory.mktemp("files") / "plain.safetensors")


def test_a_plain_text_to_image_file_is_widened_and_trained(file, tmp_path):
    with pytest.raises(ValueError, match="name it as `init` of training/train.py, stage instruct"):
        load_components(file)
    output = train(small("instruct", tmp_path / "out", file, steps=1), quiet=True)
    trained = load_components(output / "model")
    assert trained.unet.config.in_channels == 8 and trained.prediction_type == "v_prediction"


def test_a_stage_starts_from_a_file_as_from_the_folder_of_the_same_model(file, generator_folder, tmp_path):
    config = small("instruct", tmp_path / "out", file)
    stage = build_stage(config)
    assert stage.unet.conv_in.in_channels == 8 and not stage.unet.conv_in.weight[:, 4:].any()
    other = build_stage(small("instruct", tmp_path / "other", generator_folder)).state_dict()
    own = stage.state_dict()
    assert set(own) == set(other) and all(torch.equal(own[name], other[name]) for name in own)
    made = [p.name for p in (tmp_path / "out").iterdir()]
    assert len(made) == 1 and start_folder(config) == tmp_path / "out" / made[0]  # once


def test_a_file_that_is_none_and_one_with_other_inputs_are_refused(parts, tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"<html>")
    with pytest.raises(ValueError, match=r"a\.safetensors is no checkpoint but an HTML page"):
        build_stage(small("instruct", tmp_path / "out", tmp_path / "a.safetensors"))
    unet = build_unet((32, 32, 32), context=64, in_channels=9)
    inpainting = export_checkpoint(dataclasses.replace(parts, unet=unet), tmp_path / "b.safetensors")
    with pytest.raises(ValueError, match=r"4 input channels .* got 9 in b\.safetensors"):
        build_stage(small("instruct", tmp_path / "out", inpainting))
    assert not (tmp_path / "out").exists()


def test_the_model_that_ships_is_named_as_from_pretrained_takes_it(tmp_path, monkeypatch):
    from instructdiffusion.trainer.init import init_path, start_folder

    config = small("instruct", tmp_path / "out", "tiny")
    folder = start_folder(config)
    assert (folder / "model_index.json").is_file() and folder.name == "tiny"
    monkeypatch.chdir(tmp_path)
    assert init_path("./tiny") != folder
