"""The kernel and the graphs on a true GPU, where there is one."""

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


def test_auto_takes_the_kernel_and_never_waits(monkeypatch):
    from instructdiffusion.sampling.kernels import fused

    kwargs, seen = arguments((2, 4, 16, 16), 3, torch.float16), []
    launch = fused.launch
    monkeypatch.setattr(fused, "launch", lambda *args: seen.append(1) or launch(*args))
    step(**kwargs)  # compiles
    torch.cuda.set_sync_debug_mode("error")
    try:
        for number in (0.25, 1.0, -3.5):
            step(**{**kwargs, "coefs": kwargs["coefs"]._replace(x=number)})
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(seen) == 4


@pytest.fixture(scope="module")
def model():
    diffusers = pytest.importorskip("diffusers")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = diffusers.UNet2DConditionModel(
            sample_size=8,
            in_channels=8,
            out_channels=4,
            block_out_channels=(32, 32),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=WIDTH,
            attention_head_dim=4,
        )
    g = torch.Generator().manual_seed(1)
    image = torch.randn(2, *SHAPE, generator=g)
    text, null = (torch.randn(n, LENGTH, WIDTH, generator=g) for n in (2, 1))
    return UNetDenoiser(unet.eval().requires_grad_(False).cuda(), image, text, null, "v_prediction")


@pytest.mark.parametrize("solver", SOLVERS)
def test_replayed_graphs_give_what_sample_gives(solver, schedule, model):
    from instructdiffusion.sampling.graphs import StepGraphs

    graphs = StepGraphs()
    for guidance in (cfg(2), cfg(5), interval(instructdiffusion(5, 1.25), 1.0, 5.0)):
        plan = make_plan(schedule.sigmas("trailing", 5), solver, guidance, schedule)
        x = initial_noise([1, 2], SHAPE).cuda() * plan.sigma_start
        noise = SeededNoise([1, 2])
        expected = sample(model, x, plan, noise, backend="reference")
        for _ in range(2):
            end = graphs.sample(model, x, plan, noise)
            torch.testing.assert_close(end, expected, rtol=0, atol=2e-3 * float(expected.std()))
    assert len(graphs) == 3  # full and unconditional; full, image_only and text_only; full alone
