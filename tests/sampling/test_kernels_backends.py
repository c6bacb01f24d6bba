import importlib.util
import subprocess
import sys

import pytest
import torch

from instructdiffusion.sampling import StepCoefs, make_plan, none, sample
from instructdiffusion.sampling.kernels import BACKENDS, backends, step, why_not, why_not_here, why_reference

COEFS = StepCoefs(
    weights=(3.0, -2.0), skip=0.1, out=-0.9, x=0.5, d=(0.75,), saved=0.0, noise=0.0, next_scale=0.7
)


@pytest.fixture
def tensors():
    g = torch.Generator().manual_seed(0)
    return dict(
        x=torch.randn(2, 4, 3, 5, generator=g),
        predictions=torch.randn(2, 2, 4, 3, 5, generator=g),
        coefs=COEFS,
    )


@pytest.fixture
def ask_again():
    """Whether triton can be imported is found out once; a test that changes the answer must ask anew."""
    backends._why_no_triton.cache_clear()
    yield
    backends._why_no_triton.cache_clear()


def test_on_the_cpu_auto_is_the_reference(tensors):
    auto, true = step(**tensors), step(**tensors, backend="reference")
    assert all(torch.equal(a, b) for a, b in zip(auto, true, strict=True))


def test_a_forced_kernel_that_cannot_run_says_why(tensors, schedule, gaussian):
    reason = why_not(**tensors)
    assert reason is not None and "\n" not in reason
    with pytest.raises(RuntimeError, match="backend='triton' cannot run this step: .* Use backend='auto'"):
        step(**tensors, backend="triton")
    plan = make_plan(schedule.sigmas("trailing", 2), "euler", none(), schedule)
    with pytest.raises(RuntimeError, match="cannot run this step"):
        sample(gaussian(), tensors["x"], plan, backend="triton")


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
@pytest.mark.parametrize("device", ["cpu", "mps", "meta"])
def test_other_devices_are_a_reason(device):
    assert why_not_here(device) == f"the kernel runs on CUDA, the latents are on {device}"


def test_a_missing_triton_is_a_reason(tensors, monkeypatch, ask_again):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "triton" else find(name, *a)
    )
    assert "triton is not installed" in why_not(**tensors)
    assert "triton is not installed" in why_not_here("cuda")
    assert torch.equal(step(**tensors).x, step(**tensors, backend="reference").x)


