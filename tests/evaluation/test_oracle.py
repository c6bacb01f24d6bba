"""The oracle through the real pipeline, around a model with random weights."""

from __future__ import annotations

import numpy as np
import pytest

from instructdiffusion import InstructDiffusion
from instructdiffusion.evaluation.metrics import EQUAL_DB
from instructdiffusion.evaluation.scene_benchmark import MAIN, evaluate_scenes
from instructdiffusion.inference.components_backend import ComponentsBackend


def first(report):
    return {r.task: r.subsets[MAIN][0].value for r in report.tasks}


@pytest.fixture
def any_words(monkeypatch):
    """The small tokenizer of the tests knows few words; the oracle reads none."""
    monkeypatch.setattr(ComponentsBackend, "check_text", lambda self, text: None)


def test_a_lossless_autoencoder_costs_nothing(model, any_words, monkeypatch):
    monkeypatch.setattr(ComponentsBackend, "encode_image", lambda self, pictures: pictures)
    monkeypatch.setattr(ComponentsBackend, "decode_latents", lambda self, latents: latents / np.float32(255))
    report = evaluate_scenes(model, count=6, batch_size=4, oracle=True, quiet=True)
    found = first(report)
    assert min(found[t] for t in ("segment", "refer")) > 0.98
    assert min(found[t] for t in ("keypoints", "align", "detect", "classify")) > 0.9
    assert all(r.steps == "oracle" for r in report.tasks)
    for task, least in (
        ("denoise", 45),
        ("deblur", EQUAL_DB),
    ):  # what noise accounts for is judged, not known
        made = {f.metric: f.value for r in report.tasks if r.task == task for f in r.subsets[MAIN]}
        assert made["PSNR"] >= least and made["PSNR of the VAE bound"] == EQUAL_DB


@pytest.mark.parametrize("upscale", [0.5, 2])
def test_the_oracle_draws_what_is_enlarged_first_as_large(upscale, model, any_words, monkeypatch):
    monkeypatch.setattr(ComponentsBackend, "encode_image", lambda self, pictures: pictures)
    monkeypatch.setattr(ComponentsBackend, "decode_latents", lambda self, latents: latents / np.float32(255))
    settings = {name: own.changed(upscale=upscale) for name, own in model.settings.items()}
    near = InstructDiffusion(model.components, settings)
    report = evaluate_scenes(near, ["segment", "deblur"], count=4, batch_size=3, oracle=True, quiet=True)
    assert first(report)["segment"] > 0.98
    made = {f.metric: f.value for r in report.tasks if r.task == "deblur" for f in r.subsets[MAIN]}
    nothing = made["PSNR of doing nothing"]
    told = evaluate_scenes(
        model, ["segment", "deblur"], count=4, batch_size=3, oracle=True, upscale=upscale, quiet=True
    )
    assert [t.rows for t in told.tasks] == [t.rows for t in report.tasks]
    # Enlarged and brought back nearly all of it is there; of a shrunken picture only what a blur leaves anyway.
    assert made["PSNR"] >= (40 if upscale == 2 else nothing) and report.tasks[1].settings["upscale"] == upscale


def test_a_lossy_one_costs_what_it_loses(model, any_words):
    report = evaluate_scenes(model, ["segment", "denoise"], count=4, oracle=True, quiet=True)
    assert first(report)["segment"] < 0.9  # random weights decode to nothing like a picture
    made = {f.metric: f.value for f in report.tasks[1].subsets[MAIN]}
    assert made["PSNR of the VAE bound"] < 20
    # Where the autoencoder fails this badly all is given back that noise does not account for: the source, nearly.
    assert made["PSNR of doing nothing"] - 1 <= made["PSNR"] < 40


def test_scenes_of_another_size_are_refused(model, any_words):
    with pytest.raises(ValueError, match="the model's own size"):
        evaluate_scenes(model, ["segment"], count=1, size=96, oracle=True, quiet=True)


def test_a_model_is_named_by_its_weights_and_asked_by_its_settings(model):
    report = evaluate_scenes(model, ["denoise", "dewatermark"], count=2, steps=2, quiet=True)
    plain, guided = report.tasks
    assert plain.settings["weights"] == guided.settings["weights"] and len(plain.settings["weights"]) == 16
    assert plain.settings["steps"] == 2 and plain.settings["solver"] == "dpmpp_2m"
    assert plain.steps == "2" and guided.steps.startswith("2 (")
    assert plain.settings["evaluations"] == 2 < guided.settings["evaluations"] <= 6
    assert "PSNR of the VAE bound" in {f.metric for f in plain.subsets[MAIN]}
