import math
import subprocess
import sys

import pytest
import torch

from instructdiffusion.sampling import (
    SOLVERS,
    GivenNoise,
    SeededNoise,
    cfg,
    initial_noise,
    instructdiffusion,
    instructpix2pix,
    interval,
    make_plan,
    none,
    sample,
)

SHAPE = (4, 6, 5)


def plan_of(schedule, solver="euler", guidance=None, steps=5, spacing="trailing"):
    return make_plan(schedule.sigmas(spacing, steps), solver, guidance or none(), schedule)


def start(plan, *seeds):
    return initial_noise(seeds, SHAPE) * plan.sigma_start


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_picture_does_not_depend_on_its_batch(solver, schedule, gaussian):
    plan = plan_of(schedule, solver, instructdiffusion(5, 1.25))
    together = sample(gaussian(), start(plan, 11, 12, 13), plan, SeededNoise([11, 12, 13]))
    for i, seed in enumerate((11, 12, 13)):
        alone = sample(gaussian(), start(plan, seed), plan, SeededNoise([seed]))
        assert torch.equal(alone[0], together[i])


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_prediction_kind_does_not_matter(solver, schedule, gaussian):
    plan = plan_of(schedule, solver, instructpix2pix(4, 1.5))
    ends = [
        sample(gaussian(prediction_type), start(plan, 1, 2), plan, SeededNoise([1, 2]))
        for prediction_type in ("epsilon", "v_prediction", "sample")
    ]
    for end in ends[1:]:
        torch.testing.assert_close(end, ends[0], rtol=0, atol=2e-4)


@pytest.mark.parametrize(
    "guidance, branches",
    [
        (none(), ("full",)),
        (cfg(2), ("full", "unconditional")),
        (instructdiffusion(6, 0.5), ("full", "image_only")),
        (instructdiffusion(0.5, 1.5), ("full", "text_only")),
        (instructdiffusion(7.5, 1.5), ("full", "image_only", "text_only")),
    ],
)
def test_branches_without_weight_are_never_evaluated(guidance, branches, schedule, gaussian):
    model, plan = gaussian(), plan_of(schedule, guidance=guidance)
    sample(model, start(plan, 1), plan)
    assert [b for _, b in model.calls] == [branches] * 5
    assert sum(len(b) for _, b in model.calls) == plan.evaluations


def test_branches_outside_the_interval_are_never_evaluated(schedule, gaussian):
    model = gaussian()
    plan = plan_of(schedule, guidance=interval(cfg(4), 1.0, 5.0), steps=4)
    sample(model, start(plan, 1), plan)
    assert [len(b) for _, b in model.calls] == [1, 2, 2, 1]


def test_guidance_mixes_the_branches(schedule, gaussian):
    model = gaussian(means=(1.0, 2.0, 3.0, 4.0), std=1e-6)  # data are points: D is the branch's mean
    plan = plan_of(schedule, guidance=instructdiffusion(2.0, 1.5))
    end = sample(model, start(plan, 1), plan)
    torch.testing.assert_close(end, torch.full_like(end, 3.5 * 1 - 1.5 * 2 - 1.0 * 3), rtol=0, atol=1e-4)


def test_samples_of_a_gaussian_have_its_moments(schedule, gaussian):
    for solver in ("euler_ancestral", "dpmpp_2m_sde", "dpmpp_2m"):
        plan = plan_of(schedule, solver, steps=60, spacing="karras")
        x = initial_noise([1, 2], (4, 48, 48)) * math.hypot(plan.sigma_start, 0.7)  # the ODE's own start
        end = sample(gaussian(means=(0.5, 0, 0, 0), std=0.7), x, plan, SeededNoise([1, 2]))
        assert float(end.mean()) == pytest.approx(0.5, abs=0.05)
        assert float(end.std()) == pytest.approx(0.7, rel=0.06)


def test_on_step_sees_every_row(schedule, gaussian):
    model, plan, seen = gaussian(), plan_of(schedule, "heun", steps=3), []
    end = sample(model, start(plan, 1), plan, on_step=lambda i, x, d: seen.append((i, x.clone(), d.clone())))
    assert [i for i, _, _ in seen] == list(range(5))
    assert torch.equal(seen[-1][1], end) and torch.equal(seen[-1][2], end)
    first = model.denoised(start(plan, 1), plan.sigma_start)
    torch.testing.assert_close(seen[0][2], first, rtol=0, atol=1e-5)


