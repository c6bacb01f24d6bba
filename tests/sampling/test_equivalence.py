"""The authors' sampling, k-diffusion's samplers and diffusers' pipeline, beside ours: same weights, same noise.

The published samplers stand here twice: written out from their papers, which always run, and k-diffusion's own
(`pip install --no-deps k-diffusion`), where that package is there. A small UNet with random weights is run under
the authors' three-branch guidance, with their timesteps interpolated in log sigma.
"""

import dataclasses
import importlib.machinery
import importlib.util
import math
import sys
import types

import numpy as np
import pytest
import torch

from instructdiffusion import InstructDiffusion
from instructdiffusion.sampling import (
    UNetDenoiser,
    instructdiffusion,
    instructpix2pix,
    make_plan,
    none,
    sample,
)
from instructdiffusion.sampling.solvers import midpoint_correlation

diffusers = pytest.importorskip("diffusers")

SHAPE, WIDTH, LENGTH, BATCH, STEPS = (4, 8, 8), 16, 6, 2, 6
TOLERANCE = 1e-4  # of the latents' standard deviation, in float32
TEXT, IMAGE = 5.0, 1.25  # the authors' scales for editing


def deviation(ours, theirs):
    return float((ours - theirs).abs().max() / theirs.std())


@pytest.fixture(scope="module")
def unet(new_unet):
    return new_unet()


@pytest.fixture(scope="module")
def conditions():
    g = torch.Generator().manual_seed(1)
    image = torch.randn(BATCH, *SHAPE, generator=g)
    text = torch.randn(BATCH, LENGTH, WIDTH, generator=g)
    return {
        "image_latents": image,
        "prompt_embeds": text,
        "negative_prompt_embeds": torch.randn(1, LENGTH, WIDTH, generator=g),
    }


@pytest.fixture(scope="module")
def noises():
    g = torch.Generator().manual_seed(2)
    return torch.randn(2 * STEPS + 1, BATCH, *SHAPE, generator=g)


@pytest.fixture
def authors(unet, conditions, schedule):
    """denoised(x, sigma [b]) as the authors' code has it: k-diffusion's wrapper under three branches."""
    log_sigmas = np.log(np.sqrt((1 - schedule.alphas_cumprod) / schedule.alphas_cumprod))
    image, text = conditions["image_latents"], conditions["prompt_embeds"]
    null, zero = conditions["negative_prompt_embeds"].expand_as(text), torch.zeros_like(image)

    def eps(x, sigma, picture, words):
        t = np.interp(math.log(float(sigma[0])), log_sigmas, np.arange(len(log_sigmas)))
        scaled = x / (sigma[0] ** 2 + 1) ** 0.5
        t = torch.full((len(x),), float(t))
        return unet(torch.cat([scaled, picture], 1), t, encoder_hidden_states=words).sample

    def denoised(x, sigma):
        with torch.no_grad():
            branches = [
                x - sigma[0] * eps(x, sigma, *c) for c in ((image, text), (image, null), (zero, text))
            ]
        full, only_image, only_text = branches
        mean = 0.5 * (only_image + only_text)
        return mean + TEXT * (full - only_image) + IMAGE * (full - only_text)

    return denoised


# The samplers as their papers state them; model(x, sigma [b]) gives the denoised latents, noise(s0, s1) unit noise.


def written_euler(model, x, sigmas, noise):
    for s0, s1 in zip(sigmas, sigmas[1:], strict=False):
        slope = (x - model(x, s0.expand(len(x)))) / s0  # 2206.00364, eq. 4
        x = x + (s1 - s0) * slope
    return x


def written_euler_ancestral(model, x, sigmas, noise):
    for s0, s1 in zip(sigmas, sigmas[1:], strict=False):
        slope = (x - model(x, s0.expand(len(x)))) / s0
        up = (s1**2 * (s0**2 - s1**2) / s0**2).sqrt()
        x = x + ((s1**2 - up**2).sqrt() - s0) * slope
        if s1 > 0:
            x = x + up * noise(s0, s1)
    return x


