import math
import random

import numpy as np
import pytest
import torch

from instructdiffusion.sampling import (
    cfg,
    dropping,
    every,
    instructdiffusion,
    instructpix2pix,
    interval,
    make_plan,
    none,
    sample,
)
from instructdiffusion.sampling.guidance import check_weights

F, IMAGE, TEXT, U = 1.3, -0.4, 0.9, 2.1  # what the four branches might predict


def mix(weights):
    return math.fsum(w * b for w, b in zip(weights, (F, IMAGE, TEXT, U), strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_weights_equal_the_published_formulas(seed):
    rng = random.Random(seed)
    t, i = rng.uniform(0, 10), rng.uniform(0, 4)
    authors = 0.5 * (IMAGE + TEXT) + t * (F - IMAGE) + i * (F - TEXT)
    assert mix(instructdiffusion(t, i)(1.0)) == pytest.approx(authors)
    assert mix(instructpix2pix(t, i)(1.0)) == pytest.approx(U + i * (IMAGE - U) + t * (F - IMAGE))
    assert mix(cfg(t)(1.0)) == pytest.approx(U + t * (F - U))
    assert mix(none()(1.0)) == F


def test_no_guidance():
    alone = (1.0, 0.0, 0.0, 0.0)
    assert instructdiffusion(0.5, 0.5)(3.0) == alone
    assert instructpix2pix(1, 1)(3.0) == alone
    assert cfg(1)(3.0) == alone
    assert none()(3.0) == alone


def test_interval_guides_above_lo_up_to_hi():
    inside = instructdiffusion(7.5, 1.5)
    guided = interval(inside, 0.3, 5.0)
    for sigma, expected in [(14.6, none()), (5.0, inside), (1.0, inside), (0.3, none()), (0.1, none())]:
        assert guided(sigma) == expected(sigma)
    assert str(guided) == "interval(instructdiffusion(7.5, 1.5), 0.3, 5)"


def test_a_dropped_branch_is_as_its_neutral_scale():
    inside = instructdiffusion(7.5, 1.5)
    for branches, same in [
        ("text_only", instructdiffusion(7.5, 0.5)),
        ("image_only", instructdiffusion(0.5, 1.5)),
        (("text_only", "image_only"), none()),
    ]:
        guidance = dropping(inside, branches, below=2.0)
        assert guidance(2.1) == inside(2.1)
        assert guidance(2.0) == pytest.approx(same(2.0)) and guidance(0.1) == pytest.approx(same(0.1))
    pix2pix = instructpix2pix(7.5, 1.5)
    assert dropping(pix2pix, "unconditional", 2.0)(1.0) == pytest.approx(instructpix2pix(7.5, 1.0)(1.0))
    assert dropping(pix2pix, ("image_only", "unconditional"), 2.0)(1.0) == none()(1.0)
    assert dropping(cfg(3), "unconditional", 2.0)(1.0) == none()(1.0)


def test_dropped_branches_are_right_where_they_agree():
    """Where the branch that is left out predicts what its neighbour does, nothing changes."""
    for guidance, branch, values in [
        (instructdiffusion(5, 1.25), "text_only", (F, IMAGE, F, U)),
        (instructdiffusion(5, 1.25), "image_only", (F, F, TEXT, U)),
        (instructpix2pix(5, 1.25), "unconditional", (F, IMAGE, TEXT, IMAGE)),
    ]:
        both = [guidance(1.0), dropping(guidance, branch, 2.0)(1.0)]
        first, second = (math.fsum(w * v for w, v in zip(ws, values, strict=True)) for ws in both)
        assert first == pytest.approx(second)


def test_evaluations_without_the_branches(schedule, gaussian):
    sigmas, inside = schedule.sigmas("trailing", 20), instructdiffusion(5, 1.25)
    middle = float(sigmas[10])
    for guidance, evaluations in [
        (inside, 60),
        (dropping(inside, "text_only", middle), 50),
        (dropping(inside, ("image_only", "text_only"), middle), 40),
        (every(inside, sigmas, 2), 40),
        (every(inside, sigmas, 2, "text_only"), 50),
        (every(inside, sigmas, 4), 30),
        (every(inside, sigmas, 1), 60),
    ]:
        plan = make_plan(sigmas, "dpmpp_2m", guidance, schedule)
        model = gaussian()
        sample(model, torch.ones(1, 4, 2, 2), plan)
        assert plan.evaluations == sum(len(branches) for _, branches in model.calls) == evaluations
    assert every(inside, sigmas, 2)(float(sigmas[2])) == inside(1.0)
    assert every(inside, sigmas, 2)(float(sigmas[3])) == none()(1.0)


def test_sparse_guidance_prints_what_it_leaves_out():
    text = str(dropping(cfg(3), "unconditional", 2.0))
    assert text == "cfg(3) without unconditional up to 2"
    assert str(every(cfg(3), [4.0, 2.0, 1.0, 0.0], 2)).endswith("up to inf, 2 rows kept")


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: dropping(cfg(3), "full", 1.0), "branches to leave out"),
        (lambda: dropping(cfg(3), (), 1.0), "branches to leave out"),
        (lambda: dropping(cfg(3), "text", 1.0), "branches to leave out"),
        (lambda: dropping(cfg(3), "text_only", math.nan), "at least 0"),
        (lambda: dropping(cfg(3), "text_only", -1.0), "at least 0"),
        (lambda: every(cfg(3), [2.0, 1.0], 0), "at least 1"),
        (lambda: every(cfg(3), [2.0, 1.0], 1.5), "at least 1"),
    ],
)
def test_bad_sparse_guidance(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "make", [lambda s: cfg(s), lambda s: instructdiffusion(s, 1), lambda s: instructpix2pix(5, s)]
)
@pytest.mark.parametrize("scale", [math.nan, math.inf, -math.inf, 10**400, -(10**4000)])
def test_scales_must_be_finite(make, scale):
    with pytest.raises(ValueError, match="finite"):
        make(scale)


