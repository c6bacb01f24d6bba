import numpy as np
import pytest
import torch

from instructdiffusion.sampling import GivenNoise, SeededNoise, check_seeds, initial_noise
from instructdiffusion.sampling.noise import generator

SHAPE = (4, 8, 8)


def test_initial_noise_is_what_torch_draws_for_the_seed():
    for seed in (0, 7, 2**32 - 1):
        expected = torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))
        assert torch.equal(initial_noise(seed, SHAPE)[0], expected)


def test_noise_of_a_picture_does_not_depend_on_its_batch():
    batch = initial_noise([3, 2**40, 9], SHAPE)
    assert torch.equal(batch[1], initial_noise(2**40, SHAPE)[0])
    step = SeededNoise([3, 2**40, 9]).step(5, batch)
    assert torch.equal(step[2:], SeededNoise([9]).step(5, batch[2:]))


def test_step_noise_does_not_depend_on_the_order_of_asking():
    like = torch.zeros(2, *SHAPE)
    one, two = SeededNoise([1, 2]), SeededNoise([1, 2])
    late, early = one.step(3, like), one.step(0, like)
    assert torch.equal(two.step(0, like), early) and torch.equal(two.step(3, like), late)


def test_no_draw_repeats_another_or_the_initial_noise():
    seeds = [0, 1, 2**32, 2**32 + 1, 2**63 - 1, 2**63, 2**64 - 1]  # torch itself reads the low 32 bits only
    like = torch.zeros(len(seeds), *SHAPE)
    noise = SeededNoise(seeds)
    pictures = torch.cat([initial_noise(seeds, SHAPE), *(noise.step(k, like) for k in range(4))])
    assert len({tuple(p.flatten()[:8].tolist()) for p in pictures}) == 5 * len(seeds)
    correlation = np.corrcoef(pictures.flatten(1).numpy())
    assert np.abs(correlation - np.eye(len(pictures))).max() < 0.3


def test_noise_is_unit_gaussian():
    noise = SeededNoise([5]).step(0, torch.zeros(1, 4, 64, 64))
    assert abs(float(noise.mean())) < 0.03 and abs(float(noise.std()) - 1) < 0.03


def test_step_noise_takes_the_latents_dtype():
    assert SeededNoise([1]).step(0, torch.zeros(1, *SHAPE, dtype=torch.float64)).dtype == torch.float64


def test_the_global_generator_is_left_alone():
    state = torch.random.get_rng_state()
    initial_noise([1, 2], SHAPE)
    SeededNoise([1]).step(0, torch.zeros(1, *SHAPE))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_generator_is_a_function_of_seed_and_draw():
    assert generator(4, 2).initial_seed() == generator(4, 2).initial_seed()
    assert generator(4, 2).initial_seed() != generator(4, 3).initial_seed()


@pytest.mark.parametrize("seed", [-1, 2**64, [1, -5]])
def test_seeds_out_of_range(seed):
    with pytest.raises(ValueError, match=r"2\^64"):
        check_seeds(seed)
    with pytest.raises(ValueError, match=r"2\^64"):
        initial_noise(seed, SHAPE)


@pytest.mark.parametrize("seed", [[1.5], ["1"], [True], True, [None], None, 2.0])
def test_seeds_must_be_whole_numbers(seed):
    with pytest.raises(TypeError, match="whole number"):
        check_seeds(seed)


def test_good_seeds():
    assert check_seeds(np.int64(3)) == (3,)
    assert check_seeds(range(3)) == (0, 1, 2)
    assert check_seeds([0, 2**63, 2**64 - 1]) == (0, 2**63, 2**64 - 1)
    with pytest.raises(ValueError, match="at least one"):
        check_seeds([])


def test_a_seed_for_every_picture():
    with pytest.raises(ValueError, match="got 2 for a batch of 3"):
        SeededNoise([1, 2]).step(0, torch.zeros(3, *SHAPE))


def test_given_noise():
    like = torch.zeros(1, *SHAPE)
    noise = GivenNoise([like + 1, like + 2])
    assert len(noise) == 2 and torch.equal(noise.step(1, like), like + 2)
    with pytest.raises(ValueError, match="more than the 2 times"):
        noise.step(2, like)
    with pytest.raises(ValueError, match="shape"):
        GivenNoise([like[:, :2]]).step(0, like)
    with pytest.raises(ValueError, match="step noise 1 has NaN"):
        GivenNoise([like, like / 0])
