import pytest
import torch

from instructdiffusion.sampling import (
    BRANCHES,
    SeededNoise,
    UNetDenoiser,
    initial_noise,
    instructdiffusion,
    instructpix2pix,
    make_plan,
    none,
    sample,
)

diffusers = pytest.importorskip("diffusers")

SHAPE, WIDTH, LENGTH = (4, 8, 8), 16, 6


def make_unet(in_channels=8, out_channels=4):
    state = torch.random.get_rng_state()
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        in_channels=in_channels,
        out_channels=out_channels,
        block_out_channels=(32, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
    ).eval()
    torch.random.set_rng_state(state)
    return unet


@pytest.fixture(scope="module")
def unet():
    return make_unet()


@pytest.fixture
def conditions():
    g = torch.Generator().manual_seed(1)
    return dict(
        image_latents=torch.randn(3, *SHAPE, generator=g),
        prompt_embeds=torch.randn(3, LENGTH, WIDTH, generator=g),
        negative_prompt_embeds=torch.randn(1, LENGTH, WIDTH, generator=g),
    )


def call(unet, x_scaled, image, text, t):
    with torch.no_grad():
        return unet(torch.cat([x_scaled, image], 1), torch.tensor(float(t)), text).sample


def test_branches_see_what_their_names_say(unet, conditions, schedule):
    image, text, null = (
        conditions["image_latents"],
        conditions["prompt_embeds"],
        conditions["negative_prompt_embeds"].expand(3, -1, -1),
    )
    zero = torch.zeros_like(image)
    plan = make_plan([5.0, 0.0], "euler", none(), schedule)
    x = initial_noise([1, 2, 3], SHAPE)
    with torch.no_grad():
        out = UNetDenoiser(unet, **conditions, prediction_type="epsilon").predict(x, plan[0], BRANCHES)
    assert out.shape == (4, 3, *SHAPE)
    for got, (i, s) in zip(out, [(image, text), (image, null), (zero, text), (zero, null)], strict=True):
        torch.testing.assert_close(got, call(unet, x, i, s, plan[0].t), rtol=0, atol=1e-5)
    assert not torch.allclose(out[0], out[1], atol=1e-4) and not torch.allclose(out[0], out[2], atol=1e-4)


def test_all_branches_run_in_one_call(unet, conditions, schedule):
    calls = []
    handle = unet.register_forward_pre_hook(lambda module, args: calls.append(len(args[0])))
    try:
        plan = make_plan(schedule.sigmas("trailing", 3), "euler", instructdiffusion(6, 0.5), schedule)
        sample(
            UNetDenoiser(unet, **conditions, prediction_type="epsilon"), initial_noise([1, 2, 3], SHAPE), plan
        )
    finally:
        handle.remove()
    assert calls == [6, 6, 6]  # two branches of three pictures; text_only has weight 0


def test_timesteps_may_be_fractions(unet, conditions, schedule):
    model = UNetDenoiser(unet, **conditions, prediction_type="epsilon")
    x = initial_noise([1, 2, 3], SHAPE)
    outs = []
    for t in (500.0, 500.5, 501.0):
        plan = make_plan([schedule.sigma_of(t), 0.0], "euler", none(), schedule)
        assert plan[0].t == pytest.approx(t, abs=1e-8)
        with torch.no_grad():
            outs.append(model.predict(x, plan[0], ("full",)))
    assert not torch.equal(outs[0], outs[1]) and not torch.equal(outs[1], outs[2])


