"""Models whose answer is known exactly: data that is Gaussian, a different mean for every branch."""

from __future__ import annotations

import math

import pytest
import torch

from instructdiffusion.sampling import BRANCHES, Schedule


class GaussianModel:
    """The ideal denoiser of x0 ~ N(mean[branch], std^2), in the asked prediction kind; it counts its calls."""

    def __init__(self, prediction_type="epsilon", means=(0.5, -0.2, 0.3, 0.0), std=0.7):
        self.prediction_type = prediction_type
        self.means = dict(zip(BRANCHES, means, strict=True))
        self.std = std
        self.calls = []

    def denoised(self, x, sigma, branch="full"):
        v, s = self.std**2, sigma * sigma
        return (v * x + s * self.means[branch]) / (v + s)

    def exact(self, x, sigma, sigma_end):
        """The probability-flow ODE's solution from (x, sigma) at sigma_end, for the full branch."""
        mean = self.means["full"]
        return mean + (x - mean) * math.sqrt((self.std**2 + sigma_end**2) / (self.std**2 + sigma**2))

    def predict(self, x_scaled, row, branches):
        self.calls.append((row.t, branches))
        sigma = row.sigma
        x = x_scaled * math.sqrt(1 + sigma**2)
        return torch.stack([self.encode(x, self.denoised(x, sigma, b), sigma) for b in branches])

    def encode(self, x, denoised, sigma):
        ab = 1 / (1 + sigma**2)
        eps = (x - denoised) / sigma
        if self.prediction_type == "epsilon":
            return eps
        if self.prediction_type == "v_prediction":  # Salimans & Ho: v = alpha eps - sigma x0
            return math.sqrt(ab) * eps - math.sqrt(1 - ab) * denoised
        return denoised


@pytest.fixture
def gaussian():
    return GaussianModel


@pytest.fixture(scope="session")
def schedule():
    return Schedule.scaled_linear()


@pytest.fixture(scope="session")
def new_unet():
    """A function that builds a small 8-channel UNet for 8 x 8 latents and words 16 wide, the same weights each time."""
    diffusers = pytest.importorskip("diffusers")

    def build():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return diffusers.UNet2DConditionModel(
                sample_size=8,
                in_channels=8,
                out_channels=4,
                block_out_channels=(32, 32),
                layers_per_block=1,
                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
                up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
                cross_attention_dim=16,
                attention_head_dim=4,
            ).eval()

    return build
