"""LoRA: low-rank additions to a UNet's layers, trained alone and written in the form that LoRA loaders read.

The weight of a layer becomes W + scale * up @ down (Hu et al. 2021, arXiv 2106.09685); `up` starts at zero, so an
untrained LoRA changes nothing. Names are those of kohya's scripts, which ComfyUI and diffusers know:
lora_unet_<layer with underscores>.lora_down.weight, .lora_up.weight, .alpha.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where a LoRA sits: attention's projections and the residual blocks' and the last convolutions.
TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2", "conv_out")


class LoRALayer(nn.Module):
    """A frozen linear or convolution layer with a low-rank path beside it; alpha is the rank, so the scale is 1."""

    def __init__(self, layer: nn.Linear | nn.Conv2d, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down: nn.Linear | nn.Conv2d
        self.up: nn.Linear | nn.Conv2d
        if isinstance(layer, nn.Conv2d):
            size: Any = layer.kernel_size
            stride: Any = layer.stride
            padding: Any = layer.padding
            self.down = nn.Conv2d(layer.in_channels, rank, size, stride, padding, bias=False)
            self.up = nn.Conv2d(rank, layer.out_channels, 1, bias=False)
        else:
            self.down = nn.Linear(layer.in_features, rank, bias=False)
            self.up = nn.Linear(rank, layer.out_features, bias=False)
        inputs = self.down.weight[0].numel()
        with torch.no_grad():
            self.down.weight.normal_(0, inputs**-0.5, generator=generator)
            self.up.weight.zero_()

    def forward(self, x: Tensor, *_: Any) -> Tensor:
        """The layer's answer and the low-rank path's."""
        output: Tensor = self.layer(x) + self.up(self.down(x))
        return output


def add_lora(unet: nn.Module, rank: int = 4, seed: int = 0) -> list[nn.Parameter]:
    """Freeze the UNet and put a LoRA of `rank` beside every layer of `TARGETS`; returns what is to be trained.

    ValueError for a rank below 1 or a module without such layers.
    """
    if rank < 1:
        raise ValueError(f"expected a rank of at least 1, got {rank}")
    unet.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    layers = [
        (name, part)
        for name, part in unet.named_modules()
        if name.endswith(TARGETS) and isinstance(part, (nn.Linear, nn.Conv2d))
    ]
    if not layers:
        raise ValueError(
            f"expected layers called {', '.join(TARGETS)} in the {type(unet).__name__}, found none"
        )
    for name, part in layers:
        parent, _, leaf = name.rpartition(".")
        setattr(unet.get_submodule(parent), leaf, LoRALayer(part, rank, generator))
    return [p for _, layer in lora_layers(unet) for p in (*layer.down.parameters(), *layer.up.parameters())]


def lora_layers(unet: nn.Module) -> Iterator[tuple[str, LoRALayer]]:
    """(name of the layer in the UNet, its LoRA)."""
    for name, part in unet.named_modules():
        if isinstance(part, LoRALayer):
            yield name, part


@torch.no_grad()
def lora_state(unet: nn.Module, dtype: torch.dtype = torch.float16) -> dict[str, Tensor]:
    """The LoRA's weights under the names that loaders read."""
    state = {}
    for name, layer in lora_layers(unet):
        key = "lora_unet_" + name.replace(".", "_")
        state[f"{key}.lora_down.weight"] = layer.down.weight.to(dtype).contiguous().clone()
        state[f"{key}.lora_up.weight"] = layer.up.weight.to(dtype).contiguous().clone()
        state[f"{key}.alpha"] = torch.tensor(float(len(layer.down.weight)))
    return state
