"""Patches that do nothing on small models are told of; on models of Stable Diffusion's widths they work."""

from __future__ import annotations

import importlib
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


class FreeU:
    @staticmethod
    def execute() -> Any:
        return lambda h, hsp, options: (h, hsp)


class TomePatchModel:
    @staticmethod
    def execute() -> Any:
        return lambda q, k, v, options: (q, k, v)


def model(multiples: list[float], depth: list[int], **patches: Any) -> Any:
    config = {"model_channels": 64, "channel_mult": multiples, "transformer_depth": depth}
    options = {"transformer_options": {"patches": {name: [patch] for name, patch in patches.items()}}}
    network = SimpleNamespace(model_config=SimpleNamespace(unet_config=config))
    return SimpleNamespace(model=network, model_options=options)


@pytest.fixture(scope="module")
def patches(pack: ModuleType) -> ModuleType:
    return importlib.import_module(".nodes.patches", pack.__name__)


def test_what_does_nothing_is_said(patches: ModuleType) -> None:
    both = {"output_block_patch": FreeU.execute(), "attn1_patch": TomePatchModel.execute()}
    for patch in both.values():  # named as ComfyUI's nodes name what they make
        patch.__qualname__ = patch.__qualname__.rpartition("test_patches.")[2]
    said = patches.idle_patches(model([1, 1.5, 2.5], [0, 1, 1], **both))
    assert len(said) == 2 and "FreeU" in said[0] and "128 and 256" in said[0] and "ToMe" in said[1]
    assert patches.idle_patches(model([1, 2, 4, 4], [1, 1, 1, 1, 1, 1, 0, 0], **both)) == []
    assert patches.idle_patches(model([1, 1.5], [0, 1], output_block_patch=lambda h, hsp, options: (h, hsp))) == []
    assert patches.idle_patches(model([1, 1.5], [0, 1])) == []
