"""What a report says about the machine and the model."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from instructdiffusion import InstructDiffusion, versions
from instructdiffusion.evaluation.reports.report import gpu_name, made_by, weights_hash


def test_what_gives_the_answers_is_told(model):
    made = made_by(model.components)
    assert (made["device"], made["dtype"], made["prediction"]) == ("cpu", "float32", "v_prediction")
    assert made["weights"] == weights_hash(model.components) and made["answers"] == versions.ANSWERS
    assert set(made_by(None)) == set(made)  # a model without components tells as many lines


def test_answers_of_another_precision_or_noise_are_others(model, model_folder):
    import dataclasses

    half = InstructDiffusion.from_pretrained(model_folder, device="cpu", dtype=torch.bfloat16).components
    assert made_by(half)["dtype"] == "bfloat16" and made_by(half)["weights"] != weights_hash(model.components)
    noisier = dataclasses.replace(model.components, alphas_cumprod=model.components.alphas_cumprod * 0.9)
    assert made_by(noisier)["noise levels"] != made_by(model.components)["noise levels"]


def test_the_gpu_is_named(model, monkeypatch):
    assert gpu_name(None) is None and gpu_name(model.components) is None
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"the card {device.index}")
    weight = SimpleNamespace(device=torch.device("cuda", 1))
    unet = SimpleNamespace(parameters=lambda: iter([weight]))
    assert gpu_name(SimpleNamespace(unet=unet)) == "the card 1"
