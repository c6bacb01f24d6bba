"""Editor: pictures of one size and their instructions through the model, once, in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .sampling import AdaptiveGuidance, DeepCache, Model, OnStep, Plan, StepNoise, UNetDenoiser, sample
from .sampling.replaying import Replaying

if TYPE_CHECKING:
    from .models.loading import Components


class Editor:
    """The components of a model, as one function from pictures and texts to edited pictures.

    graphs: whether UNet and step are replayed as CUDA graphs, True, False, or None for where they can and pay
    (`sampling.replaying.Replaying`); False suits weights that come and go, as in training. backend: of the step
    outside the UNet where nothing is replayed (`sampling.sample`).
    """

    def __init__(self, components: Components, *, graphs: bool | None = False, backend: str = "auto") -> None:
        self.components = components
        self.replaying = Replaying(graphs, backend)
        self._null: Tensor | None = None

    @property
    def factor(self) -> int:
        """Pixels a latent cell stands for along each side."""
        return 2 ** (len(self.components.vae.config.block_out_channels) - 1)

    @property
    def multiple(self) -> int:
        """What both sides of a picture must be a multiple of."""
        return self.factor * 2 ** (len(self.components.unet.config.block_out_channels) - 1)

    def latent_shape(self, size: tuple[int, int]) -> tuple[int, int, int]:
        """(c, h, w) of the latents of a picture of `size` (height, width)."""
        height, width = (side // self.factor for side in size)
        return int(self.components.vae.config.latent_channels), height, width

    @property
    def text_limit(self) -> int:
        """Tokens an instruction may have, its begin and end token included."""
        places = int(self.components.text_encoder.config.max_position_embeddings)
        return min(places, int(self.components.tokenizer.model_max_length))

    def check_text(self, text: str) -> None:
        """ValueError where the text has halves of characters, or more tokens than the model reads; it says which."""
        try:
            text.encode()
        except UnicodeEncodeError as error:  # a shell hands over bytes that are not UTF-8 as lone surrogates
            raise ValueError(
                f"the instruction {text!r} has no text at character {error.start + 1} (bytes that are not UTF-8, or "
                "half of a surrogate pair): type it again"
            ) from error
        count = len(self.components.tokenizer(text, verbose=False)["input_ids"])
        if count > self.text_limit:
            shown = text if len(text) <= 60 else text[:57] + "..."
            raise ValueError(
                f"the instruction {shown!r} has {count} tokens, the model reads at most {self.text_limit} "
                "(begin and end included): shorten it"
            )

    @torch.inference_mode()
    def read(self, texts: Sequence[str]) -> Tensor:
        """States [n, length, width] of the texts; equal texts are read once."""
        unique = list(dict.fromkeys(texts))
        ids = self.components.tokenizer(
            unique, padding="max_length", max_length=self.text_limit, truncation=False, return_tensors="pt"
        )["input_ids"]
        encoder = self.components.text_encoder
        states = encoder(ids.to(encoder.device))[0]
        return states if len(unique) == len(texts) else states[[unique.index(t) for t in texts]]

    @torch.inference_mode()
    def encode(self, pictures: np.ndarray) -> Tensor:
        """The condition: the mode of the posterior [n, c, h/f, w/f], unscaled, of pictures uint8 [n, h, w, 3]."""
        vae = self.components.vae
        device, dtype = _place(vae)
        x = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).to(device)
        return vae.encode((x.float() / 127.5 - 1).to(dtype)).latent_dist.mode()

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> np.ndarray:
        """Pictures float32 [n, h, w, 3] in 0..1 of unscaled latents; FloatingPointError if not finite."""
        vae = self.components.vae
        x = vae.decode(latents.to(*_place(vae))).sample.float()
        if not bool(torch.isfinite(x).all()):
            raise FloatingPointError(
                "the autoencoder decodes to NaN or infinite values: check its weights, and in half precision "
                "whether they overflow (load with dtype float32)"
            )
        return (x / 2 + 0.5).clamp_(0, 1).permute(0, 2, 3, 1).cpu().numpy()

    @torch.inference_mode()
    def draw(
        self,
        pictures: np.ndarray,
        texts: Sequence[str],
        plan: Plan,
        start: Tensor,
        noise: StepNoise,
        *,
        reconstruct: bool = True,
        on_step: OnStep | None = None,
        reuse: int = 1,
        adaptive: float | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """(edited, reconstruction of the source or None), float32 [n, h, w, 3] in 0..1.

        pictures: uint8 [n, h, w, 3], sides multiples of `multiple`. start: unit noise [n, c, h/f, w/f].
        noise: where a plan that adds noise takes it. reconstruct: whether the source's is wanted too. reuse: the
        whole UNet runs in every so many-th row only (`sampling.DeepCache`). adaptive: the tolerance within which
        branches are left out (`sampling.AdaptiveGuidance`), None for none. ValueError for both together, or for either
        where graphs are forced.
        """
        condition = self.encode(pictures)
        if self._null is None:
            self._null = self.read([""])
        components = self.components
        model = UNetDenoiser(
            components.unet, condition, self.read(texts), self._null, components.prediction_type
        )
        x = start.to(_place(components.unet)[0], torch.float32) * plan.sigma_start
        if reuse == 1 and adaptive is None:
            latents = self.replaying(model, x, plan, noise, on_step)
        else:
            latents = sample(
                self._changed(model, reuse, adaptive), x, plan, noise, on_step, backend=self.replaying.backend
            )
        edited = self.decode(latents / self._scale() + self._shift())
        return edited, self.decode(condition) if reconstruct else None

    def _changed(self, model: UNetDenoiser, reuse: int, adaptive: float | None) -> Model:
        """The model with what makes it cheaper row by row."""
        if self.replaying.graphs:
            raise ValueError(
                "graphs=True replays the whole UNet in every row; it cannot go with "
                f"reuse={reuse}, adaptive={adaptive}"
            )
        if adaptive is None:
            return DeepCache(model, reuse)
        if reuse != 1:
            raise ValueError(
                f"expected reuse=1 beside adaptive={adaptive}, got {reuse}: leave out one of them"
            )
        return AdaptiveGuidance(model, adaptive)

    def _scale(self) -> float:
        return float(self.components.vae.config.scaling_factor)

    def _shift(self) -> float:
        config: Any = self.components.vae.config
        return float(getattr(config, "shift_factor", None) or 0.0)


def _place(module: torch.nn.Module) -> tuple[torch.device, torch.dtype]:
    """Where a network lies and in what precision; diffusers' own .device walks all its parts, a millisecond each."""
    first = next(module.parameters())
    return first.device, first.dtype