def written_heun(model, x, sigmas, noise):
    for s0, s1 in zip(sigmas, sigmas[1:], strict=False):  # 2206.00364, algorithm 1
        slope = (x - model(x, s0.expand(len(x)))) / s0
        trial = x + (s1 - s0) * slope
        if s1 > 0:
            slope = (slope + (trial - model(trial, s1.expand(len(x)))) / s1) / 2
        x = x + (s1 - s0) * slope
    return x


def written_dpmpp_2m(model, x, sigmas, noise):
    old = h_last = None
    for s0, s1 in zip(sigmas, sigmas[1:], strict=False):  # 2211.01095, algorithm 2
        denoised = model(x, s0.expand(len(x)))
        if s1 == 0:
            return denoised
        h = s0.log() - s1.log()
        ahead = denoised if old is None else denoised + (denoised - old) * h / (2 * h_last)
        x = s1 / s0 * x - torch.expm1(-h) * ahead
        old, h_last = denoised, h
    return x


def written_dpmpp_2m_sde(model, x, sigmas, noise):
    old = h_last = None
    for s0, s1 in zip(sigmas, sigmas[1:], strict=False):  # 2211.01095, SDE-DPM-Solver++(2M)
        denoised = model(x, s0.expand(len(x)))
        if s1 == 0:
            return denoised
        h = s0.log() - s1.log()
        ahead = denoised if old is None else denoised + (denoised - old) * h / (2 * h_last)
        x = s1 / s0 * (-h).exp() * x + (1 - (-2 * h).exp()) * ahead
        x = x + s1 * (1 - (-2 * h).exp()).sqrt() * noise(s0, s1)
        old, h_last = denoised, h
    return x


def written_dpmpp_sde(model, x, sigmas, noise):
    for s0, s1 in zip(sigmas, sigmas[1:], strict=False):  # 2206.00927, DPM-Solver-2, on the SDE
        denoised = model(x, s0.expand(len(x)))
        if s1 == 0:
            return denoised
        m = (s0 * s1).sqrt()
        half = (m / s0) ** 2 * x + (1 - (m / s0) ** 2) * denoised
        half = half + m * (1 - (m / s0) ** 2).sqrt() * noise(s0, m)
        x = (s1 / s0) ** 2 * x + (1 - (s1 / s0) ** 2) * model(half, m.expand(len(x)))
        x = x + s1 * (1 - (s1 / s0) ** 2).sqrt() * noise(s0, s1)
    return x


def written_lcm(model, x, sigmas, noise):
    for s0, s1 in zip(sigmas, sigmas[1:], strict=False):  # 2310.04378, algorithm 3
        denoised = model(x, s0.expand(len(x)))
        x = denoised + s1 * noise(s0, s1) if s1 > 0 else denoised
    return x


WRITTEN = {
    "euler": written_euler,
    "euler_ancestral": written_euler_ancestral,
    "heun": written_heun,
    "dpmpp_2m": written_dpmpp_2m,
    "dpmpp_2m_sde": written_dpmpp_2m_sde,
    "dpmpp_sde": written_dpmpp_sde,
    "lcm": written_lcm,
}


@pytest.fixture(scope="module")
def k_diffusion():
    """k-diffusion's sampling module by itself: its package wants models and training tools that are not needed."""
    found = importlib.util.find_spec("k_diffusion")
    if found is None or not found.submodule_search_locations:
        pytest.skip("k-diffusion is not installed: pip install --no-deps k-diffusion")
    parent = types.ModuleType("k_diffusion_alone")
    parent.__path__ = list(found.submodule_search_locations)
    utils = types.ModuleType("k_diffusion_alone.utils")
    utils.append_dims = lambda x, dims: x[(...,) + (None,) * (dims - x.ndim)]
    parent.utils = utils
    stand_ins = {parent.__name__: parent, utils.__name__: utils}
    for name in ("torchdiffeq", "torchsde"):  # for its log-likelihood and Brownian tree
        if importlib.util.find_spec(name) is None:
            stand_ins[name] = types.ModuleType(name)
            stand_ins[name].odeint = None
    name = "k_diffusion_alone.sampling"
    spec = importlib.machinery.PathFinder.find_spec(name, parent.__path__)
    with pytest.MonkeyPatch.context() as patch:
        for key, module in stand_ins.items():
            patch.setitem(sys.modules, key, module)
        sampling = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, name, sampling)
        spec.loader.exec_module(sampling)
    return sampling