@pytest.mark.parametrize("authors", [True, False])
def test_guided_run_equals_a_loop_written_out(unet, conditions, schedule, authors):
    """Three branches a step, Euler ancestral, weights as both papers write them."""
    image, text, null = (
        conditions["image_latents"],
        conditions["prompt_embeds"],
        conditions["negative_prompt_embeds"].expand(3, -1, -1),
    )
    zero, s_t, s_i = torch.zeros_like(image), 5.0, 1.25
    sigmas = [float(s) for s in schedule.sigmas("native", 4)]
    x = start = initial_noise([1, 2, 3], SHAPE) * sigmas[0]
    noise = [SeededNoise([1, 2, 3]).step(k, x) for k in range(3)]
    for i, (s0, s1) in enumerate(zip(sigmas[:-1], sigmas[1:], strict=True)):
        scaled, t = x / (1 + s0**2) ** 0.5, schedule.t_of(s0)
        both, only_image = call(unet, scaled, image, text, t), call(unet, scaled, image, null, t)
        if authors:
            only_text = call(unet, scaled, zero, text, t)
            eps = 0.5 * (only_image + only_text) + s_t * (both - only_image) + s_i * (both - only_text)
        else:
            nothing = call(unet, scaled, zero, null, t)
            eps = nothing + s_i * (only_image - nothing) + s_t * (both - only_image)
        up = (s1**2 * (s0**2 - s1**2) / s0**2) ** 0.5
        x = x + eps * ((s1**2 - up**2) ** 0.5 - s0)
        if s1 > 0:
            x = x + noise[i] * up
    guidance = (instructdiffusion if authors else instructpix2pix)(s_t, s_i)
    plan = make_plan(sigmas, "euler_ancestral", guidance, schedule)
    end = sample(
        UNetDenoiser(unet, **conditions, prediction_type="epsilon"), start, plan, SeededNoise([1, 2, 3])
    )
    assert float((end - x).abs().max() / x.std()) < 1e-4


def test_a_picture_does_not_depend_on_its_batch(unet, conditions, schedule):
    plan = make_plan(schedule.sigmas("trailing", 4), "dpmpp_2m_sde", instructdiffusion(3, 1), schedule)
    seeds = [4, 5, 6]
    together = sample(
        UNetDenoiser(unet, **conditions, prediction_type="v_prediction"),
        initial_noise(seeds, SHAPE) * plan.sigma_start,
        plan,
        SeededNoise(seeds),
    )
    one = {k: v[1:2] if len(v) == 3 else v for k, v in conditions.items()}
    alone = sample(
        UNetDenoiser(unet, **one, prediction_type="v_prediction"),
        initial_noise([5], SHAPE) * plan.sigma_start,
        plan,
        SeededNoise([5]),
    )
    assert (
        float((alone[0] - together[1]).abs().max() / alone.std()) < 1e-4
    )  # convolutions round by batch size


def test_conditions_are_stacked_once(unet, conditions):
    model = UNetDenoiser(unet, **conditions, prediction_type="epsilon")
    first = model.conditions(("full", "text_only"))
    assert model.conditions(("full", "text_only")) is first
    assert len(model) == 3 and first[0].shape == (6, *SHAPE) and not first[0][3:].any()


def test_a_unet_of_other_channels_is_refused(conditions):
    with pytest.raises(ValueError, match=r"8 input channels .* has 4"):
        UNetDenoiser(make_unet(in_channels=4), **conditions, prediction_type="epsilon")
    with pytest.raises(ValueError, match="4 output channels"):
        UNetDenoiser(make_unet(out_channels=3), **conditions, prediction_type="epsilon")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"prediction_type": "eps"}, "prediction_type must be"),
        ({"image_latents": torch.zeros(*SHAPE)}, "image latents must be"),
        ({"image_latents": torch.full((3, *SHAPE), float("nan"))}, "image latents have NaN"),
        ({"prompt_embeds": torch.zeros(2, LENGTH, WIDTH)}, "prompt embeds must be"),
        ({"prompt_embeds": torch.full((3, LENGTH, WIDTH), float("inf"))}, "prompt embeds have NaN"),
        ({"negative_prompt_embeds": torch.zeros(2, LENGTH, WIDTH)}, "negative prompt embeds must be"),
        (
            {"prompt_embeds": torch.zeros(3, LENGTH, 8), "negative_prompt_embeds": torch.zeros(1, LENGTH, 8)},
            "16 wide; got 8",
        ),
    ],
)
def test_bad_conditions(unet, conditions, changes, message):
    with pytest.raises(ValueError, match=message):
        UNetDenoiser(unet, **{**conditions, "prediction_type": "epsilon", **changes})


def test_bad_latents_and_branches(unet, conditions, schedule):
    model = UNetDenoiser(unet, **conditions, prediction_type="epsilon")
    row = make_plan([5.0, 0.0], "euler", none(), schedule)[0]
    with pytest.raises(ValueError, match="condition's shape"):
        model.predict(torch.zeros(3, 4, 4, 4), row, ("full",))
    with pytest.raises(ValueError, match="branches must be"):
        model.predict(torch.zeros(3, *SHAPE), row, ("half",))
