"""Where nothing can be replayed: the reason, the same answer, and the ways to force and forbid."""

import dataclasses

import pytest
import torch

from instructdiffusion import InstructDiffusion
from instructdiffusion.inference.components_backend import ComponentsBackend
from instructdiffusion.sampling.acceleration.cuda_graph_runner import CudaGraphRunner


@pytest.mark.skipif(torch.cuda.is_available(), reason="the model would be put on the GPU's graphs")
def test_on_the_cpu_a_model_says_why_nothing_is_replayed(model, picture):
    answer = model.edit(picture, "add a red star", steps=2)
    assert model.backend.graph_runner.reason == "CUDA graphs need a CUDA device, the UNet is on cpu"
    assert model.backend.graph_runner.step_reason == "the kernel runs on CUDA, the latents are on cpu"
    model.edit(picture, "add a red star", steps=2, cache_interval=2)
    assert model.backend.graph_runner.reason == "what runs differs from row to row with cache_interval=2, adaptive=None"
    never = InstructDiffusion(model.components, graphs=False)
    assert (never.edit(picture, "add a red star", steps=2).picture == answer.picture).all()
    assert never.backend.graph_runner.reason == "graphs=False"
    always = InstructDiffusion(model.components, graphs=True)
    with pytest.raises(RuntimeError, match="cannot be captured: CUDA graphs need a CUDA device"):
        always.edit(picture, "add a red star", steps=2)
    with pytest.raises(ValueError, match="cannot go with cache_interval=2"):
        always.edit(picture, "add a red star", steps=2, cache_interval=2)


def test_a_backend_by_itself_replays_nothing(model):
    assert ComponentsBackend(model.components).graph_runner.graphs is False
    other = dataclasses.replace(model.components)
    assert InstructDiffusion(other).backend.graph_runner.graphs is None


def test_bad_input():
    with pytest.raises(ValueError, match="None, True or False"):
        CudaGraphRunner(graphs="yes")
