import math
import threading

import pytest
import torch

from instructdiffusion.sampling import (
    DeepCache,
    SeededNoise,
    UNetDenoiser,
    initial_noise,
    instructdiffusion,
    interval,
    make_plan,
    none,
    sample,
)
from instructdiffusion.sampling.plan import Row

diffusers = pytest.importorskip("diffusers")

SHAPE, WIDTH, LENGTH = (4, 8, 8), 16, 6
SEEDS = [1, 2]


def make_unet(levels, layers=1, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return diffusers.UNet2DConditionModel(
            **{
                "sample_size": 8,
                "in_channels": 8,
                "block_out_channels": (32, 64, 64)[: len(levels)],
                "layers_per_block": layers,
                "down_block_types": tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in levels),
                "up_block_types": tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(levels)),
                "cross_attention_dim": WIDTH,
                "attention_head_dim": 4,
                **options,
            }
        ).eval()


@pytest.fixture(scope="module")
def unet():
    return make_unet([True, True, False], layers=2)


def denoiser(unet, batch=2):
    g = torch.Generator().manual_seed(1)
    image = torch.randn(batch, *SHAPE, generator=g)
    text, null = (torch.randn(n, LENGTH, WIDTH, generator=g) for n in (batch, 1))
    return UNetDenoiser(unet, image, text, null, "epsilon")


def plan_of(schedule, steps, guidance, solver="dpmpp_2m"):
    return make_plan(schedule.sigmas("trailing", steps), solver, guidance, schedule)


def start(plan, seeds=SEEDS):
    return initial_noise(seeds, SHAPE) * plan.sigma_start


@pytest.mark.parametrize("solver", ["dpmpp_2m", "heun", "euler_ancestral"])
def test_at_interval_one_it_is_the_denoiser_to_the_bit(solver, unet, schedule):
    plan = plan_of(schedule, 4, interval(instructdiffusion(5, 1.25), 1.0, 10.0), solver)
    model = DeepCache(denoiser(unet), every=1)
    end = sample(model, start(plan), plan, SeededNoise(SEEDS))
    assert torch.equal(end, sample(denoiser(unet), start(plan), plan, SeededNoise(SEEDS)))
    assert (model.whole, model.shallow) == (plan.evaluations * len(SEEDS), 0)


@pytest.mark.parametrize(
    "levels, layers", [([False], 1), ([True], 2), ([False, True], 1), ([True, True, False], 2)]
)
def test_with_features_of_the_same_input_a_shallow_row_is_exact(levels, layers, schedule):
    """Whatever the depth of the UNet: what is not computed anew is what would have been computed."""
    unet = make_unet(levels, layers)
    branches = ("full", "image_only", "text_only")
    x = initial_noise(SEEDS, SHAPE)
    one, two = (Row(s, s / 2, 400.0, (1, 0, 0, 0), 0.5, (0.5,)) for s in (2.0, 1.0))  # of one timestep
    with torch.no_grad():
        expected = denoiser(unet).predict(x, one, branches)
        for depth in range(1, layers + 2):
            model = DeepCache(denoiser(unet), every=2, depth=depth)
            assert torch.equal(model.predict(x, one, branches), expected)
            torch.testing.assert_close(model.predict(x, two, branches), expected, rtol=0, atol=1e-5)
            torch.testing.assert_close(model.predict(x, two, branches), expected, rtol=0, atol=0)  # anew
            assert (model.whole, model.shallow) == (12, 6)


def test_the_deep_part_runs_in_every_kth_row_only(unet, schedule):
    calls = []
    handle = unet.mid_block.register_forward_pre_hook(lambda module, args: calls.append(len(args[0])))
    try:
        plan = plan_of(schedule, 8, instructdiffusion(5, 1.25))
        model = DeepCache(denoiser(unet), every=3)
        sample(model, start(plan), plan)
    finally:
        handle.remove()
    assert calls == [6, 6, 6]  # rows 0, 3 and 6, three branches of two pictures
    assert (model.whole, model.shallow) == (3 * 6, 5 * 6)


def test_branches_may_leave_but_new_ones_are_computed_whole(unet, schedule):
    plan = plan_of(schedule, 4, interval(instructdiffusion(5, 1.25), 1.0, 5.0))  # 1, 3, 3, 1 branches
    model = DeepCache(denoiser(unet, 1), every=4)
    sample(model, start(plan, [1]), plan)
    assert (model.whole, model.shallow) == (1 + 3, 3 + 1)


def test_a_run_does_not_see_the_one_before(unet, schedule):
    plan = plan_of(schedule, 5, none())
    model, other = DeepCache(denoiser(unet), every=3), initial_noise([8, 9], SHAPE) * plan.sigma_start
    expected = sample(model, start(plan), plan)
    sample(model, other, plan)
    assert torch.equal(sample(model, start(plan), plan), expected)
    model.reset()
    assert (model.whole, model.shallow) == (0, 0)


