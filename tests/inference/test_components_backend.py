"""The backend: what it has read, encoded and decoded once it does not do again, and notices when it must."""

from __future__ import annotations

import copy
import dataclasses
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from instructdiffusion import InstructDiffusion
from instructdiffusion.inference import components_backend
from instructdiffusion.inference.components_backend import ComponentsBackend
from instructdiffusion.utils.cache import Cache


@pytest.fixture
def own(model):
    """A model nothing was asked of, whose networks are nobody else's."""
    parts = model.components
    networks = {name: copy.deepcopy(getattr(parts, name)) for name in ("text_encoder", "vae")}
    return InstructDiffusion(dataclasses.replace(parts, **networks))


@contextmanager
def watched(model):
    """Lists of how many texts were read and pictures encoded and decoded, a number a call."""
    parts, seen, handles = model.components, {"read": [], "encoded": [], "decoded": []}, []
    for name, module in zip(seen, (parts.text_encoder, parts.vae.encoder, parts.vae.decoder), strict=True):

        def hook(module, args, kwargs, name=name):
            seen[name].append(len(args[0] if args else kwargs["input_ids"]))

        handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def pictures(count, side=64):
    return list(np.random.default_rng(5).integers(0, 256, (count, side, side, 3), dtype=np.uint8))


def test_one_picture_and_text_are_read_encoded_and_copied_once(own, picture):
    with watched(own) as seen:
        first = own.segment(picture, "the red star")
        assert seen == {
            "read": [1, 1],
            "encoded": [1],
            "decoded": [2],
        }  # its words and "", edit and copy at once
        again = own.segment(picture, "the red star")
        assert seen == {"read": [1, 1], "encoded": [1], "decoded": [2, 1]}
        own.segment(picture, "the blue circle")
        own.detect(picture.copy(), "the red star")
    assert seen == {"read": [1, 1, 1, 1], "encoded": [1], "decoded": [2, 1, 1, 1]}
    assert np.abs(first.picture.astype(int) - again.picture).max() <= 1


def test_many_instructions_on_one_picture_encode_it_once(own, picture):
    words = ["add a red star", "remove the circle", "add a red star"]
    with watched(own) as seen:
        together = own.run(words, picture, steps=1, seed=[1, 2, 1])
    assert seen == {"read": [2, 1], "encoded": [1], "decoded": [4]}
    for word, seed, answer in zip(words, (1, 2, 1), together, strict=True):
        alone = InstructDiffusion(own.components).run(word, picture, steps=1, seed=seed)
        assert np.abs(alone.picture.astype(int) - answer.picture).max() <= 1


def test_of_a_batch_only_what_is_new_is_encoded(own):
    given = pictures(3)
    own.edit(given[1], "add a red star", steps=1)
    with watched(own) as seen:
        together = own.edit(given, "add a red star", steps=1)
    assert seen == {"read": [], "encoded": [2], "decoded": [3 + 2]}
    fresh = InstructDiffusion(own.components).edit(given, "add a red star", steps=1)
    for a, b in zip(together, fresh, strict=True):
        assert np.abs(a.picture.astype(int) - b.picture).max() <= 1


@pytest.mark.parametrize(("room", "decoded"), [(6, [6]), (5.9, [3, 3])])
def test_edits_and_copies_are_decoded_at_once_where_that_is_little(room, decoded, own, monkeypatch):
    monkeypatch.setattr(components_backend, "TOGETHER", int(room * 64 * 64))
    with watched(own) as seen:
        own.segment(pictures(3), "the red star")
    assert seen["decoded"] == decoded


def test_pictures_that_hold_the_same_bytes_in_another_shape_are_not_the_same(own):
    flat = np.arange(64 * 128 * 3, dtype=np.uint32).astype(np.uint8)
    wide, tall = flat.reshape(64, 128, 3), flat.reshape(128, 64, 3)
    one = own.backend.encode_image(wide[None])
    other = own.backend.encode_image(tall[None])
    assert one.shape[2:] == other.shape[2:][::-1] and len(own.backend.image_cache) == 2


@pytest.mark.parametrize("part", ["text_encoder", "vae"])
def test_weights_that_change_are_asked_anew(part, own, picture):
    before = own.segment(picture, "the red star").picture.astype(int)
    network = getattr(own.components, part)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(0.5)
    with watched(own) as seen:
        after = own.segment(picture, "the red star").picture
    changed = {"text_encoder": {"read"}, "vae": {"encoded", "decoded"}}[part]
    assert {name for name, calls in seen.items() if sum(calls) > (name == "decoded")} == changed
    fresh = InstructDiffusion(own.components).segment(picture, "the red star").picture
    assert np.abs(after.astype(int) - fresh).max() <= 1 and np.abs(after.astype(int) - before).max() > 1


def test_weights_written_behind_torchs_back_are_asked_anew(own, picture):
    """As peft merges a LoRA, and as moving averages are put in a network's place."""
    own.segment(picture, "the red star")
    for weight in own.components.vae.parameters():
        weight.data.mul_(0.5)
    with watched(own) as seen:
        own.segment(picture, "the red star")
    assert seen == {"read": [], "encoded": [1], "decoded": [2]}


def test_networks_in_half_precision_or_exchanged_are_asked_anew(own, picture, model):
    own.edit(picture, "add a red star", steps=1)
    own.backend.components = model.components
    with watched(model) as seen:
        own.edit(picture, "add a red star", steps=1)
    assert seen == {"read": [1, 1], "encoded": [1], "decoded": [2]}
    own.backend.components = dataclasses.replace(
        model.components, vae=copy.deepcopy(own.components.vae).bfloat16()
    )
    assert own.backend.encode_image(picture[None]).dtype == torch.bfloat16


def test_what_is_kept_can_be_let_go_of_or_not_kept_at_all(own, picture, monkeypatch):
    own.segment(picture, "the red star")
    cleared = []
    monkeypatch.setattr(own.backend.graph_runner.held, "clear", lambda: cleared.append("graphs"))
    own.backend.forget()
    assert cleared == ["graphs"]
    never = InstructDiffusion(own.components)
    never.backend = ComponentsBackend(own.components, cache_bytes=0)
    for model in (own, never):
        with watched(own) as seen:
            model.segment(picture, "the red star")
        assert seen == {"read": [1, 1], "encoded": [1], "decoded": [2]}
    assert not any(map(len, (never.backend.prompt_cache, never.backend.image_cache, never.backend.copy_cache)))


@torch.inference_mode()
def test_what_is_given_out_can_be_written_to(own, picture):
    states = own.backend.encode_prompt(["the red star"]).clone()
    own.backend.encode_prompt(["the red star"]).zero_()
    own.backend.encode_image(picture[None]).zero_()
    assert torch.equal(own.backend.encode_prompt(["the red star"]), states)
    assert own.backend.encode_image(picture[None]).abs().max() > 0


def test_the_editor_holds_few_bytes(own, monkeypatch):
    """Rows own their memory: a view would keep its batch's."""
    own.segment(pictures(5), "the red star")
    for kept in (own.backend.prompt_cache, own.backend.image_cache, own.backend.copy_cache):
        assert isinstance(kept, Cache)
        for value in kept._values.values():
            if isinstance(value, torch.Tensor):
                assert value.untyped_storage().nbytes() == value.nbytes
            else:
                assert value.base is None
