"""The model that ships: small, whole, and the same model but for rounding."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from instructdiffusion.models import shipping
from instructdiffusion.models.loading import load_components
from instructdiffusion.models.shipping import ship


def test_a_shipped_folder_loads_and_says_its_size(model_folder, tmp_path):
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"defaults": {"edit": {"steps": 7}}}))
    output = tmp_path / "deep" / "tiny"
    size = ship(model_folder, output, settings)
    assert size == sum(f.stat().st_size for f in output.rglob("*") if f.is_file())
    assert json.loads((output / "instructdiffusion.json").read_text())["defaults"]["edit"]["steps"] == 7
    shipped, trained = load_components(output), load_components(model_folder)
    for part in ("unet", "vae", "text_encoder"):
        rounded, exact = getattr(shipped, part).state_dict(), getattr(trained, part).state_dict()
        for name, value in exact.items():
            if part == "vae":
                assert torch.equal(rounded[name], value)
            elif value.is_floating_point():
                assert torch.equal(rounded[name], value.half().float())
    texts = [f.read_text() for f in output.rglob("*.json")]
    assert not any(str(model_folder) in text or "_name_or_path" in text for text in texts)
    stored = load_file(output / "unet" / "diffusion_pytorch_model.safetensors")
    assert {t.dtype for t in stored.values()} == {torch.float16}


def test_shipping_again_replaces_what_was_there(model_folder, tmp_path):
    output = tmp_path / "tiny"
    output.mkdir()
    (output / "old.txt").write_text("old")
    ship(model_folder, output)
    assert not (output / "old.txt").exists() and not (output / "instructdiffusion.json").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tiny"]


def test_a_model_over_the_limit_does_not_ship(model_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(shipping, "LIMIT", 1000)
    output = tmp_path / "tiny"
    output.mkdir()
    with pytest.raises(ValueError, match="train a smaller one"):
        ship(model_folder, output)
    assert [p.name for p in tmp_path.iterdir()] == ["tiny"]


def test_a_decoder_trained_on_ships_and_another_encoder_does_not(model_folder, tmp_path):
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(model_folder / "vae")
    with torch.no_grad():
        vae.decoder.conv_out.bias.add_(0.5)
    vae.save_pretrained(tmp_path / "vae")
    ship(model_folder, tmp_path / "tiny", vae=tmp_path / "vae")
    assert torch.equal(
        load_components(tmp_path / "tiny").vae.decoder.conv_out.bias, vae.decoder.conv_out.bias
    )
    with torch.no_grad():
        vae.encoder.conv_in.weight.mul_(1.01)
    vae.save_pretrained(tmp_path / "vae")
    with pytest.raises(ValueError, match="vae_decoder_only"):
        ship(model_folder, tmp_path / "other", vae=tmp_path / "vae")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tiny", "vae"]


@pytest.mark.filterwarnings("ignore")
def test_the_shipped_folder_runs_in_diffusers_as_it_comes():
    """Its pipeline, loaded with no options, draws what we draw from the same noise."""
    from diffusers import StableDiffusionInstructPix2PixPipeline

    from instructdiffusion import InstructDiffusion
    from instructdiffusion.datasets.synthetic.examples import make_example
    from instructdiffusion.models.loading import find_folder

    pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(find_folder("tiny"))
    parts = (pipeline.unet, pipeline.vae, pipeline.text_encoder)
    assert {next(part.parameters()).dtype for part in parts} == {torch.float32}
    example = make_example("edit", 3, split="val")
    words, noise = example.instruction.text, torch.randn(1, 4, 16, 16, generator=torch.manual_seed(0))
    image = Image.fromarray(example.source)
    pipeline.set_progress_bar_config(disable=True)
    scales = {"guidance_scale": 2.0, "image_guidance_scale": 1.5}
    theirs = pipeline(words, image, num_inference_steps=4, latents=noise, output_type="np", **scales).images[0]
    ours = InstructDiffusion.from_pretrained("tiny", device="cpu").run(
        *(words, example.source), task="edit", steps=4, solver="ddim", schedule="trailing", preserve_source=False,
        guidance=(2.0, 1.5), formula="instructpix2pix", noise=noise[0].numpy(),
    )  # fmt: skip
    # diffusers' DDIM ends at the first training timestep, which leaves a little noise in; ours ends without any
    far = np.abs(ours.result / 255 - theirs)
    assert far.mean() < 0.006 and far.max() < 0.06


def test_configs_of_a_saved_folder_load_alike_everywhere(model_folder, tmp_path):
    from instructdiffusion.models.saving import save_pretrained

    half = load_components(model_folder, dtype=torch.float16)
    folder = save_pretrained(half, tmp_path / "half")
    config = json.loads((folder / "text_encoder" / "config.json").read_text())
    assert config["dtype"] == "float32" and "torch_dtype" not in config
    stored = load_file(folder / "text_encoder" / "model.safetensors")
    assert {t.dtype for t in stored.values() if t.is_floating_point()} == {torch.float16}
