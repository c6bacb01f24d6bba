"""The smallest model folder that the stages after the autoencoder can start from."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def start_folder(tmp_path_factory):
    """vae/ and tokenizer/ only, with random weights drawn from a fixed seed."""
    import torch

    from instructdiffusion.models.build import build_vae
    from instructdiffusion.models.norms import VAE_SOFTNESS, harden_norms
    from instructdiffusion.models.tokenizer import write_tokenizer
    from instructdiffusion.trainer.examples import make_example

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
