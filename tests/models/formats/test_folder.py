"""The noise schedule and the index of a model folder, as diffusers reads them."""

from __future__ import annotations

import json

import pytest
import torch

from instructdiffusion.models.formats.folder import SCHEDULER, training_alphas, write_index


@pytest.mark.parametrize("kind", ["scaled_linear", "linear"])
def test_alphas_are_diffusers(kind):
    from diffusers import DDIMScheduler

    settings = {k: v for k, v in SCHEDULER.items() if not k.startswith("_")} | {"beta_schedule": kind}
    ours = training_alphas(settings)
    assert ours.dtype == torch.float64 and ours.shape == (1000,)
    theirs = DDIMScheduler(**settings).alphas_cumprod
    torch.testing.assert_close(ours.float(), theirs, atol=1e-6, rtol=1e-4)


def test_the_last_step_still_holds_068_of_the_signal():
    assert float(training_alphas()[-1].sqrt()) == pytest.approx(0.0683, abs=1e-4)


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="'squaredcos_cap_v2'"):
        training_alphas({**SCHEDULER, "beta_schedule": "squaredcos_cap_v2"})


def test_the_written_scheduler_is_read_back_by_diffusers(tmp_path):
    from diffusers import DDIMScheduler

    write_index(tmp_path / "new", {**SCHEDULER, "prediction_type": "v_prediction"})
    scheduler = DDIMScheduler.from_pretrained(tmp_path / "new", subfolder="scheduler")
    assert scheduler.config.prediction_type == "v_prediction" and scheduler.config.beta_end == 0.012
    index = json.loads((tmp_path / "new" / "model_index.json").read_text())
    assert index["unet"] == ["diffusers", "UNet2DConditionModel"]
    assert index["scheduler"] == ["diffusers", "DDIMScheduler"]
