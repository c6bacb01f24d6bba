"""Soft norms: SD 1.5's norms with a large eps while training, exactly the original structure when stored.

A group norm with one or two channels a group and SD's eps of 1e-6 erases amplitudes: a flat colour
normalises to plus or minus one. With eps = 1 small signals pass through almost linearly, so brightness
survives. Since norm(f x; f^2 eps) = norm(x; eps), a network with soft norms is the same function as one
with the original eps whose streams are 1/f as large; nothing about the stored structure changes.
"""

from __future__ import annotations

import torch
from torch import nn

# The factor on the streams; eps grows by its square. Autoencoder 1e-6 -> 1; UNet 1e-5 -> 1 (blocks), 1e-6 -> .1.
VAE_SOFTNESS = 1000.0
UNET_SOFTNESS = 10**2.5

_WRITERS = ("conv_in", "conv1", "conv2", "time_emb_proj", "proj_out")  # their output is added up and normed


def soft_from_birth(module: nn.Module, factor: float) -> None:
    """Soft norms for new weights: the eps grow, the weights stay (the function changes)."""
    for part in module.modules():
        if isinstance(part, nn.GroupNorm):
            part.eps *= factor**2


@torch.no_grad()
def soften_norms(module: nn.Module, factor: float) -> None:
    """Soft norms for trained weights: streams and eps grow together, the function stays."""
    soft_from_birth(module, factor)
    named = dict(module.named_modules())
    for name, part in named.items():
        leaf = name.rsplit(".", 1)[-1]
        attention = name.removesuffix(".to_out.0")
        if leaf in _WRITERS or (
            attention != name and getattr(named[attention], "group_norm", None) is not None
        ):
            part.weight.mul_(factor)
            if part.bias is not None:
                part.bias.mul_(factor)
        elif leaf == "conv_shortcut" or name.endswith("samplers.0.conv"):  # maps a stream to a stream
            if part.bias is not None:
                part.bias.mul_(factor)


def harden_norms(module: nn.Module, factor: float) -> None:
    """Undo `soften_norms` (and give weights trained with soft norms their stored form)."""
    soften_norms(module, 1 / factor)
