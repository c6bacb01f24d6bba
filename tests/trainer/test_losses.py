"""The objective against diffusers' scheduler, by hand, and where it must hide the answer."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from instructdiffusion.models.formats.folder import SCHEDULER, training_alphas
from instructdiffusion.trainer.losses import (
    absent_weights,
    add_noise,
    area_weights,
    changed_weights,
    draw_timesteps,
    snr_weights,
)

ALPHAS = training_alphas()
KINDS = ("epsilon", "v_prediction", "sample")


def _batch(count: int = 6):
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, count, 4, 8, 8, generator=generator)
    t = torch.tensor([0, 10, 500, 900, 998, 999])[:count]
    return clean, noise, t


def _denoised(x, answer, t, prediction):
    a = ALPHAS[t].float()[:, None, None, None]
    if prediction == "epsilon":
        return (x - (1 - a).sqrt() * answer) / a.sqrt()
    return a.sqrt() * x - (1 - a).sqrt() * answer if prediction == "v_prediction" else answer


@pytest.mark.parametrize("prediction", KINDS)
def test_inputs_and_answers_are_diffusers(prediction):
    from diffusers import DDPMScheduler

    keys = ("num_train_timesteps", "beta_schedule", "beta_start", "beta_end")
    scheduler = DDPMScheduler(**{key: SCHEDULER[key] for key in keys})
    clean, noise, t = _batch()
    ours = add_noise(clean, noise, t, torch.zeros(6, dtype=torch.bool), ALPHAS, prediction)
    torch.testing.assert_close(ours.x, scheduler.add_noise(clean, noise, t), atol=1e-5, rtol=1e-5)
    answers = {"epsilon": noise, "sample": clean, "v_prediction": scheduler.get_velocity(clean, noise, t)}
    # epsilon is (x - s x0) / sigma here: at t = 0 rounding is divided by a small sigma.
    torch.testing.assert_close(ours.answer, answers[prediction], atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("prediction", KINDS)
def test_a_last_step_sample_shows_no_trace_of_the_answer(prediction):
    clean, noise, _ = _batch()
    t = torch.full((6,), 999)
    final = torch.tensor([True, True, True, False, False, False])
    one = add_noise(clean, noise, t, final, ALPHAS, prediction)
    other = add_noise(clean + 7.0, noise, t, final, ALPHAS, prediction)
    assert torch.equal(one.x[:3], other.x[:3])
    torch.testing.assert_close(one.x[:3], float((1 - ALPHAS[999]).sqrt()) * noise[:3])
    assert (one.x[3:] - other.x[3:]).abs().min() > 0.1  # the schedule's own last step does give it away


@pytest.mark.parametrize("prediction", KINDS)
@pytest.mark.parametrize("last", [False, True])
def test_a_right_answer_gives_x0_exactly(prediction, last):
    clean, noise, t = _batch()
    if last:
        t = torch.full_like(t, 999)
    noised = add_noise(clean, noise, t, torch.full((6,), last), ALPHAS, prediction)
    found = _denoised(noised.x, noised.answer, t, prediction)
    torch.testing.assert_close(found, clean, atol=1e-4, rtol=1e-4)


def test_an_unknown_prediction_is_refused():
    clean, noise, t = _batch()
    with pytest.raises(ValueError, match="'flow'"):
        add_noise(clean, noise, t, t < 0, ALPHAS, "flow")


def test_the_share_of_last_steps_is_each_samples_own():
    chances = torch.tensor([0.0, 1.0] * 2000 + [0.25] * 4000)
    t, final = draw_timesteps(8000, 1000, chances, torch.Generator().manual_seed(0))
    assert not final[:4000:2].any() and final[1:4000:2].all()
    assert final[4000:].float().mean() == pytest.approx(0.25, abs=0.03)
    assert (t[final] == 999).all()
    others = t[~final].float()
    assert others.min() < 5 and others.max() > 994 and others.mean() == pytest.approx(500, abs=20)


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [("epsilon", [1, 1, 5 / 9]), ("v_prediction", [1 / 3, 1 / 2, 1 / 2]), ("sample", [0.5, 1, 5])],
)
def test_min_snr_by_hand(prediction, expected):
    alphas = torch.tensor([1 / 3, 0.5, 0.9], dtype=torch.float64)  # signal to noise 1/2, 1, 9
    weights = snr_weights(torch.arange(3), alphas, prediction, 5.0)
    torch.testing.assert_close(weights, torch.tensor(expected, dtype=torch.float32))
    assert torch.equal(snr_weights(torch.arange(3), alphas, prediction, None), torch.ones(3))


def test_changed_cells_weigh_more_and_pictures_weigh_alike():
    source = torch.zeros(3, 4, 4, 4)
    target = source.clone()
    target[1, :, 0, 0] = 10.0  # one cell changed fully
    target[2, :, :2] = 0.25  # half of the cells by half of what counts as fully
    weights = changed_weights(source, target, 3.0)
    torch.testing.assert_close(weights.mean((1, 2, 3)), torch.ones(3))
    assert torch.equal(weights[0], torch.ones(1, 4, 4))
    assert float(weights[1, 0, 0, 0] / weights[1, 0, 3, 3]) == pytest.approx(4.0)
    assert float(weights[2, 0, 0, 0] / weights[2, 0, 3, 3]) == pytest.approx(2.5)


def test_only_perception_answers_that_are_the_untouched_picture_weigh_otherwise():
    source = torch.randn(3, 4, 2, 2)
    target = source.clone()
    target[1, 0, 0, 0] += 1.0
    weights = absent_weights(source, target, torch.tensor([True, True, False]), 4.0)
    assert weights.shape == (3, 1, 1, 1) and weights.flatten().tolist() == [4.0, 1.0, 1.0]


def test_samples_weigh_by_the_area_of_their_answer_and_all_cells_alike():
    source = torch.zeros(3, 4, 10, 10)
    target = source.clone()
    target[1, :, 0, :5] = 1.0  # a twentieth of the cells
    target[2, :, :5] = 0.25  # half of the cells by half of what counts as fully
    weights = area_weights(source, target, 0.05)
    assert weights.shape == (3, 1, 1, 1)  # untouched: as if a tenth were changed
    assert weights.flatten().tolist() == pytest.approx([1 / 0.15, 1 / 0.1, 1 / 0.3])


class _Ears(nn.Module):
    """Stands for the text encoder and the UNet, and remembers what they were shown."""

    device = torch.device("cpu")

    def forward(self, *arguments, encoder_hidden_states=None, return_dict=True):
        self.heard = arguments[0]
        if encoder_hidden_states is None:
            return SimpleNamespace(last_hidden_state=torch.zeros(len(self.heard), 1))
        return (arguments[0][:, :4],)


@pytest.mark.parametrize(("drop_text", "drop_image"), [(0.5, 0.5), (0.3, 0.3), (1.0, 0.0), (0.0, 1.0)])
def test_a_sample_never_loses_both_its_text_and_its_picture(drop_text, drop_image):
    from instructdiffusion.trainer.config import LossConfig, TrainConfig
    from instructdiffusion.trainer.diffusion_stage import DiffusionStage

    stage = DiffusionStage.__new__(DiffusionStage)
    nn.Module.__init__(stage)
    loss = LossConfig(drop_text=drop_text, drop_image=drop_image)
    stage.config = TrainConfig("instruct", "out", 1, loss=loss)
    stage.text_encoder, stage.unet = _Ears(), _Ears()
    stage.alphas, stage.scale, stage.rank = ALPHAS, 2.0, 0
    stage.null = torch.zeros(1, 5, dtype=torch.long)
    stage.perception = torch.tensor([True])
    count, lost_text, lost_image = 400, [], []
    picture = torch.ones(count, 4, 2, 2)
    batch = {"text": torch.ones(count, 5, dtype=torch.long), "source": picture, "target": -picture}
    batch["task"] = torch.zeros(count, dtype=torch.long)
    for step in range(3):
        stage(batch | stage.draws(batch, step), step)
        lost_text.append((stage.text_encoder.heard == 0).all(1))
        condition = stage.unet.heard[:, 4:]
        lost_image.append((condition == 0).flatten(1).all(1))
        assert torch.equal(condition[~lost_image[-1]], picture[~lost_image[-1]])  # unscaled
    text, image = torch.cat(lost_text), torch.cat(lost_image)
    assert not (text & image).any()
    assert text.float().mean() == pytest.approx(drop_text, abs=0.06)
    assert image.float().mean() == pytest.approx(drop_image, abs=0.06)
