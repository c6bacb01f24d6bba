"""UNetDenoiser: a diffusers UNet with its conditions prepared once, as the sampler's model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

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

    The UNet's input is cat(scaled noisy latents, condition latents) over channels.

    unet: diffusers UNet2DConditionModel (or anything called the same way with .config).
    image: [b, c, h, w], the UNSCALED mode of the VAE posterior of the picture; text_only and unconditional
    see zeros instead. text: [b, length, width] states of the instruction. null_text: the same for "", with
    b or 1 pictures. kind: "epsilon", "v_prediction" or "sample".
    Raises ValueError for a UNet of other channels, other shapes, or conditions that are not finite.
    """

    def __init__(self, unet: Any, image: Tensor, text: Tensor, null_text: Tensor, kind: str) -> None:
        if kind not in PREDICTIONS:
            raise ValueError(f"prediction kind must be one of {', '.join(PREDICTIONS)}; got {kind!r}")
        _check_conditions(image, text, null_text)
        _check_unet(unet, image, text)
        self.unet = unet
        self.kind = kind
        device, dtype = _place(unet)
        batch = len(image)
        self.image = image.to(device, dtype)
        self.text = text.to(device, dtype)
        self.null_text = null_text.to(device, dtype).expand(batch, -1, -1)
        self._conditions: dict[tuple[str, ...], tuple[Tensor, Tensor]] = {}

    def __len__(self) -> int:
        return len(self.image)

    def conditions(self, branches: tuple[str, ...]) -> tuple[Tensor, Tensor]:
        """(condition latents, text states) of the branches, in one batch, made once a combination."""
        if branches not in self._conditions:
            unknown = [b for b in branches if b not in _SEES]
            if unknown or not branches:
                raise ValueError(f"branches must be some of {', '.join(BRANCHES)}; got {branches}")
            zero = torch.zeros_like(self.image)
            images = [self.image if _SEES[b][1] else zero for b in branches]
            texts = [self.text if _SEES[b][0] else self.null_text for b in branches]
            self._conditions[branches] = torch.cat(images), torch.cat(texts)
        return self._conditions[branches]

    def predict(self, x_scaled: Tensor, row: Row, branches: tuple[str, ...]) -> Tensor:
        """The UNet's predictions [len(branches), b, c, h, w] at row.t, in the UNet's dtype."""
        x, t, text = self.inputs(x_scaled, row, branches)
        out = self.unet(x, t, encoder_hidden_states=text, return_dict=False)[0]
        return out.unflatten(0, (len(branches), len(self)))

    def inputs(self, x_scaled: Tensor, row: Row, branches: tuple[str, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """What the UNet is called with: (latents and condition [n b, 2c, h, w], timesteps [n b], text states)."""
        if x_scaled.shape != self.image.shape:
            raise ValueError(
                f"latents must have the condition's shape {tuple(self.image.shape)}; "
                f"got {tuple(x_scaled.shape)}"
            )
        image, text = self.conditions(branches)
        x = x_scaled.to(self.image.device, self.image.dtype)
        x = x.repeat(len(branches), *[1] * (x.ndim - 1))
        t = torch.full((len(x),), row.t, device=x.device, dtype=torch.float32)  # fractions count
        return torch.cat([x, image], dim=1), t, text


def _place(unet: Any) -> tuple[torch.device, torch.dtype]:
    """Where a UNet lies and in what precision; diffusers' own answer walks all its parts, a millisecond each."""
    first = next(unet.parameters(), None) if isinstance(unet, torch.nn.Module) else None
    return (unet.device, unet.dtype) if first is None else (first.device, first.dtype)


def _check_conditions(image: Tensor, text: Tensor, null_text: Tensor) -> None:
    if image.ndim != 4 or len(image) == 0:
        raise ValueError(f"condition latents must be [b, c, h, w]; got {tuple(image.shape)}")
    if text.ndim != 3 or len(text) != len(image):
        raise ValueError(f"text states must be [{len(image)}, length, width]; got {tuple(text.shape)}")
    if null_text.ndim != 3 or null_text.shape[1:] != text.shape[1:] or len(null_text) not in (1, len(image)):
        raise ValueError(
            f"null text states must be [1 or {len(image)}, {text.shape[1]}, {text.shape[2]}] "
            f"like the text's; got {tuple(null_text.shape)}"
        )
    for name, value in (("condition latents", image), ("text states", text), ("null text states", null_text)):
        if not bool(torch.isfinite(value).all()):
            raise ValueError(f"the {name} have NaN or infinite values; check the picture and the weights")


def _check_unet(unet: Any, image: Tensor, text: Tensor) -> None:
    channels = image.shape[1]
    if unet.config.in_channels != 2 * channels:
        raise ValueError(
            f"the UNet must have {2 * channels} input channels (noisy latents and condition); it has "
            f"{unet.config.in_channels}. A plain text-to-image UNet has to be widened and trained first"
        )
    if unet.config.out_channels != channels:
        raise ValueError(f"the UNet must have {channels} output channels; it has {unet.config.out_channels}")
    width = unet.config.cross_attention_dim
    if isinstance(width, int) and width != text.shape[2]:
        raise ValueError(f"the UNet takes text states {width} wide; got {text.shape[2]}")
