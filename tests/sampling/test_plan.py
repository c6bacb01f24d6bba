import math
from functools import partial

import numpy as np
import pytest

from instructdiffusion.sampling import (
    SOLVERS,
    Plan,
    Row,
    cfg,
    instructdiffusion,
    instructpix2pix,
    interval,
    make_plan,
    none,
)
from instructdiffusion.sampling.plan import check_sigmas
from instructdiffusion.sampling.solvers import dpmpp_2m_sde

ALONE = (1.0, 0.0, 0.0, 0.0)


def row(**changes):
    fields = dict(sigma=2.0, sigma_next=1.0, t=500.0, weights=ALONE, x_coef=0.5, d_coefs=(0.5,))
    return Row(**{**fields, **changes})


@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_makes_a_plan(name, schedule):
    plan = make_plan(schedule.sigmas("trailing", 6), name, instructdiffusion(5, 1.25), schedule)
    assert len(plan) == len(list(plan)) == (11 if name in ("heun", "dpmpp_sde") else 6)
    assert plan.evaluations == 3 * len(plan)
    draws = {"euler_ancestral": 5, "dpmpp_2m_sde": 5, "dpmpp_sde": 10, "lcm": 5}
    assert plan.draws == draws.get(name, 0) and plan.history <= 4
    assert plan.sigma_start == schedule.sigma_max and plan[0].t == 999.0
    assert plan[-1].sigma_next == 0.0


def test_branches_follow_the_weights(schedule):
    sigmas = schedule.sigmas("trailing", 4)
    for guidance, branches in [
        (instructdiffusion(7.5, 1.5), ("full", "image_only", "text_only")),
        (instructdiffusion(6, 0.5), ("full", "image_only")),
        (instructpix2pix(7.5, 1.5), ("full", "image_only", "unconditional")),
        (cfg(3), ("full", "unconditional")),
        (none(), ("full",)),
    ]:
        plan = make_plan(sigmas, "euler", guidance, schedule)
        assert plan.branches == branches and plan.evaluations == 4 * len(branches)


def test_an_interval_saves_evaluations(schedule):
    guidance = interval(instructdiffusion(7.5, 1.5), 1.0, 5.0)  # 4.08 and 1.61 of 14.61, 4.08, 1.61, .69
    plan = make_plan(schedule.sigmas("trailing", 4), "euler", guidance, schedule)
    assert [len(r.branches) for r in plan] == [1, 3, 3, 1]
    assert plan.branches == ("full", "image_only", "text_only")


def test_guidance_of_heun_is_asked_at_the_sigma_of_each_evaluation(schedule):
    asked = []

    def guidance(sigma):
        asked.append(sigma)
        return ALONE

    make_plan([4.0, 2.0, 1.0], "heun", guidance, schedule)
    assert asked == [4.0, 2.0, 2.0, 1.0]


def test_a_plan_prints_as_a_table(schedule):
    text = str(make_plan(schedule.sigmas("trailing", 4), "heun", instructdiffusion(7.5, 0.5), schedule))
    lines = text.splitlines()
    assert lines[0] == "heun, 4 steps, instructdiffusion(7.5, 0.5): 7 rows, 14 evaluations, 0 noise draws"
    assert len(lines) == 2 + 7
    assert "14.6146" in lines[2] and "999.000" in lines[2] and "F+8 I-7" in lines[2] and "save" in lines[2]
    assert "saved+" in lines[3] and "+1.00000" in lines[-1]


def test_titles_of_functions(schedule):
    solver = partial(dpmpp_2m_sde, eta=0.5)
    assert make_plan([2.0, 1.0], solver, cfg(2), schedule).title == "dpmpp_2m_sde, 1 steps, cfg(2)"


def test_plans_are_values(schedule):
    one, two = (make_plan(schedule.sigmas("karras", 5), "dpmpp_2m", cfg(2), schedule) for _ in range(2))
    assert one == two
    with pytest.raises(AttributeError):
        one.rows = ()


def test_coefs_carry_the_prediction_and_the_next_scale(schedule):
    plan = make_plan([3.0, 1.0, 0.0], "euler", cfg(2), schedule)
    first, last = plan.coefs("v_prediction")
    assert first.weights == (2.0, -1.0)
    assert (first.skip, first.out) == pytest.approx((0.1, -3 / math.sqrt(10)))
    assert first.next_scale == pytest.approx(1 / math.sqrt(2)) and last.next_scale == 1.0
    assert last.x == 0.0 and last.d == (1.0,)


@pytest.mark.parametrize(
    "sigmas, message",
    [
        ([], "at least 2"),
        ([1.0], "at least 2"),
        ([[2.0, 1.0]], "at least 2"),
        ([2.0, 2.0, 0.0], "fall strictly"),
        ([1.0, 2.0, 0.0], "fall strictly"),
        ([2.0, math.nan, 0.0], "finite; number 1"),
        ([math.inf, 1.0], "finite; number 0"),
        ([1.0, 0.0, -1.0], "below 0"),
        (["a", "b"], "numbers"),
    ],
)
def test_bad_sigmas(sigmas, message, schedule):
    with pytest.raises(ValueError, match=message):
        make_plan(sigmas, "euler", none(), schedule)


def test_sigmas_may_start_and_end_anywhere(schedule):
    assert check_sigmas(np.array([0.5, 0.25], dtype=np.float32)) == [0.5, 0.25]
    plan = make_plan(schedule.sigmas("native", 10)[4:], "dpmpp_2m", none(), schedule)
    assert len(plan) == 6 and plan.sigma_start < schedule.sigma_max and plan.history == 2


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"sigma": 0.0}, "sigma above 0"),
        ({"sigma": math.inf}, "sigma above 0"),
        ({"x_coef": math.nan}, "finite coefficients"),
        ({"d_coefs": ()}, "at least one"),
        ({"weights": (0.5, 0, 0, 0)}, "sum to 1"),
    ],
)
def test_bad_rows(changes, message):
    with pytest.raises(ValueError, match=message):
        row(**changes)


@pytest.mark.parametrize(
    "rows, message",
    [
        ((), "at least one row"),
        ((row(d_coefs=(0.5, 0.5)),), "row 0 looks back 1"),
        ((row(), row(saved_coef=0.5)), "row 1 uses a saved x"),
    ],
)
def test_bad_plans(rows, message):
    with pytest.raises(ValueError, match=message):
        Plan(rows)
