"""Old names: accepted with a warning, the new ones in their place."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from instructdiffusion.settings import Settings
from instructdiffusion.utils.old_names import accept_old_keywords, old_attribute, old_members, with_new_names


def test_keywords_get_their_new_names():
    keywords = {"steps": 3}
    assert with_new_names(keywords, {"zoom": "upscale"}) is keywords
    with pytest.warns(DeprecationWarning, match="zoom is now called upscale") as caught:
        assert with_new_names({"zoom": 2}, {"zoom": "upscale"}, stacklevel=0) == {"upscale": 2}
    assert caught[0].filename.endswith("old_names.py")
    assert with_new_names({"zoom": None, "upscale": 3}, {"zoom": "upscale"}) == {"upscale": 3}
    with pytest.warns(DeprecationWarning), pytest.raises(ValueError, match="zoom is the old name of upscale"):
        with_new_names({"zoom": 2, "upscale": 3}, {"zoom": "upscale"})


def test_a_function_takes_both_and_points_at_its_caller():
    @accept_old_keywords(kind="prediction_type")
    def ask(prediction_type):
        return prediction_type

    assert ask(prediction_type="sample") == ask("sample") == "sample"
    with pytest.warns(DeprecationWarning, match="kind is now called prediction_type") as caught:
        assert ask(kind="epsilon") == "epsilon"
    assert caught[0].filename == __file__


def test_attributes_and_members_answer_under_old_names():
    class Thing:
        new = 5
        old = old_attribute("old", "new")

    with pytest.warns(DeprecationWarning, match="Thing.old is now called new"):
        assert Thing().old == 5
    get = old_members("there", Before=lambda: Thing)
    with pytest.warns(DeprecationWarning, match="there.Before is .*Thing now"):
        assert get("Before") is Thing
    with pytest.raises(AttributeError, match="has no attribute 'Other'"):
        get("Other")


def test_settings_know_zoom():
    with pytest.warns(DeprecationWarning, match="zoom is now called upscale"):
        assert Settings(zoom=2).upscale == 2.0
    with pytest.warns(DeprecationWarning):
        assert Settings().changed(zoom=0.5).upscale == 0.5
    with pytest.warns(DeprecationWarning):
        assert dataclasses.replace(Settings(upscale=2), zoom=3).upscale == 3.0
    with pytest.warns(DeprecationWarning, match="Settings.zoom is now called upscale"):
        assert Settings(upscale=2).zoom == 2.0


def test_a_model_is_asked_with_the_keywords_of_before(model):
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    new = model.edit(picture, "add a star", steps=2, cache_interval=2, preserve_source=False)
    with pytest.warns(DeprecationWarning) as caught:
        old = model.edit(picture, "add a star", steps=2, reuse=2, keep=False)
    assert {str(w.message).split(" ")[0] for w in caught} == {"reuse", "keep"}
    assert np.array_equal(old.picture, new.picture) and old.settings == new.settings
    with pytest.warns(DeprecationWarning, match="zoom is now called upscale"):
        assert model.deblur(picture, steps=1, zoom=0.5).settings["upscale"] == 0.5
    with pytest.raises(TypeError, match="nonsense"):
        model.edit(picture, "add a star", nonsense=1)


def test_the_editor_of_before_is_the_backend(model):
    with pytest.warns(DeprecationWarning, match="InstructDiffusion.editor is now called backend"):
        backend = model.editor
    assert backend is model.backend
    backend.forget()
    with pytest.warns(DeprecationWarning, match="read is now called encode_prompt"):
        states = backend.read(["the star"])
    assert np.array_equal(states.numpy(), model.backend.encode_prompt(["the star"]).numpy())
    from instructdiffusion.inference import components_backend, runner
    from instructdiffusion.inference.request import Request

    with pytest.warns(DeprecationWarning, match="Editor is .*ComponentsBackend now"):
        assert components_backend.Editor is type(model.backend)
    with pytest.warns(DeprecationWarning, match="Question is .*Request now"):
        assert runner.Question is Request
