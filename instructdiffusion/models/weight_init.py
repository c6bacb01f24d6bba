"""First weights: what a new autoencoder or UNet computes before it has learned anything.

Both carry numbers through their norms in pairs: a value a runs as (a, -a) in two channels of one group. A
pair's mean is zero, which a norm leaves alone, and silu(a) - silu(-a) = a undoes the last activation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, UNet2DConditionModel


@torch.no_grad()
def start_as_block_means(vae: AutoencoderKL, gain: float = 0.5) -> None:
    """Weights that carry each colour's block mean through three latents and back (about 24 dB on scenes).

    Colour c runs through the stream as a pair in channels 2c, 2c + 1. Residual branches start at zero;
    every other channel starts at random and is not listened to.
    """
    pairs = torch.zeros(6, 3)
    for c in range(3):
        pairs[2 * c, c], pairs[2 * c + 1, c] = gain, -gain
    for name, module in vae.named_modules():
        weight: Any = getattr(module, "weight", None)
        bias: Any = getattr(module, "bias", None)
        if name.endswith((".conv2", ".to_out.0")):
            weight.zero_()
            bias.zero_()
        elif name.endswith("quant_conv"):
            weight.copy_(torch.eye(len(weight))[:, :, None, None])
            bias.zero_()
        elif name.endswith(".conv_in"):
            weight[:6].zero_()
            weight[:6, :3, 1, 1] = pairs
            bias[:6].zero_()
        elif name.endswith(".conv_out"):
            weight[:3].zero_()
            weight[:3, :6, 1, 1] = pairs.T / gain**2
            bias[:3].zero_()
        elif name.endswith((".conv_shortcut", "samplers.0.conv")):
            weight[:6].zero_()
            bias[:6].zero_()
            for i in range(6):
                if name.endswith("downsamplers.0.conv"):
                    weight[i, i, :2, :2] = 0.25  # diffusers pads right and below: the block's mean
                else:
                    weight[i, i, weight.shape[2] // 2, weight.shape[3] // 2] = 1.0
    vae.encoder.conv_out.bias[4:] = -6.0  # a small posterior deviation from the start


@torch.no_grad()
def start_with_copy_path(unet: UNet2DConditionModel, gain: float = 0.5, listen: float = 4.0) -> None:
    """Weights that let an input latent reach the output without passing a residual branch.

    The first 16 channels of the largest level hold pairs of the 4 noisy latents (0-7) and room for pairs of
    the 4 condition latents (8-15), which conv_in fills when it learns to: its weights for them start at
    zero. The last block's shortcut takes both from the first skip connection to conv_out, which listens
    to the condition's pairs from the start. Residual branches start at zero.
    """
    for name, module in unet.named_modules():
        if name.endswith(".conv2"):
            module.weight.zero_()
            module.bias.zero_()
    pairs = torch.zeros(8, 4)
    for c in range(4):
        pairs[2 * c, c], pairs[2 * c + 1, c] = 1.0, -1.0
    unet.conv_in.weight[:16].zero_()
    unet.conv_in.bias[:16].zero_()
    unet.conv_in.weight[:8, :4, 1, 1] = gain * pairs
    last = unet.up_blocks[-1].resnets[-1]
    width = last.conv_shortcut.out_channels
    last.conv_shortcut.weight[:16].zero_()
    last.conv_shortcut.bias[:16].zero_()
    last.conv_shortcut.weight[:16, width : width + 16, 0, 0] = torch.eye(16)  # [what came up, the first skip]
    unet.conv_out.weight[:, :16].zero_()
    unet.conv_out.weight[:, 8:16, 1, 1] = listen * pairs.T
