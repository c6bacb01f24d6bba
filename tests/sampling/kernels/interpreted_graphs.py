"""StepGraphs on the CPU: the kernel in Triton's interpreter, the captured function called instead of replayed.

Run by test_kernels_interpreted.py, as interpreted.py is. What is not covered is the capture itself.
"""

import types

import pytest
import torch

from instructdiffusion.sampling import (
    SOLVERS,
    SeededNoise,
    UNetDenoiser,
    cfg,
    graphs,
    initial_noise,
    instructdiffusion,
    interval,
    make_plan,
    none,
    sample,
)

SHAPE, LENGTH, WIDTH = (4, 6, 5), 3, 8


class SmallUNet(torch.nn.Module):
    """Called as diffusers' UNet is: reads latents, condition, time and text, each in a way that shows."""

    config = types.SimpleNamespace(in_channels=8, out_channels=4, cross_attention_dim=WIDTH)
    device, dtype = torch.device("cpu"), torch.float32

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(8, 4, 3, padding=1)
        self.text = torch.nn.Linear(WIDTH, 4)
        generator = torch.Generator().manual_seed(0)
        for p in self.parameters():
            torch.nn.init.normal_(p, std=0.2, generator=generator)

    def forward(self, x, t, encoder_hidden_states, return_dict):
        assert x.shape[0] == t.shape[0] == encoder_hidden_states.shape[0] and not return_dict
        shift = self.text(encoder_hidden_states.mean(1)) * torch.cos(t / 300)[:, None]
        return (torch.tanh(self.conv(x)) + shift[:, :, None, None],)


@pytest.fixture(scope="module")
def unet():
    return SmallUNet()


@pytest.fixture(autouse=True)
def called_instead_of_captured(monkeypatch):
    monkeypatch.setattr(graphs, "why_no_graph", lambda denoiser: None)
    monkeypatch.setattr(graphs, "capture", lambda run, device, pool: run)


def denoiser(unet, seed=0, batch=2, kind="v_prediction"):
    g = torch.Generator().manual_seed(seed)
    image = torch.randn(batch, *SHAPE, generator=g)
    text, null = (torch.randn(n, LENGTH, WIDTH, generator=g) for n in (batch, 1))
    return UNetDenoiser(unet, image, text, null, kind)


def make(schedule, solver, guidance, steps=4):
    plan = make_plan(schedule.sigmas("trailing", steps), solver, guidance, schedule)
    return plan, initial_noise([1, 2], SHAPE) * plan.sigma_start


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_run_gives_what_sample_gives(solver, schedule, unet):
    plan, x = make(schedule, solver, instructdiffusion(5, 1.25))
    mine, true = [], []
    end = graphs.StepGraphs().sample(
        denoiser(unet), x, plan, SeededNoise([1, 2]), lambda i, x, d: mine.append((i, x, d))
    )
    expected = sample(denoiser(unet), x, plan, SeededNoise([1, 2]), lambda i, x, d: true.append((i, x, d)))
    torch.testing.assert_close(end, expected, rtol=1e-4, atol=1e-4)
    assert len(mine) == len(true) == len(plan)
    for (i, a, b), (j, c, d) in zip(mine, true, strict=True):
        assert i == j
        torch.testing.assert_close(a, c, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(b, d, rtol=1e-4, atol=1e-4)


def test_one_graph_serves_all_rows_plans_and_pictures_of_a_size(schedule, unet):
    held = graphs.StepGraphs()
    for seed, (solver, scale, kind) in enumerate(
        [("euler", 2.0, "v_prediction"), ("ddim", 7.5, "epsilon"), ("dpmpp_2m", 3.0, "sample")]
    ):
        plan, x = make(schedule, solver, cfg(scale), steps=3 + seed)
        end = held.sample(denoiser(unet, seed, kind=kind), x, plan)
        torch.testing.assert_close(
            end, sample(denoiser(unet, seed, kind=kind), x, plan), rtol=1e-4, atol=1e-4
        )
        assert len(held) == 1


def test_branches_that_come_and_go_within_a_run(schedule, unet):
    held = graphs.StepGraphs()
    plan, x = make(schedule, "dpmpp_2m", interval(instructdiffusion(5, 1.25), 1.0, 5.0), steps=6)
    assert len({row.branches for row in plan}) == 2
    for _ in range(2):  # the second run finds the first one's state in every buffer
        end = held.sample(denoiser(unet), x, plan)
        torch.testing.assert_close(end, sample(denoiser(unet), x, plan), rtol=1e-4, atol=1e-4)
    assert len(held) == 2


def test_a_run_after_a_broken_one_is_whole(schedule, unet):
    held = graphs.StepGraphs()
    plan, x = make(schedule, "heun", none())
    broken = denoiser(unet)
    broken.conditions(("full",))[1][1] = float("nan")
    with pytest.raises(FloatingPointError, match=r"row 0 of 7 .* for picture 1 of"):
        held.sample(broken, x, plan)
    end = held.sample(denoiser(unet), x, plan)
    torch.testing.assert_close(end, sample(denoiser(unet), x, plan), rtol=1e-4, atol=1e-4)


def test_the_answer_and_the_start_are_the_callers_own(schedule, unet):
    held = graphs.StepGraphs()
    plan, x = make(schedule, "euler", none())
    before = x.clone()
    first = held.sample(denoiser(unet), x, plan)
    kept = first.clone()
    held.sample(denoiser(unet, seed=3), x * 0.5, plan)
    assert torch.equal(first, kept) and torch.equal(x, before)


def test_inference_mode_and_none_take_turns(schedule, unet):
    held = graphs.StepGraphs()
    plan, x = make(schedule, "dpmpp_2m", none())
    with torch.inference_mode():
        inside = held.sample(denoiser(unet), x, plan)
    assert torch.equal(held.sample(denoiser(unet), x, plan), inside)


def test_channels_last_models(schedule):
    unet = SmallUNet().to(memory_format=torch.channels_last)
    held = graphs.StepGraphs()
    plan, x = make(schedule, "euler_ancestral", cfg(3))
    end = held.sample(denoiser(unet), x, plan, SeededNoise([1, 2]))
    expected = sample(denoiser(unet), x, plan, SeededNoise([1, 2]))
    torch.testing.assert_close(end, expected, rtol=1e-4, atol=1e-4)
    (step,) = held._steps.values()
    assert step.input.is_contiguous(memory_format=torch.channels_last)


def test_bad_input(schedule, unet):
    held = graphs.StepGraphs()
    plan, x = make(schedule, "euler", none())
    with pytest.raises(ValueError, match="at most float32"):
        held.sample(denoiser(unet), x.double(), plan)
    with pytest.raises(ValueError, match=r"latents must be \(2, 4, 6, 5\)"):
        held.sample(denoiser(unet), x[:1], plan)
    with pytest.raises(ValueError, match="NaN"):
        held.sample(denoiser(unet), x * float("nan"), plan)
    with pytest.raises(ValueError, match="adds noise"):
        held.sample(denoiser(unet), x, make(schedule, "euler_ancestral", none())[0])
    held.sample(denoiser(unet), x, plan)
    with pytest.raises(ValueError, match="another UNet"):
        held.sample(denoiser(SmallUNet()), x, plan)
    held.clear()
    assert len(held) == 0
    held.sample(denoiser(SmallUNet()), x, plan)
