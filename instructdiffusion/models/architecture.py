"""New components with SD 1.5's block structure, at sizes given by a configuration.

Channels are multiples of 32 (SD 1.5's group norms have 32 groups, in ComfyUI's classes too) and the UNet
has 8 heads wherever it attends, the text encoder 64-wide heads, as in SD 1.5: so the same weights fit the
original classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from .norms import UNET_HEAD_SOFTNESS, UNET_SOFTNESS, VAE_SOFTNESS, soft_from_birth
from .weight_init import start_as_block_means, start_with_copy_path

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
    is trained (see norms.py): call `harden_norms` afterwards.
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
    start_as_block_means(vae)
    soft_from_birth(vae, VAE_SOFTNESS)
    return vae


def build_unet(
    channels: Sequence[int] = (64, 96, 160),
    layers: int = 1,
    context: int = 128,
    in_channels: int = 8,
    attention: Sequence[bool] | None = None,
    sample_size: int = 16,
) -> UNet2DConditionModel:
    """A UNet; `attention` says for each level whether it attends (default: all but the largest).

    Like `build_vae` it starts with soft norms and with a path that its input can take straight to its
    output: most of an answer is a copy of the source. Call `harden_norms` when it is trained.
    """
    from diffusers import UNet2DConditionModel

    channels = _check_channels(channels)
    attends = tuple(attention) if attention is not None else (False,) + (True,) * (len(channels) - 1)
    if len(attends) != len(channels):
        raise ValueError(f"expected one attention flag a level ({len(channels)}), got {len(attends)}")
    unet = UNet2DConditionModel(
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
    if channels[0] >= 64:  # two channels a group: with one, a pair cannot share a group
        start_with_copy_path(unet)
    soft_from_birth(unet, UNET_SOFTNESS, UNET_HEAD_SOFTNESS)
    return unet


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
