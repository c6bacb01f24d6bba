"""Average precision and means, against tables worked out by hand."""

from __future__ import annotations

import math

import pytest

from instructdiffusion.evaluation.metrics import average_precision, mean


@pytest.mark.parametrize(
    ("scores", "correct", "positives", "expected"),
    [
        ([0.9, 0.8], [True, True], 2, 1.0),
        ([0.9, 0.8], [True, False], 2, 51 / 101),  # precision 1 up to recall .5, that is 51 of 101 places
        ([0.8, 0.9], [True, False], 1, 0.5),  # the surer one is wrong
        # precision 1, 1/2, 2/3 at recall 1/3, 1/3, 2/3: 34 places at 1, 33 at 2/3
        ([0.9, 0.8, 0.7], [True, False, True], 3, (34 + 33 * 2 / 3) / 101),
        ([], [], 3, 0.0),
        ([0.5], [False], 0, math.nan),
    ],
)
def test_average_precision(scores, correct, positives, expected):
    assert average_precision(scores, correct, positives) == pytest.approx(expected, nan_ok=True)


def test_mean_leaves_out_what_is_no_number():
    assert mean([1.0, math.nan, 3.0]) == 2 and math.isnan(mean([math.nan]))
