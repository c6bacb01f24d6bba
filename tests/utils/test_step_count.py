"""The total is never passed, and reached at the end."""

from __future__ import annotations

from instructdiffusion.utils.step_count import StepCount


def run(count, *batches):
    """(done, total) after every row of batches of these sizes."""
    seen = []
    for size in batches:
        for row in range(count.rows):
            count.step(row, size)
            seen.append((count.done, count.total))
    return seen


def test_what_is_known_before_is_the_total():
    assert run(StepCount(2, 2), 1, 1) == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_further_look_makes_the_total_larger_as_it_begins():
    assert run(StepCount(2, 1), 1, 1) == [(1, 2), (2, 2), (3, 4), (4, 4)]
    assert run(StepCount(2, 1), 2) == [(2, 4), (4, 4)]  # two subjects in one batch


def test_a_batch_that_comes_again_in_halves_does_not_pass_the_total():
    count = StepCount(3, 4)
    count.step(0, 4)  # then memory was too small
    run(count, 2, 2)
    assert (count.done, count.total) == (16, 16)
    count.place(4, 8)
    assert (count.done, count.total) == (12, 24)
