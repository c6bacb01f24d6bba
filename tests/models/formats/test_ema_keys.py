"""The averaged weights of a checkpoint take the place of the plain ones, under the UNet's own names."""

from __future__ import annotations

import pytest

from instructdiffusion.models.formats.ema_keys import with_averages

UNET = "model.diffusion_model."
NAMES = ("input_blocks.0.0.weight", "input_blocks.10.1.proj_in.bias", "time_embed.2.weight", "out.2.bias")
PLAIN = {UNET + name: UNET + name for name in NAMES}
VAE = {"first_stage_model.quant_conv.bias": "first_stage_model.quant_conv.bias"}
DOTLESS = {UNET + n: "model_ema.diffusion_model" + n.replace(".", "") for n in NAMES}
COUNTERS = ("model_ema.decay", "model_ema.num_updates")


def test_a_checkpoint_without_averages_stays_as_it_is():
    assert with_averages([*PLAIN, *VAE], "a.ckpt") == PLAIN | VAE
    assert with_averages([*PLAIN, *VAE, *COUNTERS], "a.ckpt") == PLAIN | VAE


@pytest.mark.parametrize("averages", [DOTLESS, {k: "model_ema." + k for k in PLAIN}], ids=["dotless", "dots"])
def test_averages_stand_in_for_the_plain_weights(averages):
    keys = [*PLAIN, *VAE, *averages.values(), *COUNTERS]
    assert with_averages(keys, "a.ckpt") == averages | VAE
    assert with_averages([k for k in keys if k not in PLAIN], "a.ckpt") == averages | VAE  # names made anew


def test_averages_that_are_missing_or_of_nothing_known_are_listed():
    some = list(DOTLESS.values())
    with pytest.raises(ValueError, match=r"a\.ckpt has 1 missing key \(out\.2\.bias\) among its averaged"):
        with_averages([*PLAIN, *some[:-1]], "a.ckpt")
    with pytest.raises(ValueError, match=r"1 unknown key \(model_ema\.nobody\) among its averaged"):
        with_averages([*PLAIN, *some, "model_ema.nobody"], "a.ckpt")
