"""StepGraphs on the CPU: the kernel in Triton's interpreter, the captured function called instead of replayed.

Run by test_kernels_interpreted.py, as interpreted.py is. What is not covered is the capture itself.
"""

import threading
import types

import pytest
import torch

from instructdiffusion.sampling import (
    SOLVERS,
    SeededNoise,
    UNetDenoiser,
    cfg,
    initial_noise,
    instructdiffusion,
    interval,
    make_plan,
    none,
    sample,
)
from instructdiffusion.sampling.acceleration import cuda_graph_runner, cuda_graphs

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
    monkeypatch.setattr(cuda_graphs, "why_no_graph", lambda denoiser: None)
    monkeypatch.setattr(cuda_graphs, "capture", lambda run, device, pool: run)


def denoiser(unet, seed=0, batch=2, prediction_type="v_prediction"):
    g = torch.Generator().manual_seed(seed)
    image = torch.randn(batch, *SHAPE, generator=g)
    text, null = (torch.randn(n, LENGTH, WIDTH, generator=g) for n in (batch, 1))
    return UNetDenoiser(unet, image, text, null, prediction_type)


def make(schedule, solver, guidance, steps=4):
    plan = make_plan(schedule.sigmas("trailing", steps), solver, guidance, schedule)
    return plan, initial_noise([1, 2], SHAPE) * plan.sigma_start


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_run_gives_what_sample_gives(solver, schedule, unet):
    plan, x = make(schedule, solver, instructdiffusion(5, 1.25))
    mine, true = [], []
    end = cuda_graphs.StepGraphs().sample(
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
    held = cuda_graphs.StepGraphs()
    for seed, (solver, scale, prediction_type) in enumerate(
        [("euler", 2.0, "v_prediction"), ("ddim", 7.5, "epsilon"), ("dpmpp_2m", 3.0, "sample")]
    ):
        plan, x = make(schedule, solver, cfg(scale), steps=3 + seed)
        end = held.sample(denoiser(unet, seed, prediction_type=prediction_type), x, plan)
        torch.testing.assert_close(
            end, sample(denoiser(unet, seed, prediction_type=prediction_type), x, plan), rtol=1e-4, atol=1e-4
        )
        assert len(held) == 1


def test_branches_that_come_and_go_within_a_run(schedule, unet):
    held = cuda_graphs.StepGraphs()
    plan, x = make(schedule, "dpmpp_2m", interval(instructdiffusion(5, 1.25), 1.0, 5.0), steps=6)
    assert len({row.branches for row in plan}) == 2
    for _ in range(2):  # the second run finds the first one's state in every buffer
        end = held.sample(denoiser(unet), x, plan)
        torch.testing.assert_close(end, sample(denoiser(unet), x, plan), rtol=1e-4, atol=1e-4)
    assert len(held) == 2


def test_a_run_after_a_broken_one_is_whole(schedule, unet):
    held = cuda_graphs.StepGraphs()
    plan, x = make(schedule, "heun", none())
    broken = denoiser(unet)
    broken.conditions(("full",))[1][1] = float("nan")
    with pytest.raises(FloatingPointError, match=r"row 0 of 7 .* for picture 1 of"):
        held.sample(broken, x, plan)
    end = held.sample(denoiser(unet), x, plan)
    torch.testing.assert_close(end, sample(denoiser(unet), x, plan), rtol=1e-4, atol=1e-4)


def test_the_answer_and_the_start_are_the_callers_own(schedule, unet):
    held = cuda_graphs.StepGraphs()
    plan, x = make(schedule, "euler", none())
    before = x.clone()
    first = held.sample(denoiser(unet), x, plan)
    kept = first.clone()
    held.sample(denoiser(unet, seed=3), x * 0.5, plan)
    assert torch.equal(first, kept) and torch.equal(x, before)


def test_inference_mode_and_none_take_turns(schedule, unet):
    held = cuda_graphs.StepGraphs()
    plan, x = make(schedule, "dpmpp_2m", none())
    with torch.inference_mode():
        inside = held.sample(denoiser(unet), x, plan)
    assert torch.equal(held.sample(denoiser(unet), x, plan), inside)


def test_channels_last_models(schedule):
    unet = SmallUNet().to(memory_format=torch.channels_last)
    held = cuda_graphs.StepGraphs()
    plan, x = make(schedule, "euler_ancestral", cfg(3))
    end = held.sample(denoiser(unet), x, plan, SeededNoise([1, 2]))
    expected = sample(denoiser(unet), x, plan, SeededNoise([1, 2]))
    torch.testing.assert_close(end, expected, rtol=1e-4, atol=1e-4)
    (step,) = held._steps.values()
    assert step.input.is_contiguous(memory_format=torch.channels_last)


def test_bad_input(schedule, unet):
    held = cuda_graphs.StepGraphs()
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


def test_no_more_graphs_than_the_limit_are_kept(schedule, unet):
    held = cuda_graphs.StepGraphs(limit=2)
    plan, x = make(schedule, "dpmpp_2m", interval(instructdiffusion(5, 1.25), 1.0, 5.0), steps=6)
    held.sample(denoiser(unet), x, plan)
    other, y = make(schedule, "euler_ancestral", cfg(3))
    held.sample(denoiser(unet), y, other, SeededNoise([1, 2]))
    assert len(held) == 2 and held.missing(denoiser(unet), other) == 0
    assert held.missing(denoiser(unet), plan) == 1  # the one used longest ago went
    wide = cuda_graphs.StepGraphs(limit=1)
    end = wide.sample(denoiser(unet), x, plan)  # two sets of branches in one run
    torch.testing.assert_close(end, sample(denoiser(unet), x, plan), rtol=1e-4, atol=1e-4)
    assert len(wide) == len(wide._states) == 1
    for bad in (0, True, 1.5):
        with pytest.raises(ValueError, match="limit"):
            cuda_graphs.StepGraphs(limit=bad)


def test_weights_that_moved_are_captured_anew(schedule):
    unet, held = SmallUNet(), cuda_graphs.StepGraphs()
    plan, x = make(schedule, "euler", none())
    held.sample(denoiser(unet), x, plan)
    with torch.no_grad():
        unet.conv.weight.mul_(2)  # in place: the graph reads the new values
    assert held.missing(denoiser(unet), plan) == 0
    unet.conv.weight.data = unet.conv.weight.data.clone()
    assert held.missing(denoiser(unet), plan) == 1
    end = held.sample(denoiser(unet), x, plan)
    torch.testing.assert_close(end, sample(denoiser(unet), x, plan), rtol=1e-4, atol=1e-4)
    assert len(held) == 1


class LoRA(torch.nn.Module):
    """A layer with a low-rank addition, as adapters put it in the layer's place."""

    def __init__(self, base):
        super().__init__()
        self.base, self.more = base, torch.nn.Conv2d(8, 4, 1)

    def forward(self, x):
        return self.base(x) + self.more(x)


def wider(unet):
    unet.conv = LoRA(unet.conv)


def other_text(unet):
    unet.text = torch.nn.Sequential(torch.nn.Linear(WIDTH, 4))


EXCHANGES = {
    "assigned weights": lambda unet: unet.load_state_dict(
        {name: 2 * weight for name, weight in unet.state_dict().items()}, assign=True
    ),
    "a part in another's place": other_text,
    "an adapter around a part": wider,
    "one parameter": lambda unet: setattr(unet.conv, "bias", torch.nn.Parameter(torch.ones(4))),
}


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_what_is_exchanged_in_the_unet_is_captured_anew(exchange, schedule, monkeypatch):
    captured = []
    monkeypatch.setattr(cuda_graphs, "capture", lambda run, device, pool: captured.append(run) or run)
    unet, held = SmallUNet(), cuda_graphs.StepGraphs()
    plan, x = make(schedule, "euler", none())
    held.sample(denoiser(unet), x, plan)
    EXCHANGES[exchange](unet)
    assert held.missing(denoiser(unet), plan) == 1
    end = held.sample(denoiser(unet), x, plan)
    torch.testing.assert_close(end, sample(denoiser(unet), x, plan), rtol=1e-4, atol=1e-4)
    held.sample(denoiser(unet), x, plan)
    assert len(captured) == 2 and len(held) == 1


def test_threads_take_turns(schedule, unet):
    held = cuda_graphs.StepGraphs()
    plan, x = make(schedule, "dpmpp_2m", cfg(3))
    got = {}

    def work(seed):
        got[seed] = held.sample(denoiser(unet, seed), x, plan)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, end in got.items():
        torch.testing.assert_close(end, sample(denoiser(unet, seed), x, plan), rtol=1e-4, atol=1e-4)
    assert len(got) == 4 and len(held) == 1


def test_a_run_is_replayed_where_that_pays(schedule, unet, monkeypatch):
    monkeypatch.setattr(cuda_graph_runner, "why_no_graph", lambda denoiser: None)
    run = cuda_graph_runner.CudaGraphRunner()
    short, x = make(schedule, "euler", cfg(3), steps=3)
    expected = sample(denoiser(unet), x, short)
    for rows in (3, 6):
        assert torch.equal(run(denoiser(unet), x, short), expected)
        assert run.reason == f"{rows} rows do not pay for 1 captures, 8 do" and len(run.held) == 0
    torch.testing.assert_close(run(denoiser(unet), x, short), expected, rtol=1e-4, atol=1e-4)
    assert run.reason is run.step_reason is None and len(run.held) == 1  # nine rows: from now on
    single, y = make(schedule, "euler", cfg(3), steps=1)
    run(denoiser(unet), y, single)
    assert run.reason is None  # a graph of its size is there
    run.forget()
    run(denoiser(unet), y, single)
    assert run.reason is not None and len(run.held) == 0
    run(denoiser(unet), x, make(schedule, "euler", cfg(3), steps=8)[0])
    long, y = make(schedule, "euler_ancestral", none(), steps=8)
    run(denoiser(unet), y, long, SeededNoise([1, 2]))
    assert run.reason is None and len(run.held) == 2
    run(denoiser(SmallUNet()), x, short)  # another UNet: nothing of the first is kept
    assert len(run.held) == 0 and run.reason is not None


def test_what_fails_in_a_capture_is_said_and_the_run_goes_on(schedule, unet, monkeypatch, caplog):
    monkeypatch.setattr(cuda_graph_runner, "why_no_graph", lambda denoiser: None)

    def fails(run, device, pool):
        raise RuntimeError(errors[-1])

    errors = ["operation not permitted when stream is capturing\nmore"]
    monkeypatch.setattr(cuda_graphs, "capture", fails)
    plan, x = make(schedule, "euler", none(), steps=8)
    expected = sample(denoiser(unet), x, plan)
    run = cuda_graph_runner.CudaGraphRunner()
    for _ in range(2):  # the second time nothing is tried
        assert torch.equal(run(denoiser(unet), x, plan), expected)
        assert run.reason == "the capture failed: RuntimeError: " + errors[-1].partition("\n")[0]
    assert len(caplog.records) == 1 and len(run.held) == 0
    errors.append("CUDA out of memory.")
    run = cuda_graph_runner.CudaGraphRunner()
    run(denoiser(unet), x, plan)
    monkeypatch.setattr(cuda_graphs, "capture", lambda run, device, pool: run)
    run(denoiser(unet), x, plan)  # there may be room by now
    assert run.reason is None
    with pytest.raises(RuntimeError, match="capturing"):
        monkeypatch.setattr(cuda_graphs, "capture", fails)
        errors.append("capturing")
        cuda_graph_runner.CudaGraphRunner(graphs=True)(denoiser(unet), x, plan)
