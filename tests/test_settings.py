"""Defaults of tasks and model files, and what a call changes."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from instructdiffusion.sampling import Schedule, cfg, make_plan
from instructdiffusion.settings import FILE, Settings, read_settings, task_settings
from instructdiffusion.tasks import TASKS


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda t: t.name)
def test_perception_is_one_plain_evaluation(task):
    settings = task_settings(task)
    assert (settings.steps == 1) == task.perception
    if task.perception:
        assert settings.schedule == "trailing" and settings.guide()(5.0) == (1, 0, 0, 0)


def test_the_models_file_overrides_the_task(tmp_path):
    values = {"segment": {"steps": 4, "guidance": [2, 1.5]}, "edit": {"guidance": None, "solver": "euler"}}
    (tmp_path / FILE).write_text(json.dumps({"defaults": values}))
    settings = read_settings(tmp_path)
    assert settings["segment"].steps == 4 and settings["segment"].guidance == (2.0, 1.5)
    assert settings["segment"].solver == task_settings(TASKS["segment"]).solver
    assert settings["edit"].guidance is None and settings["edit"].solver == "euler"
    assert settings["detect"] == task_settings(TASKS["detect"]) and set(settings) == set(TASKS)
    assert read_settings(tmp_path / "nowhere") == read_settings(None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "Expecting"),
        ("[]", "cannot be used"),
        ('{"defaults": []}', "task by task"),
        ('{"defaults": {"sing": {}}}', "unknown task 'sing'"),
        ('{"defaults": {"edit": 3}}', "needs an object"),
        ('{"defaults": {"edit": {"stepz": 3}}}', "unknown setting 'stepz'"),
        ('{"defaults": {"edit": {"steps": 0}}}', "from 1 to 1000"),
        ('{"defaults": {"edit": {"steps": 2.5}}}', "whole number"),
        ('{"defaults": {"edit": {"solver": "magic"}}}', "unknown solver 'magic'"),
        ('{"defaults": {"edit": {"schedule": 7}}}', "unknown schedule"),
        ('{"defaults": {"edit": {"guidance": [1]}}}', "two finite numbers"),
        ('{"defaults": {"edit": {"guidance": "much"}}}', "two finite numbers"),
        ('{"defaults": {"edit": {"guidance": [1, NaN]}}}', "two finite numbers"),
        ('{"defaults": {"edit": {"guidance": [1, 1' + "0" * 400 + "]}}}", "beyond any float"),
        ('{"defaults": {"edit": {"formula": "cfg"}}}', "unknown formula 'cfg'"),
        ('{"defaults": {"edit": {"formula": ["cfg"]}}}', "unknown formula"),
        ('{"defaults": {"deblur": {"upscale": 5}}}', "upscale is a number from 0.25 to 4, got 5"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong(content, message, tmp_path):
    (tmp_path / FILE).write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_settings(tmp_path)
    assert FILE in str(caught.value)


# What the authors run their checkpoint with: (text, image) by task, None for the plain conditional prediction.
PUBLISHED = {
    "segment": (7.5, 1.5), "refer": (7.5, 1.5), "keypoints": (6.0, 0.5), "align": (6.0, 0.5), "detect": (7.5, 1.5),
    "classify": (7.5, 1.5), "denoise": None, "deblur": None, "dewatermark": (1.0, 1.0), "edit": (5.0, 1.25),
}  # fmt: skip


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda t: t.name)
def test_a_published_checkpoint_is_asked_as_its_authors_ask_it(task):
    """Every row of the plan: k-diffusion's Euler ancestral over 100 even timesteps, the authors' weights."""
    settings = task_settings(task, published=True)
    schedule = Schedule.scaled_linear()
    sigmas = schedule.sigmas(settings.schedule, settings.steps)
    plan = make_plan(sigmas, settings.solver, settings.guide(), schedule)
    assert len(plan) == 100 and np.allclose([row.t for row in plan], np.linspace(999, 0, 100))
    scales = PUBLISHED[task.name]
    text, image = scales or (0.5, 0.5)
    branches = 1 if scales is None else 2 if image == 0.5 else 3
    assert plan.evaluations == 100 * branches
    for row in plan:
        assert row.weights == pytest.approx((text + image, 0.5 - text, 0.5 - image, 0))
        up = min(row.sigma_next, row.sigma_next * (1 - (row.sigma_next / row.sigma) ** 2) ** 0.5)
        down = (row.sigma_next**2 - up**2) ** 0.5
        assert row.noise_coef == pytest.approx(up) and row.x_coef == pytest.approx(down / row.sigma)
    assert read_settings(None, published=True)[task.name] == settings


def test_the_formula_says_what_the_scales_mean(tmp_path):
    """timbrooks' checkpoint is guided by another formula than the authors' (2211.09800, eq. 3)."""
    assert Settings(guidance=(7.5, 1.5)).guide()(1.0) == pytest.approx((9, -7, -1, 0))
    theirs = Settings(guidance=(7.5, 1.5), formula="instructpix2pix")
    assert theirs.guide()(1.0) == pytest.approx((7.5, -6, 0, -0.5))
    assert Settings(formula="instructpix2pix", guidance=cfg(3)).guide()(1.0) == (3.0, 0.0, 0.0, -2.0)
    assert Settings(guidance=(7.5, 1.5)).changed(formula="instructpix2pix") == theirs
    (tmp_path / FILE).write_text(json.dumps({"defaults": {"edit": theirs.to_dict()}}))
    assert read_settings(tmp_path)["edit"] == theirs
    assert "formula" not in Settings().to_dict()  # as in data from before there was a choice


@pytest.mark.parametrize(
    ("index", "formula"),
    [
        (
            {"_class_name": "StableDiffusionInstructPix2PixPipeline", "_diffusers_version": "0.12.0"},
            "instructpix2pix",
        ),
        ({"_class_name": "StableDiffusionInstructPix2PixPipeline"}, "instructdiffusion"),  # as we write it
        ({"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.30.0"}, "instructdiffusion"),
    ],
)
def test_a_folder_of_instruct_pix2pix_is_asked_by_its_own_formula(tmp_path, index, formula):
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    settings = read_settings(tmp_path, published=True)["edit"]
    assert settings.formula == formula and settings.steps == 100
    assert settings.guidance == ((7.5, 1.5) if formula == "instructpix2pix" else (5.0, 1.25))
    assert read_settings(tmp_path)["edit"].formula == "instructdiffusion"  # a model of ours, wherever it lies
    (tmp_path / FILE).write_text('{"defaults": {"edit": {"guidance": [3, 1]}}}')
    assert read_settings(tmp_path, published=True)["edit"].guidance == (3.0, 1.0)


def test_a_models_file_says_how_near_its_tiles_are_seen(tmp_path):
    (tmp_path / FILE).write_text('{"defaults": {"deblur": {"upscale": 2}}}')
    settings = read_settings(tmp_path)
    assert settings["deblur"].upscale == 2.0 and settings["deblur"].to_dict()["upscale"] == 2.0
    assert settings["denoise"].upscale == 1.0 and "upscale" not in settings["denoise"].to_dict()
    assert settings["deblur"].changed(upscale=1).to_dict() == task_settings(TASKS["deblur"]).to_dict()
    assert settings["deblur"].changed(upscale=None, steps=3).upscale == 2.0
    (tmp_path / FILE).write_text(json.dumps({"defaults": {"deblur": Settings(upscale=0.5).to_dict()}}))
    assert read_settings(tmp_path)["deblur"] == Settings(upscale=0.5)
    assert [Settings(upscale=z).upscale for z in (0.25, 4)] == [0.25, 4.0]


@pytest.mark.parametrize("bad", [0.2499, 4.01, 0, -2, math.nan, math.inf, "2", True, None, [2], 10**400])
def test_a_zoom_is_a_number_from_a_quarter_to_four(bad):
    with pytest.raises(ValueError, match=r"upscale is a number from 0\.25 to 4, got ") as caught:
        Settings(upscale=bad)
    assert str(caught.value).endswith(repr(bad))


@pytest.mark.parametrize("bad", [(10**400, 1), (1, -(10**4000)), (math.nan, 1), (1, math.inf), ("1", 2)])
def test_scales_are_two_finite_numbers(bad):
    with pytest.raises(ValueError, match="guidance is two finite numbers"):
        Settings(guidance=bad)


def test_changes():
    base = Settings(guidance=(5, 1.25))
    assert base.changed(steps=3, guidance=None).guidance == (5.0, 1.25)
    assert base.changed(guidance="none").guidance is None
    assert base.changed(guidance=[1, 2]).guidance == (1.0, 2.0)
    assert base.changed(guidance=cfg(3)).guide()(1.0) == (3.0, 0.0, 0.0, -2.0)
    assert base.guide()(1.0) == pytest.approx((6.25, -4.5, -0.75, 0.0))
    for bad in ({"guidance": "strong"}, {"guidance": (1, 2, 3)}, {"steps": True}, {"noise": "pink"}):
        with pytest.raises(ValueError):
            base.changed(**bad)


def test_settings_are_plain_data_for_json():
    for guidance in (None, (1, 2), cfg(2)):
        assert json.loads(json.dumps(Settings(guidance=guidance).to_dict()))["steps"] == 20


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda t: t.name)
def test_a_number_of_steps_brings_what_suits_it(task):
    own = task_settings(task)
    one, many = own.changed(steps=1), own.changed(steps=20)
    assert (one.solver, one.guidance) == ("euler", None)
    assert many.solver == "dpmpp_2m" and many.guidance == own.guidance
    asked = own.changed(steps=1, guidance=(3, 2))
    assert asked.guidance == (3.0, 2.0) and asked.solver == "euler"
    assert own.changed(steps=8, solver="ddim").solver == own.changed(steps=1, solver="ddim").solver == "ddim"


def test_only_a_change_between_one_and_many_brings_it():
    own = Settings(steps=8, solver="euler", guidance=(2, 1))
    assert own.changed(steps=4) == Settings(steps=4, solver="euler", guidance=(2, 1))
    single = Settings(steps=1, solver="euler", guidance=(2, 1))  # a model's file says so
    assert single.changed(steps=1) == single.changed(seed=None) == single


def test_scales_are_read_from_the_models_file_and_told_where_they_are_not_the_usual(tmp_path):
    (tmp_path / FILE).write_text('{"defaults": {"detect": {"scales": [1, 0.5, 2]}}}')
    settings = read_settings(tmp_path)
    assert settings["detect"].scales == (1.0, 0.5, 2.0) and settings["segment"].scales == (1.0,)
    assert settings["detect"].to_dict()["scales"] == [1.0, 0.5, 2.0]
    assert "scales" not in settings["segment"].to_dict()
    assert settings["detect"].changed(scales=[1]).to_dict() == settings["segment"].to_dict()
    (tmp_path / FILE).write_text('{"defaults": {"detect": {"scales": [1, 8]}}}')
    with pytest.raises(ValueError, match=r"scales are numbers from 0\.25 to 4, as \(1, 2\), got \[1, 8\]"):
        read_settings(tmp_path)
