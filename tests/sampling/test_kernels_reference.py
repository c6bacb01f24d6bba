import pytest
import torch

from instructdiffusion.sampling import StepCoefs
from instructdiffusion.sampling.kernels import step

COEFS = StepCoefs(
    weights=(3.0, -2.0), skip=0.1, out=-0.9, x=0.5, d=(0.75, -0.25), saved=0.2, noise=1.5, next_scale=0.7
)


@pytest.fixture
def tensors():
    g = torch.Generator().manual_seed(0)
    x, old, saved, noise = (torch.randn(2, 4, 3, 5, generator=g) for _ in range(4))
    return dict(
        x=x, predictions=torch.randn(2, 2, 4, 3, 5, generator=g), history=(old,), saved=saved, noise=noise
    )


def test_the_step_is_its_formula(tensors):
    x, p, (old,), saved, noise = tensors.values()
    denoised = 0.1 * x - 0.9 * (3 * p[0] - 2 * p[1])
    new = 0.5 * x + 0.2 * saved + 0.75 * denoised - 0.25 * old + 1.5 * noise
    out = step(**tensors, coefs=COEFS)
    torch.testing.assert_close(out.denoised, denoised)
    torch.testing.assert_close(out.x, new)
    torch.testing.assert_close(out.scaled, new * 0.7)


def test_inputs_are_left_unchanged(tensors):
    before = [t.clone() for t in (tensors["x"], tensors["predictions"], tensors["saved"], tensors["noise"])]
    step(**tensors, coefs=COEFS)
    after = (tensors["x"], tensors["predictions"], tensors["saved"], tensors["noise"])
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_terms_of_coefficient_zero_are_not_read(tensors):
    coefs = COEFS._replace(x=0.0, d=(1.0,), saved=0.0, noise=0.0, skip=0.0)
    nan = torch.full_like(tensors["x"], float("nan"))
    out = step(nan, tensors["predictions"], coefs, (nan,), nan, nan)
    assert torch.isfinite(out.x).all() and torch.equal(out.x, out.denoised)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_predictions_are_combined_in_float32(tensors, dtype):
    half = tensors["predictions"].to(dtype)
    out = step(**{**tensors, "predictions": half}, coefs=COEFS)
    exact = step(**{**tensors, "predictions": half.float()}, coefs=COEFS)
    assert out.x.dtype == torch.float32 and torch.equal(out.x, exact.x)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"predictions": torch.zeros(1, 2, 4, 3, 5)}, "2 branch"),
        ({"history": ()}, "1 earlier"),
        ({"saved": None}, "saved"),
        ({"noise": None}, "noise"),
    ],
)
def test_what_a_row_needs_must_be_given(tensors, changes, message):
    with pytest.raises(ValueError, match=message):
        step(**{**tensors, **changes}, coefs=COEFS)
