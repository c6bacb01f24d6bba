"""Batches made ahead come in order, whoever makes them."""

from __future__ import annotations

import operator
import threading
from functools import partial

import pytest

from instructdiffusion.trainer.prefetch import one_ahead, prefetch


def test_without_workers_each_is_made_when_asked_for():
    made = []
    batches = prefetch(lambda n: made.append(n) or n * n, range(3, 6), 0)
    assert next(batches) == 9 and made == [3]
    assert list(batches) == [16, 25]


def test_workers_hand_over_in_order():
    assert list(prefetch(partial(operator.mul, 3), range(20), 2)) == [3 * n for n in range(20)]


def test_fewer_numbers_than_places_ahead_and_a_reader_that_leaves():
    assert list(prefetch(operator.neg, range(2), 1, ahead=8)) == [0, -1]
    batches = prefetch(operator.neg, range(1000), 1)
    assert next(batches) == 0
    batches.close()  # returns although 999 are left
    with pytest.raises(StopIteration):
        next(batches)


def test_a_makers_error_reaches_the_reader():
    batches = prefetch(partial(operator.truediv, 1), range(3), 1)
    with pytest.raises(ZeroDivisionError):
        next(batches)


@pytest.mark.parametrize("workers", [0, 1])
def test_nothing_to_make_makes_nothing(workers):
    assert list(prefetch(operator.neg, range(5, 5), workers)) == []


def test_a_thread_makes_one_ahead_and_no_more():
    made, begun = [], threading.Event()

    def make(n):
        made.append(n)
        if n == 4:
            begun.set()
        return n * n

    batches = one_ahead(make, range(3, 6))
    assert next(batches) == 9
    assert begun.wait(10) and made == [3, 4]  # the next one is made while the first is in use
    assert list(batches) == [16, 25] and made == [3, 4, 5]
    assert list(one_ahead(make, range(7, 7))) == []


def test_a_threads_error_reaches_the_reader():
    batches = one_ahead(partial(operator.floordiv, 1), range(-1, 1))
    assert next(batches) == -1
    with pytest.raises(ZeroDivisionError):
        next(batches)
