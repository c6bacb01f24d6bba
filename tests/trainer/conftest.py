"""The smallest model folder that the stages after the autoencoder can start from."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def start_folder(tmp_path_factory):
    """vae/ and tokenizer/ only, with random weights drawn from a fixed seed."""
    import torch

    from instructdiffusion.datasets.synthetic.examples import make_example
    from instructdiffusion.models.architecture import build_vae
    from instructdiffusion.models.norms import VAE_SOFTNESS, harden_norms
    from instructdiffusion.models.tokenizer import write_tokenizer

    folder = tmp_path_factory.mktemp("start")
    examples = [make_example(task, seed, level=0) for task in ("segment", "edit") for seed in range(20)]
    words = [text for e in examples for text in (e.instruction.text, e.record.caption)]
    write_tokenizer(words, folder / "tokenizer", merges=100)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = build_vae((32, 32, 32))
    harden_norms(vae, VAE_SOFTNESS)
    vae.save_pretrained(folder / "vae")
    return folder


@pytest.fixture(scope="session")
def generator_folder(start_folder, tmp_path_factory):
    """A whole model folder as the generator stage leaves it, with random weights: what marks and instruct need."""
    from instructdiffusion.trainer.config import ModelConfig, TrainConfig
    from instructdiffusion.trainer.loop import build_stage

    folder = tmp_path_factory.mktemp("generator") / "model"
    sizes = ModelConfig((32, 32, 32), 1, (32, 32, 32), 1, None, 64, 1)
    build_stage(TrainConfig("generator", "out", 1, init=str(start_folder), model=sizes)).export(folder)
    return folder
