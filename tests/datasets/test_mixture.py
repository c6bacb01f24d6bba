"""The mixture: pure, weighted, and clear about bad weights."""

from __future__ import annotations

from collections import Counter

import pytest

from instructdiffusion.datasets import Mixture


def test_pick_is_a_pure_function_of_seed_and_index():
    mixture = Mixture({"segment": 1, "edit": 3})
    assert [mixture.pick(1, i) for i in range(50)] == [
        Mixture({"segment": 1, "edit": 3}).pick(1, i) for i in range(50)
    ]
    assert mixture.pick(1, 0) != mixture.pick(2, 0)
    assert mixture.pick(1, 23) != mixture.pick(12, 3)
    assert len({mixture.pick(0, i)[1] for i in range(1000)}) == 1000


def test_pick_is_the_same_in_every_process_and_version():
    assert Mixture({"a": 1, "b": 1}).pick(7, 42) == ("b", 260119842945721)


def test_pick_follows_the_weights():
    counts = Counter(Mixture({"a": 1, "b": 2, "c": 0, "d": 5}).pick(3, i)[0] for i in range(4000))
    assert counts["c"] == 0
    for name, share in (("a", 1 / 8), ("b", 2 / 8), ("d", 5 / 8)):
        assert abs(counts[name] / 4000 - share) < 0.03


@pytest.mark.parametrize(
    "weights", [{}, {"a": 0}, {"a": -1, "b": 2}, {"a": float("nan")}, {"a": float("inf")}]
)
def test_bad_weights_are_refused(weights):
    with pytest.raises(ValueError, match="weight"):
        Mixture(weights)
