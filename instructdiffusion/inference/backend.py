"""Backend: what puts pictures and instructions through a model, whatever runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..sampling import OnStep, Plan, StepNoise
from .memory import Footprint


class Backend(Protocol):
    """What the runner asks of a model.

    `ComponentsBackend` runs the networks itself; the ComfyUI nodes have one that runs a MODEL, CLIP and VAE. Two facts
    that a backend may have beside these: `one_text` (True where all prompts of a batch must be the same), and
    `leaves_untouched` (True where `generate` takes `untouched`).
    """

    @property
    def factor(self) -> int:
        """Pixels a latent cell stands for along each side."""

    @property
    def multiple(self) -> int:
        """What both sides of an image must be a multiple of."""

    @property
    def footprint(self) -> Footprint:
        """What the networks take while they run."""

    @property
    def device(self) -> torch.device:
        """Where the UNet runs."""

    def free(self, device: Any) -> int | None:
        """Bytes that a run may take on a device; None where that is not known."""

    def latent_shape(self, size: tuple[int, int]) -> tuple[int, int, int]:
        """(c, h, w) of the latents of an image of `size` (height, width)."""

    def encode_image(self, images: np.ndarray) -> Tensor:
        """Image latents [n, c, h/f, w/f], unscaled, of images uint8 [n, h, w, 3]."""

    def decode_latents(self, latents: Tensor) -> np.ndarray:
        """Images float32 [n, h, w, 3] in 0..1 of unscaled latents; FloatingPointError if not finite."""

    def generate(
        self,
        images: np.ndarray,
        prompts: Sequence[str],
        plan: Plan,
        initial_noise: Tensor,
        step_noise: StepNoise,
        *,
        reconstruct: bool = True,
        on_step: OnStep | None = None,
        cache_interval: int = 1,
        adaptive: float | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Follow a prompt on each image.

        Args:
            images: uint8 [n, h, w, 3], both sides multiples of `multiple`.
            prompts: One an image.
            plan: The rows of the run.
            initial_noise: Unit noise [n, c, h/f, w/f] to begin with.
            step_noise: Where a plan that adds noise takes it.
            reconstruct: Whether the autoencoder's copy of the source is wanted too.
            on_step: Called after every row.
            cache_interval: The whole UNet runs in every so many-th row only (`sampling.DeepCache`).
            adaptive: The tolerance within which branches of guidance are left out, None for none.

        Returns:
            (edited, the autoencoder's copy of the source or None), float32 [n, h, w, 3] in 0..1.

        Raises:
            ValueError: For a cache_interval or adaptive that the backend cannot follow.
        """
