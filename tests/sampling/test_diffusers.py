"""The same weights, sigmas and noise through diffusers' schedulers, where they implement the same method."""

import math

import pytest
import torch

from instructdiffusion.sampling import make_plan, none, sample

diffusers = pytest.importorskip("diffusers")

CONFIG = dict(
    num_train_timesteps=1000,
    beta_start=0.00085,
    beta_end=0.012,
    beta_schedule="scaled_linear",
    prediction_type="epsilon",
)
STEPS = 10
SHAPE = (2, 4, 6, 6)


def assert_close(ours, theirs):
    assert float((ours - theirs).abs().max() / theirs.std()) < 1e-4


def noises(count, seed=3):
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(SHAPE, generator=g) for _ in range(count)]


def ours(schedule, model, solver, x, noise=None):
    return sample(model, x, make_plan(schedule.sigmas("trailing", STEPS), solver, none(), schedule), noise)


class Step:
    """What GaussianModel.predict needs of a row."""

    def __init__(self, schedule, t):
        self.t = float(t)
        self.sigma = schedule.sigma_of(self.t)


def theirs(scheduler, schedule, model, x, **arguments):
    """diffusers' loop; x comes and goes in k-diffusion's scale."""
    scheduler.set_timesteps(STEPS)
    preserving = isinstance(scheduler, (diffusers.DDIMScheduler, diffusers.DPMSolverMultistepScheduler))
    state = x / math.sqrt(1 + schedule.sigma_max**2) if preserving else x  # x times sqrt(alphas_cumprod)
    for i, t in enumerate(scheduler.timesteps):
        prediction = model.predict(scheduler.scale_model_input(state, t), Step(schedule, t), ("full",))[0]
        per_step = {k: v[i] if isinstance(v, list) else v for k, v in arguments.items()}
        state = scheduler.step(prediction, t, state, **per_step).prev_sample
    return state


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction", "sample"])
def test_euler(schedule, gaussian, prediction_type):
    config = {**CONFIG, "prediction_type": prediction_type}
    scheduler = diffusers.EulerDiscreteScheduler(**config, timestep_spacing="trailing")
    x = noises(1)[0] * schedule.sigma_max
    assert_close(
        ours(schedule, gaussian(prediction_type), "euler", x),
        theirs(scheduler, schedule, gaussian(prediction_type), x),
    )


def test_heun(schedule, gaussian):
    scheduler = diffusers.HeunDiscreteScheduler(**CONFIG, timestep_spacing="trailing")
    x = noises(1)[0] * schedule.sigma_max
    assert_close(ours(schedule, gaussian(), "heun", x), theirs(scheduler, schedule, gaussian(), x))


def test_euler_ancestral(schedule, gaussian):
    scheduler = diffusers.EulerAncestralDiscreteScheduler(**CONFIG, timestep_spacing="trailing")
    x = noises(1)[0] * schedule.sigma_max
    g = torch.Generator().manual_seed(8)
    expected = theirs(scheduler, schedule, gaussian(), x, generator=g)
    assert_close(ours(schedule, gaussian(), "euler_ancestral", x, noises(STEPS - 1, seed=8)), expected)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("eta", [0.0, 0.6, 1.0])
def test_ddim(schedule, gaussian, prediction_type, eta):
    from functools import partial

    from instructdiffusion.sampling.solvers import ddim

    config = {**CONFIG, "prediction_type": prediction_type}
    scheduler = diffusers.DDIMScheduler(
        **config, timestep_spacing="trailing", set_alpha_to_one=True, clip_sample=False
    )
    x, fresh = noises(1)[0] * schedule.sigma_max, noises(STEPS)
    expected = theirs(scheduler, schedule, gaussian(prediction_type), x, eta=eta, variance_noise=fresh)
    given = fresh[: STEPS - 1] if eta else None
    assert_close(ours(schedule, gaussian(prediction_type), partial(ddim, eta=eta), x, given), expected)


def test_dpm_solver_2m(schedule, gaussian):
    scheduler = diffusers.DPMSolverMultistepScheduler(
        **CONFIG, timestep_spacing="trailing", algorithm_type="dpmsolver++", final_sigmas_type="zero"
    )
    x = noises(1)[0] * schedule.sigma_max
    assert_close(ours(schedule, gaussian(), "dpmpp_2m", x), theirs(scheduler, schedule, gaussian(), x))


def test_dpm_solver_2m_sde(schedule, gaussian):
    scheduler = diffusers.DPMSolverMultistepScheduler(
        **CONFIG, timestep_spacing="trailing", algorithm_type="sde-dpmsolver++", final_sigmas_type="zero"
    )
    x, fresh = noises(1)[0] * schedule.sigma_max, noises(STEPS)
    expected = theirs(scheduler, schedule, gaussian(), x, variance_noise=fresh)
    assert_close(ours(schedule, gaussian(), "dpmpp_2m_sde", x, fresh[: STEPS - 1]), expected)