def ours(name, unet, conditions, schedule, sigmas, noises):
    plan = make_plan(sigmas, name, instructdiffusion(TEXT, IMAGE), schedule)
    model = UNetDenoiser(unet, **conditions, prediction_type="epsilon")
    given = list(noises[1 : 1 + plan.draws]) if plan.draws else None
    return sample(model, noises[0] * plan.sigma_start, plan, given)


class Draws:
    """Gives the noises in turn; in the SDE solver of midpoints every second is correlated with the one before."""

    def __init__(self, noises, midpoints):
        self.noises, self.midpoints, self.count = noises, midpoints, 0

    def __call__(self, s0, s1):
        fresh = self.noises[1 + self.count]
        self.count += 1
        if self.midpoints and self.count % 2 == 0:
            c = midpoint_correlation(float(s0), float(s1))
            return c * self.noises[self.count - 1] + math.sqrt(1 - c * c) * fresh
        return fresh


@pytest.mark.parametrize("spacing", ["native", "karras"])
@pytest.mark.parametrize("name", WRITTEN)
def test_published_samplers(name, spacing, unet, conditions, schedule, noises, authors, record_property):
    sigmas = schedule.sigmas(spacing, STEPS)
    levels = torch.tensor(sigmas, dtype=torch.float32)
    theirs = WRITTEN[name](authors, noises[0] * levels[0], levels, Draws(noises, name == "dpmpp_sde"))
    end = ours(name, unet, conditions, schedule, sigmas, noises)
    record_property("deviation", deviation(end, theirs))
    assert deviation(end, theirs) < TOLERANCE


def test_the_comparison_tells_solvers_and_branches_apart(unet, conditions, schedule, noises):
    """What is compared above is far from alike where it should not be."""
    sigmas = schedule.sigmas("native", STEPS)
    ends = [
        ours(n, unet, conditions, schedule, sigmas, noises) for n in ("euler", "heun", "dpmpp_2m", "unipc")
    ]
    swapped = {**conditions, "image_latents": conditions["image_latents"].flip(0)}
    ends.append(ours("euler", unet, swapped, schedule, sigmas, noises))
    assert min(deviation(a, b) for i, a in enumerate(ends) for b in ends[:i]) > 30 * TOLERANCE


@pytest.mark.parametrize("spacing", ["native", "karras"])
@pytest.mark.parametrize("name", [n for n in WRITTEN if n != "lcm"])
def test_k_diffusion(
    name, spacing, k_diffusion, unet, conditions, schedule, noises, authors, record_property
):
    sigmas = schedule.sigmas(spacing, STEPS)
    levels = torch.tensor(sigmas, dtype=torch.float32)
    options = {}
    if name in ("euler_ancestral", "dpmpp_2m_sde", "dpmpp_sde"):
        options["noise_sampler"] = Draws(noises, name == "dpmpp_sde")
    sampler = getattr(k_diffusion, f"sample_{name}")
    theirs = sampler(authors, noises[0] * levels[0], levels, disable=True, **options)
    end = ours(name, unet, conditions, schedule, sigmas, noises)
    record_property("deviation", deviation(end, theirs))
    assert deviation(end, theirs) < TOLERANCE


def test_karras_and_exponential_schedules_are_k_diffusions(k_diffusion, schedule):
    low, high = schedule.sigma_min, schedule.sigma_max
    for name in ("karras", "exponential"):
        theirs = getattr(k_diffusion, f"get_sigmas_{name}")(9, low, high).numpy()
        assert schedule.sigmas(name, 9) == pytest.approx(theirs, rel=2e-6)


def test_the_sde_solvers_noise_is_a_brownian_path():
    """k-diffusion draws it from one, over sigma: the covariance of two stretches is the length they share."""
    s0, s1 = 5.0, 1.2
    m = math.sqrt(s0 * s1)
    path = np.random.default_rng(0).standard_normal((2, 200_000))
    until_m = path[0] * math.sqrt(s0 - m)
    until_s1 = until_m + path[1] * math.sqrt(m - s1)
    assert midpoint_correlation(s0, s1) == pytest.approx(np.corrcoef(until_m, until_s1)[0, 1], abs=5e-3)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("steps", [2, 3, 5, 10])
