"""New components with SD 1.5's block structure, at sizes given by a configuration.

Channels are multiples of 32 (SD 1.5's group norms have 32 groups, in ComfyUI's classes too) and the UNet
has 8 heads wherever it attends, the text encoder 64-wide heads, as in SD 1.5: so the same weights fit the
original classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel

TEXT_LENGTH = 48  # tokens, begin and end included


def _check_channels(channels: Sequence[int]) -> tuple[int, ...]:
    channels = tuple(channels)
    if not channels or any(c % 32 or c < 32 for c in channels):
        raise ValueError(f"expected channels that are multiples of 32 (32 norm groups), got {channels}")
    return channels


def build_vae(channels: Sequence[int] = (32, 32, 64), layers: int = 1) -> AutoencoderKL:
    """An autoencoder with 4 latent channels that shrinks by 2 ** (len(channels) - 1).

    It starts as a linear autoencoder of block means: left to itself, a network whose norms have one or two
    channels a group needs thousands of steps to learn to carry a flat colour. The norms are soft while it
    is trained (see `soften_norms`): call `harden_norms` afterwards.
    """
    from diffusers import AutoencoderKL

    channels = _check_channels(channels)
    vae = AutoencoderKL(
        block_out_channels=channels,
        layers_per_block=layers,
        latent_channels=4,
        norm_num_groups=32,
        sample_size=64,
        scaling_factor=1.0,  # measured and written when the trained weights are exported
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
    )
    _start_as_block_means(vae)
    _set_eps(vae, 1.0)
    return vae


_EPS = 1e-6  # of every norm of SD 1.5's autoencoder


@torch.no_grad()
def _start_as_block_means(vae: AutoencoderKL, gain: float = 0.5) -> None:
    """Weights that carry each colour's block mean through three latents and back (about 24 dB on scenes).

    Colour c runs through the stream as the pair (gain x, -gain x) in channels 2c, 2c + 1: a pair has mean
    zero, which a norm leaves alone, and silu(a) - silu(-a) = a undoes the last activation. Residual
    branches start at zero; every other channel starts at random and is not listened to.
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
def soften_norms(vae: AutoencoderKL, eps: float = 1.0) -> None:
    """Raise the eps of every norm without changing what the autoencoder computes; `harden_norms` undoes it.

    A group norm with one or two channels a group and SD's eps of 1e-6 erases a picture's flat colour:
    constants normalise to plus or minus one. With eps = 1 a pair (a, -a) passes through almost linearly, so
    brightness survives. norm(s x; eps) = norm(x; eps / s^2): scaling the residual stream by
    s = sqrt(1e-6 / eps) at the end stores such an autoencoder in the original structure, exactly.
    """
    _scale_streams(vae, (eps / _EPS) ** 0.5)
    _set_eps(vae, eps)


@torch.no_grad()
def harden_norms(vae: AutoencoderKL) -> None:
    """Give the norms SD's eps back by scaling the residual streams (see `soften_norms`)."""
    eps = vae.decoder.conv_norm_out.eps
    _scale_streams(vae, (_EPS / eps) ** 0.5)
    _set_eps(vae, _EPS)


def _set_eps(vae: AutoencoderKL, eps: float) -> None:
    for module in vae.modules():
        if isinstance(module, torch.nn.GroupNorm):
            module.eps = eps


def _scale_streams(vae: AutoencoderKL, factor: float) -> None:
    for side in (vae.encoder, vae.decoder):
        for name, module in side.named_modules():
            leaf = name.rsplit(".", 1)[-1]
            # What writes into a norm's input is scaled whole; what maps the stream to itself, in its bias only.
            if leaf in ("conv_in", "conv1", "conv2") or name.endswith("to_out.0"):
                module.weight.mul_(factor)
                module.bias.mul_(factor)
            elif leaf == "conv_shortcut" or name.endswith("samplers.0.conv"):
                if module.bias is not None:
                    module.bias.mul_(factor)


def build_unet(
    channels: Sequence[int] = (64, 96, 160),
    layers: int = 1,
    context: int = 128,
    in_channels: int = 8,
    attention: Sequence[bool] | None = None,
    sample_size: int = 16,
) -> UNet2DConditionModel:
    """A UNet; `attention` says for each level whether it attends (default: all but the largest)."""
    from diffusers import UNet2DConditionModel

    channels = _check_channels(channels)
    attends = tuple(attention) if attention is not None else (False,) + (True,) * (len(channels) - 1)
    if len(attends) != len(channels):
        raise ValueError(f"expected one attention flag a level ({len(channels)}), got {len(attends)}")
    return UNet2DConditionModel(
        sample_size=sample_size,
        in_channels=in_channels,
        out_channels=4,
        block_out_channels=channels,
        layers_per_block=layers,
        cross_attention_dim=context,
        attention_head_dim=8,  # diffusers' historical name: this is the NUMBER of heads, 8 as in SD 1.5
        norm_num_groups=32,
        down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attends),
        up_block_types=tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attends)),
    )


def build_text_encoder(
    vocabulary: int, width: int = 128, layers: int = 3, end: int = 1, begin: int = 0
) -> CLIPTextModel:
    """A CLIP text model; width is a multiple of 64 (64-wide heads)."""
    from transformers import CLIPTextConfig, CLIPTextModel

    if width % 64:
        raise ValueError(f"expected a text width that is a multiple of 64 (64-wide heads), got {width}")
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=width,
            intermediate_size=4 * width,
            projection_dim=width,
            num_hidden_layers=layers,
            num_attention_heads=width // 64,
            max_position_embeddings=TEXT_LENGTH,
            hidden_act="quick_gelu",
            bos_token_id=begin,
            eos_token_id=end,
            pad_token_id=end,
        )
    )


@torch.no_grad()
def widen_conv_in(unet: UNet2DConditionModel, in_channels: int = 8) -> UNet2DConditionModel:
    """The same UNet with `in_channels` inputs: the old channels keep their weights, the new start at zero.

    Until training moves them, the widened model therefore answers exactly as the original did, whatever
    the new channels hold (InstructPix2Pix, section 3.2).
    """
    old = unet.conv_in
    if old.in_channels >= in_channels:
        raise ValueError(
            f"expected a UNet with fewer than {in_channels} input channels, got {old.in_channels}"
        )
    new = torch.nn.Conv2d(
        in_channels,
        old.out_channels,
        old.kernel_size,
        old.stride,
        old.padding,
        dtype=old.weight.dtype,
        device=old.weight.device,
    )
    new.weight.zero_()
    new.weight[:, : old.in_channels] = old.weight
    assert new.bias is not None and old.bias is not None
    new.bias.copy_(old.bias)
    unet.conv_in = new
    unet.register_to_config(in_channels=in_channels)
    return unet
