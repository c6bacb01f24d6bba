import math
import random

import pytest

from instructdiffusion.sampling import cfg, instructdiffusion, instructpix2pix, interval, make_plan, none
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


@pytest.mark.parametrize(
    "make", [lambda s: cfg(s), lambda s: instructdiffusion(s, 1), lambda s: instructpix2pix(5, s)]
)
@pytest.mark.parametrize("scale", [math.nan, math.inf, -math.inf])
def test_scales_must_be_finite(make, scale):
    with pytest.raises(ValueError, match="finite"):
        make(scale)


@pytest.mark.parametrize("scale", ["much", None, True])
def test_scales_must_be_numbers(scale):
    with pytest.raises(TypeError, match="number"):
        cfg(scale)


@pytest.mark.parametrize("lo, hi", [(2, 1), (1, 1), (-1, 1), (math.nan, 1), (0, math.nan)])
def test_bad_intervals(lo, hi):
    with pytest.raises(ValueError, match="interval"):
        interval(none(), lo, hi)


@pytest.mark.parametrize("weights", [(1, 0, 0), (0.5, 0, 0, 0), (math.nan, 1, 0, 0), 3.0, ("a", 0, 0, 1)])
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
