"""Defaults of tasks and model files, and what a call changes."""

from __future__ import annotations

import json

import pytest

from instructdiffusion.sampling import cfg
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
        ('{"defaults": {"edit": {"guidance": [1]}}}', "two numbers"),
        ('{"defaults": {"edit": {"guidance": "much"}}}', "two numbers"),
        ('{"defaults": {"edit": {"guidance": [1, NaN]}}}', "two numbers"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong(content, message, tmp_path):
    (tmp_path / FILE).write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_settings(tmp_path)
    assert FILE in str(caught.value)


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
