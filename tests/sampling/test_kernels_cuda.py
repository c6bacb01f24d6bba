"""The kernel and the graphs on a true GPU, where there is one."""

import warnings

import pytest
import torch

from instructdiffusion.sampling import (
    SOLVERS,
    SeededNoise,
    StepCoefs,
    UNetDenoiser,
    cfg,
    initial_noise,
    instructdiffusion,
    interval,
    make_plan,
    sample,
)
from instructdiffusion.sampling.kernels import step, why_not, why_not_here

REASON = why_not_here("cuda") if torch.cuda.is_available() else "torch finds no CUDA device"
if REASON is not None:
    pytest.skip(f"nothing is run on a GPU: {REASON}", allow_module_level=True)

SHAPE, LENGTH, WIDTH = (4, 8, 8), 6, 16


def arguments(shape, branches, dtype):
    g = torch.Generator("cuda").manual_seed(0)

    def random(*leading):
        return torch.randn(*leading, *shape, device="cuda", generator=g)

    weights = (3.0, -2.5, 1.25, -0.75)[:branches]
    coefs = StepCoefs(weights, 0.1, -0.9, 0.5, (0.75, -0.25, 0.5, -0.125), 0.2, 1.5, 0.7)
    predictions = random(branches).to(dtype)
    history = tuple(random() for _ in range(3))
    return dict(
        x=random(), predictions=predictions, coefs=coefs, history=history, saved=random(), noise=random()
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("branches", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(1, 4, 64, 64), (3, 4, 13, 11)], ids=str)
def test_the_kernel_agrees_with_the_reference(shape, branches, dtype):
    kwargs = arguments(shape, branches, dtype)
    assert why_not(**kwargs) is None
    outs = []
    for backend in ("triton", "reference"):
        finite = torch.ones(len(kwargs["x"]), dtype=torch.bool, device="cuda")
        batch = torch.zeros(branches, *shape, dtype=dtype, device="cuda")
        outs.append(step(**kwargs, batch=batch, finite=finite, backend=backend))
        assert finite.all()
    for a, b in zip(*outs, strict=True):
        torch.testing.assert_close(a, b, rtol=max(1e-5, torch.finfo(a.dtype).eps), atol=1e-5)


def waits_are_errors(yes):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns, once, that this mode does not see every wait
        torch.cuda.set_sync_debug_mode("error" if yes else "default")


def test_auto_takes_the_kernel_and_never_waits(monkeypatch):
    from instructdiffusion.sampling.kernels import fused

    kwargs, seen = arguments((2, 4, 16, 16), 3, torch.float16), []
    launch = fused.launch
    monkeypatch.setattr(fused, "launch", lambda *args: seen.append(1) or launch(*args))
    step(**kwargs)  # compiles
    waits_are_errors(True)
    try:
        for number in (0.25, 1.0, -3.5):
            step(**{**kwargs, "coefs": kwargs["coefs"]._replace(x=number)})
    finally:
        waits_are_errors(False)
    assert len(seen) == 4


@pytest.fixture(scope="module")
def model(new_unet):
    g = torch.Generator().manual_seed(1)
    image = torch.randn(2, *SHAPE, generator=g)
    text, null = (torch.randn(n, LENGTH, WIDTH, generator=g) for n in (2, 1))
    return UNetDenoiser(new_unet().requires_grad_(False).cuda(), image, text, null, "v_prediction")


@pytest.fixture
def exact(monkeypatch):
    """Convolutions in float32: TF32, torch's default, makes 2e-3 of a deviation out of the last bit of an input."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.mark.parametrize("solver", SOLVERS)
def test_replayed_graphs_give_what_sample_gives(solver, schedule, model, exact):
    from instructdiffusion.sampling.acceleration.cuda_graphs import StepGraphs

    graphs = StepGraphs()
    for guidance in (cfg(2), cfg(5), interval(instructdiffusion(5, 1.25), 1.0, 5.0)):
        plan = make_plan(schedule.sigmas("trailing", 5), solver, guidance, schedule)
        x = initial_noise([1, 2], SHAPE).cuda() * plan.sigma_start
        noise = SeededNoise([1, 2])
        expected = sample(model, x, plan, noise, backend="reference")
        for _ in range(2):
            end = graphs.sample(model, x, plan, noise)
            torch.testing.assert_close(end, expected, rtol=0, atol=1e-3 * float(expected.std()))
    assert len(graphs) == 3  # full and unconditional; full, image_only and text_only; full alone


def test_a_replayed_run_never_waits_for_the_device(schedule, model):
    """Between the check of the start and that of the flags at the end: no step reads anything back."""
    from instructdiffusion.sampling.acceleration.cuda_graphs import StepGraphs

    graphs, calls = StepGraphs(), []
    plan = make_plan(schedule.sigmas("trailing", 5), "euler_ancestral", cfg(3), schedule)
    x, noise = initial_noise([1, 2], SHAPE).cuda() * plan.sigma_start, SeededNoise([1, 2])
    graphs.sample(model, x, plan, noise)

    def on_step(i, x, denoised):
        calls.append(i)
        waits_are_errors(i < len(plan) - 1)

    try:
        graphs.sample(model, x, plan, noise, on_step)
    finally:
        waits_are_errors(False)
    assert calls == list(range(len(plan)))


def test_a_model_replays_by_itself_and_answers_the_same(model_folder, picture):
    from instructdiffusion import InstructDiffusion

    models = [
        InstructDiffusion.from_pretrained(model_folder, device="cuda", graphs=g) for g in (False, None, True)
    ]
    guided = {"steps": 10, "guidance": (3.0, 1.5)}
    for options in (guided, {**guided, "solver": "euler_ancestral"}, {"steps": 1}):
        never, auto, always = (
            m.edit(picture, "add a red star", **options).picture.astype(int) for m in models
        )
        assert abs(auto - never).max() <= 4 and abs(always - never).max() <= 4
    reasons = [m.backend.graph_runner.reason for m in models]
    assert reasons[0] == "graphs=False" and "do not pay" in reasons[1] and reasons[2] is None
    assert len(models[1].backend.graph_runner.held) == 2


def test_half_precision_and_channels_last_are_replayed(schedule, new_unet):
    from instructdiffusion.sampling.acceleration.cuda_graphs import StepGraphs

    plan = make_plan(schedule.sigmas("trailing", 4), "dpmpp_2m", instructdiffusion(5, 1.25), schedule)
    x = initial_noise([1, 2], SHAPE).cuda() * plan.sigma_start
    for dtype in (torch.float16, torch.bfloat16):
        unet = new_unet().requires_grad_(False).to("cuda", dtype, memory_format=torch.channels_last)
        g = torch.Generator().manual_seed(1)
        image, text, null = (
            torch.randn(*s, generator=g) for s in ((2, *SHAPE), (2, LENGTH, WIDTH), (1, LENGTH, WIDTH))
        )
        half = UNetDenoiser(unet, image, text, null, "v_prediction")
        end, expected = StepGraphs().sample(half, x, plan), sample(half, x, plan)
        torch.testing.assert_close(end, expected, rtol=0, atol=0.05 * float(expected.std()))