def test_on_step_may_raise(schedule, gaussian):
    class Stop(Exception):
        pass

    def stop(i, x, denoised):
        if i == 2:
            raise Stop

    model, plan = gaussian(), plan_of(schedule)
    with pytest.raises(Stop):
        sample(model, start(plan, 1), plan, on_step=stop)
    assert len(model.calls) == 3


def test_the_start_is_left_unchanged_and_no_gradient_is_kept(schedule, gaussian):
    plan = plan_of(schedule)
    x = start(plan, 1).requires_grad_()
    before = x.detach().clone()
    end = sample(gaussian(), x, plan)
    assert torch.equal(x.detach(), before) and not end.requires_grad


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_state_stays_float32_for_half_precision_models(dtype, schedule, gaussian):
    class Half(gaussian):
        def predict(self, x_scaled, row, branches):
            assert x_scaled.dtype == torch.float32
            return super().predict(x_scaled, row, branches).to(dtype)

    plan = plan_of(schedule, "dpmpp_2m", cfg(2))
    x = start(plan, 1)
    end = sample(Half("v_prediction"), x.to(dtype), plan)
    assert end.dtype == torch.float32
    torch.testing.assert_close(end, sample(gaussian(), x, plan), rtol=0, atol=0.1)


def test_given_noise_is_used_in_order(schedule, gaussian):
    plan = plan_of(schedule, "euler_ancestral", steps=3)
    x, seeded = start(plan, 4, 5), SeededNoise([4, 5])
    tensors = [seeded.step(k, x) for k in range(plan.draws)]
    expected = sample(gaussian(), x, plan, seeded)
    for given in (tensors, tuple(tensors), torch.stack(tensors), GivenNoise(tensors)):
        assert torch.equal(sample(gaussian(), x, plan, given), expected)
    assert not torch.equal(sample(gaussian(), x, plan, tensors[::-1]), expected)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_latents_must_be_finite(bad, schedule, gaussian):
    plan = plan_of(schedule)
    x = start(plan, 1)
    x[0, 0, 0, 0] = bad
    with pytest.raises(ValueError, match="starting latents"):
        sample(gaussian(), x, plan)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_broken_prediction_names_row_and_picture(bad, schedule, gaussian):
    class Breaks(gaussian):
        def predict(self, x_scaled, row, branches):
            out = super().predict(x_scaled, row, branches)
            if row.t < 500:
                out[0, 1, 2, 3, 4] = bad
            return out

    model, plan, seen = Breaks(), plan_of(schedule), []
    with pytest.raises(FloatingPointError, match=r"row 3 of 5 .* t 399\) for picture 1 of"):
        sample(model, start(plan, 1, 2, 3), plan, on_step=lambda i, x, d: seen.append(i))
    assert seen == [0, 1, 2] and len(model.calls) == 4


@pytest.mark.parametrize(
    "returned, error, message",
    [
        (lambda p: p[0], ValueError, "branches, b, c, h, w"),
        (lambda p: {"full": p[0]}, TypeError, "one tensor"),
        (lambda p: p[:, :, :3], ValueError, "row 0"),
    ],
)
def test_a_model_must_return_one_stacked_tensor(returned, error, message, schedule, gaussian):
    class Wrong(gaussian):
        def predict(self, x_scaled, row, branches):
            return returned(super().predict(x_scaled, row, branches))

    plan = plan_of(schedule)
    with pytest.raises(error, match=message):
        sample(Wrong(), start(plan, 1), plan)


def test_other_bad_input(schedule, gaussian):
    plan, noisy = plan_of(schedule), plan_of(schedule, "euler_ancestral")
    x = start(plan, 1)
    with pytest.raises(ValueError, match="adds noise in 4 rows"):
        sample(gaussian(), x, noisy)
    with pytest.raises(ValueError, match="got 1 noise tensors"):
        sample(gaussian(), x, noisy, [x])
    with pytest.raises(ValueError, match="prediction_type"):
        sample(gaussian("eps"), x, plan)
    for latents in (x.long(), x[:0], torch.tensor(1.0)):
        with pytest.raises(ValueError, match="float"):
            sample(gaussian(), latents, plan)


def test_planning_needs_no_torch():
    code = (
        "import sys; from instructdiffusion.sampling import Schedule, cfg, make_plan; s = Schedule.scaled_linear();"
        "make_plan(s.sigmas('karras', 4), 'heun', cfg(2), s); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_a_model_is_told_that_a_run_begins(schedule, gaussian):
    model, told = gaussian(), []
    model.begin = lambda: told.append(len(model.calls))
    plan = plan_of(schedule, steps=3)
    for _ in range(2):
        sample(model, start(plan, 1), plan)
    assert told == [0, 3]
