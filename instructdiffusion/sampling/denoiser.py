"""UNetDenoiser: a diffusers UNet with its conditions prepared once, as the sampler's model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..utils.old_names import accept_old_keywords
from .guidance import BRANCHES
from .plan import Row
from .schedule import PREDICTIONS

# branch -> (sees the instruction, sees the picture)
_SEES = {
    "full": (True, True),
    "image_only": (False, True),
    "text_only": (True, False),
    "unconditional": (False, False),
}


class UNetDenoiser:
    """An 8-channel UNet2DConditionModel under the four branches; all asked branches run in one batch.

    The UNet's input is cat(scaled noisy latents, image latents) over channels.

    unet: diffusers UNet2DConditionModel (or anything called the same way with .config).
    image_latents: [b, c, h, w], the UNSCALED mode of the VAE posterior of the picture; text_only and unconditional
    see zeros instead. prompt_embeds: [b, length, width] of the instruction. negative_prompt_embeds: the same for "",
    with b or 1 pictures. prediction_type: "epsilon", "v_prediction" or "sample".
    Raises ValueError for a UNet of other channels, other shapes, or conditions that are not finite.
    """

    @accept_old_keywords(
        image="image_latents", text="prompt_embeds", null_text="negative_prompt_embeds", kind="prediction_type"
    )
    def __init__(
        self,
        unet: Any,
        image_latents: Tensor,
        prompt_embeds: Tensor,
        negative_prompt_embeds: Tensor,
        prediction_type: str,
    ) -> None:
        if prediction_type not in PREDICTIONS:
            raise ValueError(f"prediction_type must be one of {', '.join(PREDICTIONS)}; got {prediction_type!r}")
        _check_conditions(image_latents, prompt_embeds, negative_prompt_embeds)
        _check_unet(unet, image_latents, prompt_embeds)
        self.unet = unet
        self.prediction_type = prediction_type
        device, dtype = _place(unet)
        batch = len(image_latents)
        self.image_latents = image_latents.to(device, dtype)
        self.prompt_embeds = prompt_embeds.to(device, dtype)
        self.negative_prompt_embeds = negative_prompt_embeds.to(device, dtype).expand(batch, -1, -1)
        self._conditions: dict[tuple[str, ...], tuple[Tensor, Tensor]] = {}

    def __len__(self) -> int:
        return len(self.image_latents)

    def conditions(self, branches: tuple[str, ...]) -> tuple[Tensor, Tensor]:
        """(image latents, prompt embeds) of the branches, in one batch, made once a combination."""
        if branches not in self._conditions:
            unknown = [b for b in branches if b not in _SEES]
            if unknown or not branches:
                raise ValueError(f"branches must be some of {', '.join(BRANCHES)}; got {branches}")
            zero = torch.zeros_like(self.image_latents)
            images = [self.image_latents if _SEES[b][1] else zero for b in branches]
            texts = [self.prompt_embeds if _SEES[b][0] else self.negative_prompt_embeds for b in branches]
            self._conditions[branches] = torch.cat(images), torch.cat(texts)
        return self._conditions[branches]

    def predict(self, x_scaled: Tensor, row: Row, branches: tuple[str, ...]) -> Tensor:
        """The UNet's predictions [len(branches), b, c, h, w] at row.t, in the UNet's dtype."""
        x, t, prompt_embeds = self.inputs(x_scaled, row, branches)
        out = self.unet(x, t, encoder_hidden_states=prompt_embeds, return_dict=False)[0]
        predictions: Tensor = out.unflatten(0, (len(branches), len(self)))
        return predictions

    def inputs(self, x_scaled: Tensor, row: Row, branches: tuple[str, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """What the UNet is called with: (latents and condition [n b, 2c, h, w], timesteps [n b], prompt embeds)."""
        if x_scaled.shape != self.image_latents.shape:
            raise ValueError(
                f"latents must have the condition's shape {tuple(self.image_latents.shape)}; "
                f"got {tuple(x_scaled.shape)}"
            )
        image_latents, prompt_embeds = self.conditions(branches)
        x = x_scaled.to(self.image_latents.device, self.image_latents.dtype)
        x = x.repeat(len(branches), *[1] * (x.ndim - 1))
        t = torch.full((len(x),), row.t, device=x.device, dtype=torch.float32)  # fractions count
        return torch.cat([x, image_latents], dim=1), t, prompt_embeds


def _place(unet: Any) -> tuple[torch.device, torch.dtype]:
    """Where a UNet lies and in what precision; diffusers' own answer walks all its parts, a millisecond each."""
    first = next(unet.parameters(), None) if isinstance(unet, torch.nn.Module) else None
    return (unet.device, unet.dtype) if first is None else (first.device, first.dtype)


def _check_conditions(image_latents: Tensor, prompt_embeds: Tensor, negative: Tensor) -> None:
    if image_latents.ndim != 4 or len(image_latents) == 0:
        raise ValueError(f"image latents must be [b, c, h, w]; got {tuple(image_latents.shape)}")
    count, (length, width) = len(image_latents), prompt_embeds.shape[-2:]
    if prompt_embeds.ndim != 3 or len(prompt_embeds) != count:
        raise ValueError(f"prompt embeds must be [{count}, length, width]; got {tuple(prompt_embeds.shape)}")
    if negative.ndim != 3 or negative.shape[1:] != (length, width) or len(negative) not in (1, count):
        raise ValueError(
            f"negative prompt embeds must be [1 or {count}, {length}, {width}] like the prompt's; "
            f"got {tuple(negative.shape)}"
        )
    conditions = {"image latents": image_latents, "prompt embeds": prompt_embeds, "negative prompt embeds": negative}
    for name, value in conditions.items():
        if not bool(torch.isfinite(value).all()):
            raise ValueError(f"the {name} have NaN or infinite values; check the picture and the weights")


def _check_unet(unet: Any, image_latents: Tensor, prompt_embeds: Tensor) -> None:
    channels = image_latents.shape[1]
    if unet.config.in_channels != 2 * channels:
        raise ValueError(
            f"the UNet must have {2 * channels} input channels (noisy latents and condition); it has "
            f"{unet.config.in_channels}. A plain text-to-image UNet has to be widened and trained first"
        )
    if unet.config.out_channels != channels:
        raise ValueError(f"the UNet must have {channels} output channels; it has {unet.config.out_channels}")
    width = unet.config.cross_attention_dim
    if isinstance(width, int) and width != prompt_embeds.shape[2]:
        raise ValueError(f"the UNet takes prompt embeds {width} wide; got {prompt_embeds.shape[2]}")
