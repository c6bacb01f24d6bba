"""The same answers, however the UNet lies in memory or is run."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

from instructdiffusion import InstructDiffusion
from instructdiffusion.models.speed import speed_up


@pytest.fixture
def own(model):
    """Components whose UNet is nobody else's."""
    return dataclasses.replace(model.components, unet=copy.deepcopy(model.components.unet))


def _answer(components, picture):
    return InstructDiffusion(components).edit(picture, "add a red star", steps=2).picture.astype(int)


def test_channels_last_answers_the_same(model, own, picture):
    expected = _answer(model.components, picture)
    fast = speed_up(own, channels_last=True)
    weight = fast.unet.conv_in.weight
    assert weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
    assert np.abs(_answer(fast, picture) - expected).max() <= 1


def test_nothing_asked_is_nothing_done(own):
    assert speed_up(own).unet is own.unet and own.unet.conv_in.weight.is_contiguous()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of itself
def test_a_compiled_unet_answers_the_same(model, own, picture):
    """As its compiler sees it (backend "eager" runs the captured graph): that needs no C++ compiler."""
    fast = speed_up(own, compiled=True, backend="eager")
    assert fast.unet is not own.unet
    assert np.abs(_answer(fast, picture) - _answer(model.components, picture)).max() <= 1
    torch.compiler.reset()
