"""A model with random weights, small and whole: what it draws is nonsense, how it is asked is real."""

from __future__ import annotations

import json

import numpy as np
import pytest


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