@pytest.mark.parametrize(
    "make, name",
    [
        (lambda s: cfg(s), "scale"),
        (lambda s: instructdiffusion(s, 1), "s_text"),
        (lambda s: instructpix2pix(5, s), "s_image"),
    ],
)
def test_scales_whose_weights_would_not_sum_to_one_are_refused_by_name(make, name):
    for scale in (1e20, -1e20, 1.1e6):
        with pytest.raises(ValueError, match=rf"^{name} must be at most 1e\+06 either way"):
            make(scale)
    for scale in (1e6, -1e6):
        weights = np.asarray(make(scale)(1.0), np.float32)
        assert weights.sum(dtype=np.float64) == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("scale", ["much", None, True])
def test_scales_must_be_numbers(scale):
    with pytest.raises(TypeError, match="number"):
        cfg(scale)


@pytest.mark.parametrize("lo, hi", [(2, 1), (1, 1), (-1, 1), (math.nan, 1), (0, math.nan)])
def test_bad_intervals(lo, hi):
    with pytest.raises(ValueError, match="interval"):
        interval(none(), lo, hi)


@pytest.mark.parametrize(
    "weights",
    [
        (1e20, 0, 0, -1e20),
        (2**24, 0, 0, 1 - 2**24),
        (1, 0, 0),
        (0.5, 0, 0, 0),
        (math.nan, 1, 0, 0),
        3.0,
        ("a", 0, 0, 1),
        (10**400, 0, 0, 1),
    ],
)
def test_bad_weights(weights):
    with pytest.raises(ValueError, match="weights|number a branch"):
        check_weights(weights)


def test_rounding_crumbs_are_not_branches():
    assert check_weights((1.0, 1e-17, 0.0, -1e-16)) == (1.0, 0.0, 0.0, 0.0)


def test_a_plan_names_the_sigma_of_a_bad_custom_guidance(schedule):
    with pytest.raises(ValueError, match=r"sigma 4\.08"):
        make_plan(
            schedule.sigmas("trailing", 4),
            "euler",
            lambda sigma: (1.0, 0.0, 0.0, 0.0) if sigma > 5 else (math.nan, 0.0, 0.0, 1.0),
            schedule,
        )
