"""Soft norms: SD 1.5's norms with a large eps while training, exactly the original structure when stored.

A group norm with one or two channels a group and SD's eps of 1e-6 erases amplitudes: a flat colour
normalises to plus or minus one. With eps = 1 small signals pass through almost linearly, so brightness
survives. Since norm(f x; f^2 eps) = norm(x; eps), a network with soft norms is the same function as one
with the original eps whose streams are 1/f as large; nothing about the stored structure changes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

# The factor on the streams; eps grows by its square. Autoencoder 1e-6 -> 1; UNet 1e-5 -> 1e-3 (blocks).
VAE_SOFTNESS = 1000.0
UNET_SOFTNESS = 10.0
# A further factor on what the UNet's last norm reads (1e-3 -> 1): the answer's amplitudes pass through it,
# while the blocks need norms that normalise: with eps 1 everywhere they stay nearly linear.
UNET_HEAD_SOFTNESS = 10**1.5

_WRITERS = ("conv_in", "conv1", "conv2", "time_emb_proj", "proj_out")  # their output is added up and normed


def soft_from_birth(module: nn.Module, factor: float, head: float = 1.0) -> None:
    """Soft norms for new weights: the eps grow, the weights stay (the function changes).

    head: a further factor for the last norm of a UNet.
    """
    for part in module.modules():
        if isinstance(part, nn.GroupNorm):
            part.eps *= factor**2
    if head != 1.0:
        for part in _head(module)[1]:
            part.eps *= head**2


@torch.no_grad()
def soften_norms(module: nn.Module, factor: float, head: float = 1.0) -> None:
    """Soft norms for trained weights: streams and eps grow together, the function stays."""
    soft_from_birth(module, factor, head)
    modules = dict(module.named_modules())
    for name, part in modules.items():
        leaf = name.rsplit(".", 1)[-1]
        attention = name.removesuffix(".to_out.0")
        if leaf in _WRITERS or (
            attention != name and getattr(modules[attention], "group_norm", None) is not None
        ):
            part.weight.mul_(factor)
            if part.bias is not None:
                part.bias.mul_(factor)
        elif leaf == "conv_shortcut" or name.endswith("samplers.0.conv"):  # maps a stream to a stream
            if part.bias is not None:
                part.bias.mul_(factor)
    if head != 1.0:
        for part in _head(module)[0]:
            part.weight.mul_(head)
            part.bias.mul_(head)


def harden_norms(module: nn.Module, factor: float, head: float = 1.0) -> None:
    """Undo `soften_norms` (and give weights trained with soft norms their stored form)."""
    soften_norms(module, 1 / factor, 1 / head)


def _head(unet: Any) -> tuple[list[Any], list[Any]]:
    """What writes the stream after a UNet's last skip connection, and the norms that read it.

    The last residual block has a shortcut convolution (its input is two streams side by side), so its
    output can be scaled alone.
    """
    block = unet.up_blocks[-1]
    last = block.resnets[-1]
    writers, norms = [last.conv2, last.conv_shortcut], [unet.conv_norm_out]
    if attentions := getattr(block, "attentions", None):
        writers.append(attentions[-1].proj_out)
        norms.append(attentions[-1].norm)
    return writers, norms
