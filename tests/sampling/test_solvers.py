"""Solvers are numbers: hand-computed rows, exact moments, convergence orders, and loops written out in full."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from instructdiffusion.sampling import SOLVERS, cfg, get_solver, make_plan, none, sample
from instructdiffusion.sampling.solvers import (
    ddim,
    dpmpp_2m,
    dpmpp_2m_sde,
    dpmpp_sde,
    euler,
    euler_ancestral,
    heun,
    lcm,
    midpoint_correlation,
    unipc,
    unipc_3,
)

ROOT3 = math.sqrt(3.0)
HALVES = [4.0, 2.0, 1.0, 0.0]  # every step but the last halves sigma: r = 1/2, h = log 2


@pytest.mark.parametrize(
    "solver, rows",  # x, d, noise, saved
    [
        (euler, [(0.5, (0.5,), 0, 0), (0.5, (0.5,), 0, 0), (0, (1,), 0, 0)]),
        (ddim, [(0.5, (0.5,), 0, 0), (0.5, (0.5,), 0, 0), (0, (1,), 0, 0)]),
        (euler_ancestral, [(0.25, (0.75,), ROOT3, 0), (0.25, (0.75,), ROOT3 / 2, 0), (0, (1,), 0, 0)]),
        (dpmpp_2m, [(0.5, (0.5,), 0, 0), (0.5, (0.75, -0.25), 0, 0), (0, (1,), 0, 0)]),
        (dpmpp_2m_sde, [(0.25, (0.75,), ROOT3, 0), (0.25, (1.125, -0.375), ROOT3 / 2, 0), (0, (1,), 0, 0)]),
        (
            heun,
            [
                (0.5, (0.5,), 0, 0),
                (-0.5, (0.5, 0.25), 0, 0.75),
                (0.5, (0.5,), 0, 0),
                (-0.5, (0.5, 0.25), 0, 0.75),
                (0, (1,), 0, 0),
            ],
        ),
        (lcm, [(0, (1,), 2, 0), (0, (1,), 1, 0), (0, (1,), 0, 0)]),
        # The corrector of the step before, 1/4 (D - D[-1]), is halved by the next row and folded into it.
        (partial(unipc, order=1), [(0.5, (0.5,), 0, 0), (0.5, (0.625, -0.125), 0, 0), (0, (1,), 0, 0)]),
        (unipc, [(0.5, (0.5,), 0, 0), (0.5, (0.875, -0.375), 0, 0), (0, (1,), 0, 0)]),
    ],
)
def test_hand_computed_rows(solver, rows):
    updates = solver(HALVES)
    assert len(updates) == len(rows)
    for update, (x, d, noise, saved) in zip(updates, rows, strict=True):
        assert update.x_coef == pytest.approx(x, abs=1e-12)
        assert update.d_coefs == pytest.approx(d, abs=1e-12)
        assert update.noise_coef == pytest.approx(noise, abs=1e-12)
        assert update.saved_coef == pytest.approx(saved, abs=1e-12)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_model_that_agrees_with_x_leaves_it_alone(name, schedule):
    for steps in (1, 2, 5, 30):
        for u in SOLVERS[name](schedule.sigmas("karras", steps)):
            assert u.x_coef + u.saved_coef + sum(u.d_coefs) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("name", SOLVERS)
def test_one_step_returns_the_denoised_latent(name, schedule, gaussian):
    model = gaussian()
    x = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0)) * schedule.sigma_max
    plan = make_plan(schedule.sigmas("trailing", 1), name, none(), schedule)
    assert len(plan) == plan.evaluations == 1 and plan.draws == 0 and plan[0].t == 999.0
    torch.testing.assert_close(
        sample(model, x, plan), model.denoised(x, schedule.sigma_max), rtol=0, atol=1e-5
    )
    assert model.calls == [(999.0, ("full",))]


def _error(solver, steps, schedule, model):
    """Worst error against the exact ODE solution from sigma 10 to .1, all in float64."""
    sigmas = np.geomspace(10.0, 0.1, steps + 1)
    x = torch.linspace(-20, 20, 16, dtype=torch.float64).view(1, 1, 4, 4)
    end = sample(model, x, make_plan(sigmas, solver, none(), schedule))
    assert end.dtype == torch.float64
    return float((end - model.exact(x, 10.0, 0.1)).abs().max())


@pytest.mark.parametrize(
    "solver, order",
    [
        (euler, 1),
        (ddim, 1),
        (dpmpp_2m, 2),
        (partial(dpmpp_2m_sde, eta=0.0), 2),
        (heun, 2),
        (partial(dpmpp_sde, eta=0.0), 2),
        (partial(unipc, order=1), 2),  # the corrector adds one
        (unipc, 3),
    ],
)
@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction", "sample"])
def test_order_of_convergence_on_the_exact_solution(solver, order, prediction_type, schedule, gaussian):
    errors = [_error(solver, n, schedule, gaussian(prediction_type)) for n in (80, 160, 320)]
    for coarse, fine in zip(errors, errors[1:], strict=False):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.15)


def test_third_order_unipc_is_the_most_accurate(schedule, gaussian):
    """Its first steps are of lower order, which bounds its own order at 3; what it gains is in the constant."""
    for steps in (80, 160):
        errors = [_error(s, steps, schedule, gaussian()) for s in (dpmpp_2m, unipc, unipc_3)]
        assert errors[0] > 4 * errors[1] and errors[1] > errors[2]


@pytest.mark.parametrize("solver", [euler_ancestral, partial(ddim, eta=1.0), dpmpp_2m_sde, dpmpp_sde])
def test_stochastic_solvers_keep_the_marginal_variance(solver):
    """On Gaussian data everything is linear, so the covariance of (x, D, D[-1]) can be carried exactly."""
    for steps, tolerance in ((200, 0.05), (3200, 0.004)):
        variance, exact = _end_variance(solver(np.geomspace(10.0, 0.1, steps + 1)))
        assert variance == pytest.approx(exact, rel=tolerance)


def _end_variance(updates, std2=0.49):
    """(variance at the end of these rows, what it should be) for data of variance std2."""
    cov = np.zeros((3, 3))  # of (x, D[-1], saved), mean 0
    cov[0, 0] = std2 + updates[0].sigma ** 2
    for u in updates:
        k = std2 / (std2 + u.sigma**2)  # D = k x
        back = u.d_coefs[1] if len(u.d_coefs) > 1 else 0.0
        keep = [1.0, 0.0, 0.0] if u.save else [0.0, 0.0, 1.0]
        move = np.array([[u.x_coef + u.d_coefs[0] * k, back, u.saved_coef], [k, 0.0, 0.0], keep])
        cov = move @ cov @ move.T
        cov[0, 0] += u.noise_coef**2
    return cov[0, 0], std2 + updates[-1].sigma_next ** 2


def test_the_noise_of_a_midpoint_goes_on_to_the_end_of_its_step():
    """A step of the SDE solver without a data term: x gathers exactly the variance of the whole step."""
    first, second = dpmpp_sde([4.0, 1.0])
    z_m, fresh = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    y = first.noise_coef * z_m  # x = D = 0
    end = second.x_coef * y + second.noise_coef * fresh
    assert first.sigma_next == second.sigma == 2.0
    assert end @ end == pytest.approx(1.0 - 1.0 / 16.0)  # sigma_up of the whole step, squared
    assert end @ z_m / math.sqrt(end @ end) == pytest.approx(midpoint_correlation(4.0, 1.0))
    assert midpoint_correlation(4.0, 1.0) == pytest.approx(math.sqrt((4.0 - 2.0) / (4.0 - 1.0)))


def test_correlated_noise_makes_the_midpoint_second_order():
    """With independent noise in both halves the error in the variance would only halve with the step."""
    errors = []
    for steps in (40, 80, 160):
        variance, exact = _end_variance(dpmpp_sde(np.geomspace(10.0, 0.1, steps + 1)))
        errors.append(abs(variance - exact))
    assert errors[0] / errors[1] > 3.3 and errors[1] / errors[2] > 3.3


def _written_out(name, denoise, x, sigmas, noises):
    """The samplers as their papers state them, over tensors; what the rows must reproduce."""
    noises, old, h_last = iter(noises), None, None
    for s0, s1 in zip(sigmas[:-1], sigmas[1:], strict=True):
        denoised = denoise(x, s0)
        slope = (x - denoised) / s0
        h = math.log(s0) - math.log(s1) if s1 > 0 else None
        if s1 == 0:
            x = x + slope * (0 - s0)
        elif name == "euler":
            x = x + slope * (s1 - s0)
        elif name == "ddim":  # in the variance-preserving picture, eq. 12 with eta = 0
            ab0, ab1 = 1 / (1 + s0**2), 1 / (1 + s1**2)
            y = math.sqrt(ab0) * x
            eps = (y - math.sqrt(ab0) * denoised) / math.sqrt(1 - ab0)
            x = (math.sqrt(ab1) * denoised + math.sqrt(1 - ab1) * eps) / math.sqrt(ab1)
        elif name == "euler_ancestral":
            up = math.sqrt(s1**2 * (s0**2 - s1**2) / s0**2)
            x = x + slope * (math.sqrt(s1**2 - up**2) - s0) + next(noises) * up
        elif name == "heun":
            trial = x + slope * (s1 - s0)
            x = x + (slope + (trial - denoise(trial, s1)) / s1) / 2 * (s1 - s0)
        elif name == "lcm":
            x = denoised + next(noises) * s1
        elif name == "dpmpp_sde":
            middle = math.sqrt(s0 * s1)
            z_m, fresh = next(noises), next(noises)
            trial = (middle / s0) ** 2 * x + (1 - (middle / s0) ** 2) * denoised
            trial = trial + z_m * middle * math.sqrt(1 - (middle / s0) ** 2)
            c = math.sqrt((s0 - middle) / (s0 - s1))
            z = c * z_m + math.sqrt(1 - c * c) * fresh
            x = (s1 / s0) ** 2 * x + (1 - (s1 / s0) ** 2) * denoise(trial, middle)
            x = x + z * s1 * math.sqrt(1 - (s1 / s0) ** 2)
        else:
            eta = 1.0 if name == "dpmpp_2m_sde" else 0.0
            gain = 1 - math.exp(-h * (1 + eta))
            x = (s1 / s0) * math.exp(-eta * h) * x + gain * denoised
            if old is not None:
                x = x + gain * 0.5 * (h / h_last) * (denoised - old)
            if eta:
                x = x + next(noises) * s1 * math.sqrt(1 - math.exp(-2 * eta * h))
        old, h_last = denoised, h
    return x


def _unipc_written_out(order, denoise, x, sigmas):
    """UniPC as its paper runs it, corrector and predictor apart; D is fitted by a polynomial and integrated.

    x(b) = b / a x(a) + int from lambda_a to lambda_b of b e^lambda D(lambda), but for the paper's rho = 1/2
    where a single difference is used.
    """

    def move(x, a, b, knots):  # knots: [(sigma, D)], the one at a first
        h, d0 = math.log(a / b), knots[0][1]
        x = b / a * x + (1 - b / a) * d0
        if len(knots) == 2:
            return x + (1 - b / a) / 2 * (knots[1][1] - d0) / (math.log(a / knots[1][0]) / h)
        at = [math.log(a / s) / h for s, _ in knots]
        points, weights = np.polynomial.legendre.leggauss(12)
        points, weights = (points + 1) / 2, weights / 2
        for k, (_, d) in enumerate(knots[1:], 1):
            basis = math.prod((points - p) / (at[k] - p) for j, p in enumerate(at) if j != k)
            x = x + float((weights * h * np.exp(h * (points - 1)) * basis).sum()) * (d - d0)
        return x

    known, corrected, used = [], None, 0  # known: [(sigma, D)], newest first
    for i, s0 in enumerate(sigmas[:-1]):
        d = denoise(x, s0)
        if i:
            x = move(corrected, sigmas[i - 1], s0, [*known[:1], *known[1:used], (s0, d)])
        known.insert(0, (s0, d))
        corrected, used = x, min(order, i + 1, len(sigmas) - 1 - i)
        x = d if sigmas[i + 1] == 0 else move(x, s0, sigmas[i + 1], known[:used])
    return x


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("spacing", ["native", "karras", "trailing", "ays"])
@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_rows_equal_the_written_out_samplers(name, spacing, prediction_type, schedule, gaussian):
    model, guidance = gaussian(prediction_type), cfg(3.0)
    sigmas = schedule.sigmas(spacing, 9)
    g = torch.Generator().manual_seed(1)
    x = torch.randn(2, 4, 5, 5, generator=g, dtype=torch.float64) * sigmas[0]
    noises = torch.randn(16, *x.shape, generator=g, dtype=torch.float64)

    def denoise(x, sigma):
        return 3.0 * model.denoised(x, sigma) - 2.0 * model.denoised(x, sigma, "unconditional")

    levels = [float(s) for s in sigmas]
    if name.startswith("unipc"):
        expected = _unipc_written_out(3 if name == "unipc_3" else 2, denoise, x, levels)
    else:
        expected = _written_out(name, denoise, x, levels, noises)
    plan = make_plan(sigmas, name, guidance, schedule)
    torch.testing.assert_close(sample(model, x, plan, noises), expected, rtol=1e-9, atol=1e-9)
    half = sample(model, x.float(), plan, [n.float() for n in noises])
    assert float((half - expected).abs().max() / expected.std()) < 1e-4


def test_eta_and_s_noise():
    assert [(u.x_coef, u.d_coefs) for u in euler_ancestral(HALVES, eta=0)] == [
        (u.x_coef, u.d_coefs) for u in euler(HALVES)
    ]
    assert all(u.noise_coef == 0 for u in dpmpp_2m_sde(HALVES, eta=0))
    assert all(u.noise_coef == 0 for u in dpmpp_sde(HALVES, eta=0))
    assert all(u.noise_coef == 0 and math.isfinite(u.x_coef) for u in dpmpp_sde(HALVES, s_noise=0))
    for plain, loud in zip(euler_ancestral(HALVES), euler_ancestral(HALVES, s_noise=1.5), strict=True):
        assert loud.noise_coef == pytest.approx(1.5 * plain.noise_coef) and loud.x_coef == plain.x_coef


@pytest.mark.parametrize("option", [{"eta": -1.0}, {"eta": math.nan}, {"s_noise": math.inf}])
@pytest.mark.parametrize("solver", [euler_ancestral, dpmpp_2m_sde, dpmpp_sde])
def test_bad_options(solver, option):
    with pytest.raises(ValueError, match=next(iter(option))):
        solver(HALVES, **option)


@pytest.mark.parametrize("order", [0, 4, 2.5, True])
def test_bad_orders(order):
    with pytest.raises(ValueError, match="order"):
        unipc(HALVES, order=order)


def test_unknown_solver_lists_the_names():
    with pytest.raises(ValueError, match="dpmpp_2m_sde"):
        get_solver("dpm++")
    assert get_solver(euler) is euler