def test_a_broken_triton_is_a_reason(tensors, monkeypatch, ask_again, tmp_path):
    (tmp_path / "triton.py").write_text("raise OSError('libtriton.so: wrong ELF class')")
    for name in [m for m in sys.modules if m.split(".")[0] == "triton" or m.endswith("kernels.fused")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(sys.modules[backends.__package__], "fused", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    assert why_not(**tensors) == "triton cannot be imported: OSError: libtriton.so: wrong ELF class"


@pytest.mark.parametrize(
    "capability, allowed", [((7, 5), False), ((6, 1), False), ((8, 0), True), ((8, 9), True), ((12, 0), True)]
)
def test_old_gpus_are_a_reason(capability, allowed):
    reason = backends._why_not_capability(capability)
    assert (reason is None) == allowed
    if not allowed:
        assert reason == f"the GPU has compute capability {capability[0]}.{capability[1]}; triton needs 8.0"


def test_unknown_names_are_refused_with_the_list(tensors, schedule, gaussian):
    for bad in ("cuda", "", None):
        with pytest.raises(ValueError, match="auto, reference, triton"):
            step(**tensors, backend=bad)
    plan = make_plan(schedule.sigmas("trailing", 2), "euler", none(), schedule)
    model = gaussian()
    with pytest.raises(ValueError, match="unknown backend 'gpu'"):
        sample(model, tensors["x"], plan, backend="gpu")
    assert BACKENDS == ("auto", "reference", "triton") and not model.calls


def test_sampling_on_the_cpu_never_imports_triton():
    code = """
import sys, torch
from instructdiffusion.sampling import Schedule, cfg, make_plan, sample, SeededNoise
class Model:
    prediction_type = "epsilon"
    def predict(self, x, row, branches):
        return torch.stack([x] * len(branches))
s = Schedule.scaled_linear()
plan = make_plan(s.sigmas("karras", 3), "euler_ancestral", cfg(2), s)
sample(Model(), torch.ones(1, 4, 2, 2), plan, SeededNoise([1]))
import instructdiffusion.sampling.acceleration.cuda_graphs
assert "triton" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_next_input_is_written_into_the_batch_once_a_branch(tensors, dtype):
    whole = torch.full((3, 2, 8, 3, 5), 7.0, dtype=dtype)
    out = step(**tensors, batch=whole[:, :, :4])
    true = step(**tensors).scaled.to(dtype)
    assert out.scaled.data_ptr() == whole.data_ptr() and (whole[:, :, 4:] == 7).all()
    assert all(torch.equal(one, true) for one in out.scaled)


def test_a_denoised_latent_that_is_not_wanted_is_not_given(tensors):
    out = step(**tensors, keep=False)
    assert out.denoised is None and torch.equal(out.x, step(**tensors).x)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_flags_fall_for_pictures_that_are_not_finite_and_stay_down(tensors, bad):
    finite = torch.ones(2, dtype=torch.bool)
    tensors["predictions"][1, 0, 3, 2, 4] = bad
    step(**tensors, finite=finite)
    assert finite.tolist() == [False, True]
    step(**{**tensors, "predictions": torch.zeros(2, 2, 4, 3, 5)}, finite=finite)
    assert finite.tolist() == [False, True]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"predictions": torch.zeros(2, 1, 4, 3, 5)}, r"each prediction must .* \(2, 4, 3, 5\); got \(1,"),
        ({"history": (torch.zeros(2, 4, 3, 4),)}, "history must have the state's shape"),
        ({"noise": torch.zeros(1, 4, 3, 5)}, "noise must have the state's shape"),
        ({"saved": torch.zeros(4, 3, 5)}, "saved x must have the state's shape"),
        ({"batch": torch.zeros(3, 1, 4, 3, 5)}, "each branch of the batch must"),
        ({"finite": torch.ones(2)}, "finite must be bool"),
        ({"finite": torch.ones(3, dtype=torch.bool)}, r"finite must be bool \[2\]"),
    ],
)
def test_misshapen_tensors_are_refused_not_broadcast(tensors, changes, message):
    with pytest.raises(ValueError, match=message):
        step(**{**tensors, **changes})


def test_a_model_that_takes_its_input_in_place_gives_the_same(schedule, gaussian):
    class InPlace(gaussian):
        buffer = torch.zeros(4, 2, 4, 3, 5)

        def input_batch(self, branches):
            return self.buffer[: len(branches)]

        def predict(self, x_scaled, row, branches):
            assert x_scaled.data_ptr() == self.buffer.data_ptr() and len(x_scaled) == len(branches)
            assert torch.equal(x_scaled, x_scaled[:1].expand_as(x_scaled))
            return super().predict(x_scaled[0], row, branches)

    from instructdiffusion.sampling import instructdiffusion, interval

    guidance = interval(instructdiffusion(5, 1.25), 1.0, 5.0)
    plan = make_plan(schedule.sigmas("trailing", 5), "heun", guidance, schedule)
    x = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(1)) * plan.sigma_start
    assert torch.equal(sample(InPlace(), x, plan), sample(gaussian(), x, plan))


class OnGPU(torch.Tensor):
    """A tensor that says it lies on a GPU."""

    device = property(lambda self: torch.device("cuda"))


def test_a_step_that_falls_to_the_reference_on_a_gpu_says_why_once(tensors, monkeypatch, caplog):
    caplog.set_level("DEBUG", backends.__name__)
    monkeypatch.setattr(backends, "_told", set())
    expected = step(**tensors)
    assert why_reference() == "the kernel runs on CUDA, the latents are on cpu"
    there = {**tensors, "x": tensors["x"].as_subclass(OnGPU)}
    for reason in ("the kernel is on strike", "the kernel is on strike", "the kernel is tired"):
        monkeypatch.setattr(backends, "why_not", lambda *args, reason=reason, **kwargs: reason)
        assert torch.equal(step(**there).x, expected.x)
        assert why_reference() == reason
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        f"the step outside the UNet runs in torch: the kernel is {how}" for how in ("on strike", "tired")
    ]
    step(**tensors, backend="reference")
    assert why_reference() == "backend='reference' was asked for" and len(caplog.records) == 2