def test_heuns_rows_of_one_sigma_share_their_features(unet, schedule):
    plan = plan_of(schedule, 5, none(), "heun")
    assert len(plan) == 9 and plan[1].sigma == plan[2].sigma
    for every, whole in ((2, 5), (3, 3), (9, 1)):
        model = DeepCache(denoiser(unet), every=every)
        end = sample(model, start(plan), plan)
        assert (model.whole, model.shallow) == (2 * whole, 2 * (9 - whole))
    exact = sample(denoiser(unet), start(plan), plan)
    assert 0.0 < float((end - exact).square().mean().sqrt() / exact.std()) < 0.1


def test_runs_of_one_row_are_whole_each(unet, schedule):
    plan = plan_of(schedule, 1, none(), "euler")
    model = DeepCache(denoiser(unet), every=3)
    for seeds in ([1, 2], [8, 9]):  # of one sigma
        assert torch.equal(
            sample(model, start(plan, seeds), plan), sample(denoiser(unet), start(plan, seeds), plan)
        )
    assert (model.whole, model.shallow) == (4, 0)


def test_the_answer_stays_near_and_nearer_with_more_of_the_unet(unet, schedule):
    plan = plan_of(schedule, 12, none())
    exact = sample(denoiser(unet), start(plan), plan)

    def error(**options):
        end = sample(DeepCache(denoiser(unet), **options), start(plan), plan)
        return float((end - exact).square().mean().sqrt() / exact.std())

    errors = [error(every=2, depth=3), error(every=6, depth=3), error(every=6, depth=1)]
    assert 0.0 < errors[0] < errors[1] < errors[2] < 0.1 and not math.isnan(errors[2])


def test_a_picture_does_not_depend_on_its_batch(unet, schedule):
    plan = plan_of(schedule, 5, instructdiffusion(3, 1))
    both = denoiser(unet)
    one = UNetDenoiser(unet, both.image_latents[1:], both.prompt_embeds[1:], both.negative_prompt_embeds[1:], "epsilon")
    together = sample(DeepCache(both), start(plan), plan)
    alone = sample(DeepCache(one), start(plan)[1:], plan)
    assert float((together[1] - alone[0]).abs().max() / alone.std()) < 1e-4


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of itself
def test_of_a_compiled_unet_that_has_run_the_module_itself_is_taken_apart(schedule):
    unet, plan = make_unet([True]), plan_of(schedule, 4, none())
    expected = sample(DeepCache(denoiser(unet), every=2), start(plan), plan)
    compiled = torch.compile(unet, backend="eager")
    try:
        sample(denoiser(compiled), start(plan), plan)  # from here on no hook on its parts is called
        model = DeepCache(denoiser(compiled), every=2)
        assert torch.equal(sample(model, start(plan), plan), expected)
        assert (model.whole, model.shallow) == (4, 4)
    finally:
        torch.compiler.reset()


def test_what_another_thread_runs_through_the_unet_meanwhile_is_not_taken_for_its_own(unet, schedule):
    plan, other = plan_of(schedule, 4, none()), initial_noise([8, 9], SHAPE)
    expected = sample(DeepCache(denoiser(unet), every=2), start(plan), plan)
    main, met = threading.get_ident(), []

    def elsewhere():
        with torch.no_grad():
            met.append(denoiser(unet).predict(other, plan[0], ("full",)))

    def between(module, arguments):  # within the run's row, before it comes to what is kept
        if threading.get_ident() == main:
            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join()

    handle = unet.conv_in.register_forward_pre_hook(between)
    try:
        end = sample(DeepCache(denoiser(unet), every=2), start(plan), plan)
    finally:
        handle.remove()
    assert len(met) == 4 and torch.equal(end, expected)


def test_threads_that_share_a_unet_get_their_own_answers(unet, schedule):
    plan, got = plan_of(schedule, 6, none()), {}

    def run(seed):
        return sample(DeepCache(denoiser(unet), every=3), start(plan, [seed, seed + 1]), plan)

    def work(seed):
        got[seed] = run(seed)

    expected = {seed: run(seed) for seed in (1, 11, 21)}
    threads = [threading.Thread(target=work, args=(seed,)) for seed in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got.keys() == expected.keys()
    for seed, end in got.items():
        torch.testing.assert_close(end, expected[seed], rtol=1e-4, atol=1e-4)


def test_nothing_stays_on_the_unet(unet, schedule):
    plan = plan_of(schedule, 3, none())
    sample(DeepCache(denoiser(unet)), start(plan), plan)
    assert not any(m._forward_pre_hooks for m in unet.modules())


@pytest.mark.parametrize(
    "options, message",
    [
        ({"every": 0}, "every must"),
        ({"every": 1.5}, "every must"),
        ({"depth": 0}, "depth must"),
        ({"depth": True}, "depth must"),
        ({"depth": 4}, "has 3 layers"),
    ],
)
def test_bad_options(options, message, unet):
    with pytest.raises(ValueError, match=message):
        DeepCache(denoiser(unet), **options)


def test_unets_it_cannot_split_are_refused(unet):
    other = make_unet([False, True], down_block_types=("AttnDownBlock2D", "CrossAttnDownBlock2D"))
    with pytest.raises(ValueError, match="AttnDownBlock2D"):
        DeepCache(denoiser(other))
    timed = make_unet([False, True], class_embed_type="timestep")
    with pytest.raises(ValueError, match="class_embed_type"):
        DeepCache(denoiser(timed))
