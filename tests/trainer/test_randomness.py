"""Every draw is a pure function of (seed, step, stream)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from instructdiffusion.trainer.randomness import entropy, shuffled_indices, step_generator


def test_entropy_depends_on_each_argument_and_on_nothing_else():
    assert entropy(1, 2, "noise") == entropy(1, 2, "noise")
    values = {entropy(s, n, stream) for s in range(5) for n in range(5) for stream in ("a", "b", "ab")}
    assert len(values) == 75
    assert all(0 <= v < 2**63 for v in values)


def test_a_step_draws_the_same_whatever_was_drawn_before():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    for step in range(5):
        torch.rand(7, generator=step_generator(0, step, "x"))
    late = torch.rand(4, generator=step_generator(0, 5, "x"))
    assert torch.equal(late, torch.rand(4, generator=step_generator(0, 5, "x")))
    assert not torch.equal(late, torch.rand(4, generator=step_generator(0, 5, "y")))
    assert torch.equal(before, torch.random.get_rng_state())  # the global generator is left alone


@pytest.mark.parametrize("chunk", [1, 3, 7, 25])
def test_the_walk_is_the_same_in_chunks_of_any_size(chunk):
    whole = shuffled_indices(4, 0, 60, 10)
    parts = [shuffled_indices(4, start, min(chunk, 60 - start), 10) for start in range(0, 60, chunk)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_every_epoch_is_another_permutation():
    epochs = shuffled_indices(0, 0, 50, 10).reshape(5, 10)
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 5
    assert not np.array_equal(shuffled_indices(1, 0, 10, 10), epochs[0])


def test_an_empty_population_is_refused():
    with pytest.raises(ValueError, match="make the pool larger"):
        shuffled_indices(0, 0, 4, 0)
