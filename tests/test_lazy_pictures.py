"""The picture of an answer that is read back is composed when it is asked for, and is then what it was."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import numpy as np
import pytest

from instructdiffusion.inference.answer import Answer
from instructdiffusion.inference.job import Job
from instructdiffusion.results import Masks
from instructdiffusion.tasks import TASKS

SOURCE = np.full((12, 16, 3), 90, np.uint8)
DRAWN = np.full((12, 16, 3), 200, np.uint8)
ASKED = TASKS["segment"].instruct("the star")


def lazy(picture=DRAWN):
    """An answer whose picture is composed, and how often it was."""
    calls = []
    return Answer(ASKED, Masks.empty(12, 16), lambda: calls.append(1) or picture, SOURCE), calls


def test_a_picture_is_composed_once_when_it_is_asked_for():
    answer, calls = lazy()
    assert answer.overlay().dtype == np.uint8 and "nothing found" not in answer.task
    answer.to_coco()
    assert calls == []
    assert answer.picture is answer.picture is DRAWN and calls == [1]


def test_a_picture_that_is_composed_is_checked_like_one_that_is_given():
    wide = np.zeros((12, 17, 3), np.uint8)
    answer, _ = lazy(wide)
    with pytest.raises(ValueError, match="must have one size"):
        _ = answer.picture
    with pytest.raises(ValueError, match="must have one size"):
        Answer(ASKED, Masks.empty(12, 16), wide, SOURCE)
    with pytest.raises(TypeError, match="picture must be a picture"):
        Answer(ASKED, Masks.empty(12, 16), SOURCE / 255, SOURCE)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = answer.nonsense


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))])
def test_copies_have_the_picture(again):
    answer, calls = lazy()
    other = again(answer)
    assert np.array_equal(other.picture, DRAWN) and calls == [1]
    assert other.instruction == ASKED and np.array_equal(other.source, SOURCE)
    changed = dataclasses.replace(lazy()[0], settings={"steps": 2})
    assert np.array_equal(changed.picture, DRAWN) and changed.settings == {"steps": 2}


@pytest.mark.parametrize("task", ["segment", "detect"])
def test_a_run_composes_what_is_asked_for_only(model, picture, monkeypatch, task):
    composed = []
    compose = Job.compose
    monkeypatch.setattr(
        Job, "compose", lambda job, *args: composed.append(args[1].shape) or compose(job, *args)
    )
    large = np.kron(picture, np.ones((8, 8, 1), np.uint8))
    answer = getattr(model, task)(large, "the star")
    answer.to_coco()
    assert composed == []
    small = answer.__dict__["_compose"].args[1]
    assert small.shape == (64, 64, 3) and small.base is None  # not a part of its batch
    assert answer.picture.shape == large.shape and composed == [(64, 64, 3)]
    model.edit(picture, "add a red star", steps=2)
    assert len(composed) == 2  # an edit's picture is its answer
