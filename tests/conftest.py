"""A model with random weights, small and whole: what it draws is nonsense, how it is asked is real."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest


def pytest_addoption(parser):
    """Say how much of each fuzzer is drawn: CI takes a few per cent, `--fuzz-share 1` all of it."""
    group = parser.getgroup("fuzz")
    group.addoption("--fuzz-share", type=float, default=0.03, help="part of each fuzzer's cases (default: 0.03)")
    group.addoption("--fuzz-seed", type=int, default=0, help="what the cases are drawn from (default: 0)")


@pytest.fixture
def fuzz_cases(request):
    """The cases of a test marked `fuzz(count=n)`: pairs (number, random.Random), each case from its own seed."""
    count = request.node.get_closest_marker("fuzz").kwargs["count"]
    share, seed = request.config.getoption("--fuzz-share"), request.config.getoption("--fuzz-seed")
    name = request.node.name
    return [(i, random.Random(f"{seed}:{name}:{i}")) for i in range(max(1, math.ceil(count * share)))]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """A model folder in diffusers' layout, with random weights drawn from a fixed seed."""
    import torch

    from instructdiffusion.models.architecture import build_text_encoder, build_unet, build_vae
    from instructdiffusion.models.formats.folder import SCHEDULER, write_index
    from instructdiffusion.models.tokenizer import write_tokenizer
    from instructdiffusion.tasks import TASKS

    folder = tmp_path_factory.mktemp("model")
    words = [t for task in TASKS.values() for t in (*task.templates, *task.paraphrases)]
    words += [c.name for task in TASKS.values() for c in task.palette] + ["the red star and the blue circle"]
    write_tokenizer(words, folder / "tokenizer", merges=400)
    vocabulary = len(json.loads((folder / "tokenizer" / "vocab.json").read_text()))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        build_unet((32, 32, 32), context=64).save_pretrained(folder / "unet")
        build_vae((32, 32, 32)).save_pretrained(folder / "vae")
        build_text_encoder(vocabulary, width=64, layers=1).save_pretrained(folder / "text_encoder")
    write_index(folder, {**SCHEDULER, "prediction_type": "v_prediction"})
    return folder


@pytest.fixture(scope="session")
def model(model_folder):
    """That model, loaded."""
    from instructdiffusion import InstructDiffusion

    return InstructDiffusion.from_pretrained(model_folder, device="cpu")


@pytest.fixture
def picture():
    """A picture uint8 [64, 64, 3]: a soft gradient with a red square."""
    y, x = np.mgrid[:64, :64]
    array = np.stack([x * 2, y * 2, 255 - x - y], axis=2).astype(np.uint8)
    array[20:36, 30:46] = (255, 0, 0)
    return array