def test_unipc_as_diffusers_has_it(order, steps, unet, conditions, schedule, noises, record_property):
    from functools import partial

    from instructdiffusion.sampling.solvers import unipc

    scheduler = diffusers.UniPCMultistepScheduler(
        **SCHEDULER, solver_order=order, solver_type="bh2", final_sigmas_type="zero"
    )
    scheduler.set_timesteps(steps)
    picture, words = conditions["image_latents"], conditions["prompt_embeds"]
    x = noises[0]
    with torch.no_grad():
        for t in scheduler.timesteps:
            eps = unet(torch.cat([x, picture], 1), t, encoder_hidden_states=words).sample
            x = scheduler.step(eps, t, x).prev_sample
    plan = make_plan(schedule.sigmas("trailing", steps), partial(unipc, order=order), none(), schedule)
    model = UNetDenoiser(unet, **conditions, prediction_type="epsilon")
    end = sample(model, noises[0] * math.sqrt(1 + plan.sigma_start**2), plan)
    record_property("deviation", deviation(end, x))
    assert plan.evaluations == steps and deviation(end, x) < TOLERANCE


# diffusers' pipeline, whole: preprocessing, text, guidance, scheduler, autoencoder.

SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "timestep_spacing": "trailing",
}


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("solver", ["euler_ancestral", "dpmpp_2m", "unipc"])
def test_diffusers_instructpix2pix_pipeline(
    solver, prediction_type, model, picture, monkeypatch, record_property
):
    from PIL import Image

    config = {**SCHEDULER, "prediction_type": prediction_type}
    scheduler = {
        "euler_ancestral": lambda: diffusers.EulerAncestralDiscreteScheduler(**config),
        "dpmpp_2m": lambda: diffusers.DPMSolverMultistepScheduler(**config, final_sigmas_type="zero"),
        "unipc": lambda: diffusers.UniPCMultistepScheduler(**config, final_sigmas_type="zero"),
    }[solver]()
    parts = model.components
    pipeline = diffusers.StableDiffusionInstructPix2PixPipeline(
        vae=parts.vae,
        text_encoder=parts.text_encoder,
        tokenizer=parts.tokenizer,
        unet=parts.unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    instruction, steps = "add a red star", 6
    start = torch.randn(1, *model.backend.latent_shape((64, 64)), generator=torch.Generator().manual_seed(4))
    latents = []

    def keep(pipeline, i, t, kwargs):
        latents.append(kwargs["latents"].clone())
        return kwargs

    theirs = pipeline(
        instruction,
        image=Image.fromarray(picture),
        num_inference_steps=steps,
        guidance_scale=7.5,
        image_guidance_scale=1.5,
        latents=start.clone(),
        generator=torch.Generator().manual_seed(5),
        output_type="np",
        callback_on_step_end=keep,
    ).images[0]

    g = torch.Generator().manual_seed(5)
    fresh = [torch.randn(start.shape, generator=g) for _ in range(steps)]
    sigma = model.schedule.sigma_max
    # the variance-preserving schedulers start from noise that is what the latent would be, with data in it
    start = start if solver == "euler_ancestral" else start * math.sqrt(1 + sigma**2) / sigma
    ours = InstructDiffusion(dataclasses.replace(parts, prediction_type=prediction_type))
    rows, drawn = [], []
    decode = ours.backend.decode_latents
    monkeypatch.setattr(ours.backend, "decode_latents", lambda x: drawn.append(decode(x)) or drawn[-1])
    ours.run(
        instruction,
        picture,
        steps=steps,
        solver=solver,
        schedule="trailing",
        guidance=instructpix2pix(7.5, 1.5),
        noise={"initial": start, "steps": fresh},
        on_step=lambda i, x, denoised: rows.append(x),
    )
    record_property("deviation", deviation(rows[-1], latents[-1]))
    assert len(rows) == len(latents) == steps and deviation(rows[-1], latents[-1]) < TOLERANCE
    assert np.abs(drawn[0][0] - theirs).max() < 1e-4
