"""The photographs that packages carry: found by one finder, never shared between training and testing."""

from __future__ import annotations

import numpy as np
import pytest

from instructdiffusion.datasets import photographs as module
from instructdiffusion.datasets.photographs import photograph, photographs, read_photograph
from instructdiffusion.datasets.synthetic import photos


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_photograph_is_rgb_and_shrunk_to_the_short_side(split):
    for array in photographs(split, 120):
        assert array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 3
        assert min(array.shape[:2]) == 120


def test_training_and_testing_share_no_photograph_in_either_list():
    train = {*module._TRAIN, *photos.TRAIN_PHOTOS}
    test = {*module._TEST, *photos.TEST_PHOTOS}
    assert not train & test


def test_photographs_of_both_packages_are_found_at_full_size():
    assert read_photograph("china.jpg").size == (640, 427)
    assert photograph("astronaut.png").shape == (512, 512, 3)


@pytest.mark.parametrize("found", [None, ImportError("broken"), ValueError("no spec")])
def test_a_missing_package_names_the_extra(monkeypatch, found):
    def find_spec(name):
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(module.importlib.util, "find_spec", find_spec)
    with pytest.raises(ModuleNotFoundError, match=r"scikit-learn.*instructdiffusion\[scenes\]"):
        read_photograph("flower.jpg")


def test_an_unknown_photograph_is_named():
    with pytest.raises(ModuleNotFoundError, match=r"nothing\.png"):
        read_photograph("nothing.png")
