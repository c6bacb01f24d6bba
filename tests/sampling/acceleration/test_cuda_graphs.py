"""What can be known of graphs without a GPU: the refusal. kernels/interpreted_graphs.py has the rest."""

import types

import pytest
import torch

from instructdiffusion.sampling import UNetDenoiser, initial_noise, make_plan, none
from instructdiffusion.sampling.acceleration.cuda_graphs import StepGraphs, why_no_graph


def test_off_cuda_graphs_are_refused_with_the_reason(schedule):
    unet = types.SimpleNamespace(
        config=types.SimpleNamespace(in_channels=8, out_channels=4, cross_attention_dim=8),
        device=torch.device("cpu"),
        dtype=torch.float32,
    )
    model = UNetDenoiser(unet, torch.zeros(1, 4, 6, 5), torch.zeros(1, 3, 8), torch.zeros(1, 3, 8), "epsilon")
    plan = make_plan(schedule.sigmas("trailing", 2), "euler", none(), schedule)
    assert why_no_graph(model) == "CUDA graphs need a CUDA device, the UNet is on cpu"
    graphs = StepGraphs()
    with pytest.raises(RuntimeError, match=r"cannot be captured: .* on cpu. Use sampling.sample"):
        graphs.sample(model, initial_noise(1, (4, 6, 5)) * plan.sigma_start, plan)
    assert len(graphs) == 0
