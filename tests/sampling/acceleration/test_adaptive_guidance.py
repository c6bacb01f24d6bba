"""Branches that agree with the full one are left out, picture by picture, and the answer stays near the whole run's."""

import math

import pytest
import torch

from instructdiffusion.sampling import (
    AdaptiveGuidance,
    SeededNoise,
    UNetDenoiser,
    initial_noise,
    instructdiffusion,
    instructpix2pix,
    make_plan,
    sample,
)
from instructdiffusion.sampling.acceleration.adaptive_guidance import denoised_of
from instructdiffusion.sampling.plan import Row

SHAPE, WIDTH, LENGTH = (4, 8, 8), 16, 6


@pytest.fixture(scope="module")
def unet(new_unet):
    return new_unet().requires_grad_(False)


def denoiser(unet, batch=3, prediction_type="v_prediction", only=None):
    g = torch.Generator().manual_seed(1)
    image = torch.randn(batch, *SHAPE, generator=g)
    text, null = (torch.randn(n, LENGTH, WIDTH, generator=g) for n in (batch, 1))
    text[1:2] = null  # the second picture's instruction says nothing: image_only agrees with full at once
    rows = slice(None) if only is None else slice(only, only + 1)
    return UNetDenoiser(unet, image[rows], text[rows], null, prediction_type)


def run(model, plan, seeds):
    x = initial_noise(seeds, SHAPE) * plan.sigma_start
    return sample(model, x, plan, SeededNoise(seeds))


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("solver", ["euler", "heun", "dpmpp_2m_sde"])
def test_at_no_tolerance_only_equal_branches_are_left_out_and_the_answer_is_the_same(
    unet, schedule, solver, prediction_type
):
    plan = make_plan(schedule.sigmas("trailing", 6), solver, instructdiffusion(5, 1.25), schedule)
    adaptive = AdaptiveGuidance(denoiser(unet, prediction_type=prediction_type), 0.0)
    out, expected = (
        run(adaptive, plan, [1, 2, 3]),
        run(denoiser(unet, prediction_type=prediction_type), plan, [1, 2, 3]),
    )
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4 * float(expected.std()))
    rows = len(plan)
    assert adaptive.evaluations == 3 * 3 * rows - (rows - 1)  # the silent picture's image_only ran once


def test_a_wide_tolerance_leaves_out_everything_after_the_first_row(unet, schedule):
    plan = make_plan(schedule.sigmas("trailing", 6), "dpmpp_2m", instructdiffusion(5, 1.25), schedule)
    adaptive = AdaptiveGuidance(denoiser(unet), 1e6)
    for _ in range(2):  # a new run decides anew
        adaptive.evaluations = 0
        run(adaptive, plan, [1, 2, 3])
        assert adaptive.evaluations == 3 * 3 + 3 * (len(plan) - 1)


def test_runs_of_one_row_decide_each_for_themselves(unet, schedule):
    plan = make_plan(schedule.sigmas("trailing", 1), "euler", instructdiffusion(5, 1.25), schedule)
    adaptive = AdaptiveGuidance(denoiser(unet), 1e6)
    for seeds in ([1, 2, 3], [4, 5, 6]):  # of one sigma
        assert torch.equal(run(adaptive, plan, seeds), run(denoiser(unet), plan, seeds))
    assert adaptive.evaluations == 2 * 3 * 3


def test_a_branch_left_out_says_what_full_says(unet, schedule):
    plan = make_plan(schedule.sigmas("trailing", 6), "euler", instructpix2pix(5, 1.5), schedule)
    branches = plan[0].branches
    adaptive, x = AdaptiveGuidance(denoiser(unet), 1e6), initial_noise([1, 2, 3], SHAPE)
    adaptive.predict(x, plan[0], branches)
    out = adaptive.predict(x, plan[1], branches)
    full = denoiser(unet).predict(x, plan[1], ("full",))[0]
    for one in out:
        torch.testing.assert_close(one, full, rtol=1e-5, atol=1e-5)


def test_a_picture_answers_the_same_in_any_batch(unet, schedule):
    plan = make_plan(schedule.sigmas("trailing", 8), "dpmpp_2m", instructdiffusion(3, 1.25), schedule)
    tolerance = 0.3
    together = AdaptiveGuidance(denoiser(unet), tolerance)
    out = run(together, plan, [1, 2, 3])
    assert 3 * len(plan) < together.evaluations < 9 * len(plan)  # some are left out, at different rows
    for i, seed in enumerate([1, 2, 3]):
        alone = run(AdaptiveGuidance(denoiser(unet, only=i), tolerance), plan, [seed])
        torch.testing.assert_close(alone[0], out[i], rtol=1e-4, atol=1e-4 * float(out[i].std()))


def test_what_is_denoised_is_the_clean_latent_where_the_prediction_is_right():
    clean, noise = torch.randn(2, 2, *SHAPE, generator=torch.Generator().manual_seed(0))
    sigma = 2.5
    root = math.sqrt(1 + sigma**2)
    x = (clean + sigma * noise) / root
    answers = {"epsilon": noise, "sample": clean, "v_prediction": (noise - sigma * clean) / root}
    for prediction_type, answer in answers.items():
        torch.testing.assert_close(
            denoised_of(answer, x, sigma, prediction_type), clean, rtol=1e-4, atol=1e-4
        )


def test_rows_without_the_full_branch_decide_nothing(unet):
    adaptive = AdaptiveGuidance(denoiser(unet), 1e6)
    x = initial_noise([1, 2, 3], SHAPE)
    row = Row.__new__(Row)
    object.__setattr__(row, "sigma", 5.0)
    object.__setattr__(row, "t", 500.0)
    for _ in range(2):
        out = adaptive.predict(x, row, ("image_only", "text_only"))
        assert out.shape == (2, 3, *SHAPE)
    assert adaptive.evaluations == 12


@pytest.mark.parametrize("bad", [-0.1, math.nan, math.inf, True])
def test_a_bad_tolerance_is_refused(unet, bad):
    with pytest.raises(ValueError, match="tolerance must be a finite number"):
        AdaptiveGuidance(denoiser(unet), bad)
