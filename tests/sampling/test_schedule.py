import math

import numpy as np
import pytest

from instructdiffusion.sampling import SPACINGS, Schedule, denoised_coefs, input_scale


def test_stable_diffusion_sigmas(schedule):
    assert len(schedule) == 1000
    assert schedule.sigma_max == pytest.approx(14.6146, abs=1e-4)
    assert schedule.sigma_min == pytest.approx(0.0292, abs=1e-4)
    assert schedule.sigmas("trailing", 4) == pytest.approx([14.61, 4.08, 1.61, 0.69, 0.0], abs=5e-3)


@pytest.mark.parametrize("kind", SPACINGS)
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 20, 100])
def test_every_spacing_falls_from_sigma_max_to_zero(schedule, kind, steps):
    sigmas = schedule.sigmas(kind, steps)
    assert sigmas.dtype == np.float64 and sigmas.shape == (steps + 1,)
    assert (np.diff(sigmas) < 0).all() and sigmas[-1] == 0.0
    assert sigmas[0] == pytest.approx(schedule.sigma_max, rel=1e-12)


def test_one_trailing_step_is_the_last_timestep(schedule):
    sigmas = schedule.sigmas("trailing", 1)
    assert sigmas.tolist() == [schedule.sigma_max, 0.0]
    assert schedule.t_of(sigmas[0]) == 999.0


@pytest.mark.parametrize(
    "steps, t", [(4, [999, 749, 499, 249]), (3, [999, 666, 332]), (1000, range(999, -1, -1))]
)
def test_trailing_timesteps(schedule, steps, t):
    assert schedule.t_of(schedule.sigmas("trailing", steps)[:-1]).tolist() == list(t)


def test_native_timesteps_are_even_and_fractional(schedule):
    t = schedule.t_of(schedule.sigmas("native", 5)[:-1])
    assert t == pytest.approx([999, 749.25, 499.5, 249.75, 0], abs=1e-8)


def test_native_interpolates_log_sigma(schedule):
    s = schedule.train_sigmas
    assert schedule.sigma_of(749.25) == pytest.approx(s[749] ** 0.75 * s[750] ** 0.25, rel=1e-12)


def test_karras_and_exponential_closed_forms(schedule):
    hi, lo = schedule.sigma_max, schedule.sigma_min
    karras, exponential = schedule.sigmas("karras", 3), schedule.sigmas("exponential", 3)
    assert karras[1] == pytest.approx(((hi ** (1 / 7) + lo ** (1 / 7)) / 2) ** 7)
    assert exponential[1] == pytest.approx(math.sqrt(hi * lo))
    assert karras[2] == pytest.approx(lo) and exponential[2] == pytest.approx(lo)


def test_ays_at_ten_steps_is_what_its_authors_publish(schedule):
    published = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.0]
    sigmas = schedule.sigmas("ays", 10)
    assert sigmas == pytest.approx(published, abs=5e-4)
    timesteps = [999, 850, 736, 645, 545, 455, 343, 233, 124, 24]  # published beside them
    assert schedule.t_of(sigmas[:-1]) == pytest.approx(timesteps, abs=0.6)


def test_ays_at_other_counts_lies_between_in_log_sigma(schedule):
    ten, five, twenty = (schedule.sigmas("ays", n) for n in (10, 5, 20))
    assert five[:5] == pytest.approx(ten[:10:2]) and twenty[:20:2] == pytest.approx(ten[:10])
    assert twenty[3] == pytest.approx(math.sqrt(ten[1] * ten[2]))


def test_ays_is_for_the_noise_levels_it_was_made_for():
    linear = Schedule(np.cumprod(1 - np.linspace(1e-4, 0.02, 1000)))  # up to sigma 157
    with pytest.raises(ValueError, match="Stable Diffusion 1.5"):
        linear.sigmas("ays", 10)


def test_sigma_and_t_invert_each_other(schedule):
    t = np.concatenate([np.arange(1000.0), [0.25, 17.5, 998.75]])
    assert schedule.t_of(schedule.sigma_of(t)) == pytest.approx(t, abs=1e-8)
    whole = schedule.t_of(schedule.train_sigmas)
    assert (whole == np.arange(1000)).all()


def test_t_outside_the_schedule_is_clamped(schedule):
    assert schedule.t_of(100.0) == 999.0 and schedule.t_of(1e-5) == 0.0
    assert schedule.sigma_of(5000) == schedule.sigma_max and schedule.sigma_of(-1) == schedule.sigma_min


@pytest.mark.parametrize("sigma", [0.0292, 1.0, 14.6])
def test_denoised_coefs_invert_the_training_targets(sigma):
    x0, noise = 0.37, -1.2
    ab = 1 / (1 + sigma**2)
    targets = {
        "epsilon": noise,
        "v_prediction": math.sqrt(ab) * noise - math.sqrt(1 - ab) * x0,
        "sample": x0,
    }
    for kind, target in targets.items():
        skip, out = denoised_coefs(kind, sigma)
        assert skip * (x0 + sigma * noise) + out * target == pytest.approx(x0, abs=1e-12)
    assert input_scale(sigma) * (x0 + sigma * noise) == pytest.approx(
        math.sqrt(ab) * x0 + math.sqrt(1 - ab) * noise
    )


def test_unknown_kinds_list_the_known(schedule):
    with pytest.raises(ValueError, match="v_prediction"):
        denoised_coefs("eps", 1.0)
    with pytest.raises(ValueError, match="karras"):
        schedule.sigmas("linear", 4)


@pytest.mark.parametrize(
    "steps, error", [(0, ValueError), (-3, ValueError), (2.5, TypeError), (True, TypeError)]
)
def test_bad_steps(schedule, steps, error):
    with pytest.raises(error, match="steps"):
        schedule.sigmas("trailing", steps)


def test_more_trailing_steps_than_timesteps(schedule):
    with pytest.raises(ValueError, match="at most 1000"):
        schedule.sigmas("trailing", 1001)


@pytest.mark.parametrize(
    "ab", [[0.5], [0.9, 0.5, 0.0], [1.0, 0.5], [0.5, 0.9], [0.9, float("nan")], [[0.9, 0.5]]]
)
def test_bad_alphas(ab):
    with pytest.raises(ValueError, match="alphas_cumprod"):
        Schedule(np.array(ab))


def test_sigma_of_zero_has_no_timestep(schedule):
    with pytest.raises(ValueError, match="above 0"):
        schedule.t_of(0.0)


def test_the_callers_array_stays_writable():
    ab = np.array([0.9, 0.5])
    Schedule(ab)
    ab[0] = 0.8
    assert ab.flags.writeable and ab[0] == 0.8
