"""The same answers, however the UNet lies in memory or is run."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

from instructdiffusion import InstructDiffusion
from instructdiffusion.models.loading import load_components
from instructdiffusion.models.optimization import PARTS, before_compiling, speed_up
from instructdiffusion.models.saving import export_checkpoint, save_pretrained


@pytest.fixture
def own(model):
    """Components whose networks are nobody else's."""
    parts = model.components
    return dataclasses.replace(parts, unet=copy.deepcopy(parts.unet), vae=copy.deepcopy(parts.vae))


def _answer(components, picture):
    return InstructDiffusion(components).edit(picture, "add a red star", steps=2).picture.astype(int)


def test_channels_last_answers_the_same(model, own, picture):
    expected = _answer(model.components, picture)
    fast = speed_up(own, channels_last=True)
    for weight in (
        fast.unet.conv_in.weight,
        fast.vae.encoder.conv_in.weight,
        fast.vae.decoder.conv_in.weight,
    ):
        assert weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
    assert np.abs(_answer(fast, picture) - expected).max() <= 1


def test_nothing_asked_is_nothing_done(own):
    for same in (speed_up(own), speed_up(own, channels_last=True, compiled=True, parts=[])):
        assert same.unet is own.unet and same.vae is own.vae and own.unet.conv_in.weight.is_contiguous()


@pytest.mark.parametrize("part", PARTS)
def test_a_part_by_itself(part, own):
    fast = speed_up(own, channels_last=True, compiled=True, parts=[part])
    for name in PARTS:
        changed = name == part
        weight = next(p for n, p in getattr(own, name).named_parameters() if n.endswith("conv_in.weight"))
        assert (getattr(fast, name) is not getattr(own, name)) == changed == (not weight.is_contiguous())
    with pytest.raises(ValueError, match="expected parts out of unet, vae; got 'text_encoder'"):
        speed_up(own, compiled=True, parts=["text_encoder"])


@pytest.mark.parametrize("save, name", [(save_pretrained, "saved"), (export_checkpoint, "saved.safetensors")])
def test_compiled_networks_are_saved_as_they_were(own, tmp_path, save, name):
    names = own.vae.state_dict().keys()
    fast = speed_up(own, compiled=True, backend="eager")
    fast = dataclasses.replace(fast, text_encoder=torch.compile(own.text_encoder, backend="eager"))
    assert fast.vae.state_dict().keys() == names == own.vae.state_dict().keys()
    again = load_components(save(fast, tmp_path / name))
    for part in (*PARTS, "text_encoder"):
        before, after = (getattr(parts, part).state_dict() for parts in (own, again))
        assert before.keys() == after.keys()
        assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_what_was_compiled_is_had_back(own):
    plain = before_compiling(speed_up(own, compiled=True, backend="eager"))
    assert plain.unet is own.unet and plain.text_encoder is own.text_encoder
    assert plain.vae.encoder is own.vae.encoder and plain.vae.decoder is own.vae.decoder
    assert before_compiling(own).vae is own.vae


def test_kernels_are_called_from_cpp_where_torch_is_new_enough(own, monkeypatch):
    seen = []
    monkeypatch.setattr(torch, "compile", lambda part, **options: seen.append(options) or part)
    for release, backend in (("2.13.0+cpu", "inductor"), ("2.12.1", "inductor"), ("3.0.0", "eager")):
        monkeypatch.setattr(torch, "__version__", release)
        speed_up(own, compiled=True, backend=backend, parts=["unet"])
    assert [options.get("options") for options in seen] == [{"cpp_wrapper": True}, None, None]
    assert [options["backend"] for options in seen] == ["inductor", "inductor", "eager"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of itself
def test_compiled_networks_answer_the_same(model, own, picture):
    """As their compiler sees them (backend "eager" runs the captured graph): that needs no C++ compiler."""
    fast = speed_up(own, compiled=True, backend="eager")
    assert fast.unet is not own.unet and fast.vae is not own.vae
    assert np.abs(_answer(fast, picture) - _answer(model.components, picture)).max() <= 1
    torch.compiler.reset()
