"""The model that ships: small, whole, and the same model but for rounding."""

from __future__ import annotations

import json

import pytest
import torch
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
