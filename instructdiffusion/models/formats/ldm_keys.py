"""The two names of every weight: diffusers' and transformers' on one side, the LDM layout on the other.

LDM is the layout of the original Stable Diffusion code, of InstructPix2Pix's and InstructDiffusion's
checkpoints, and of ComfyUI's own classes. Everything here is a pure function of tensors and names, for any
number of levels, layers and widths; tensors are passed through unchanged but for the autoencoder's
attention, which LDM keeps as 1x1 convolutions and diffusers as linear layers. Keys carry no model-wide
prefix here; in a checkpoint they stand below `UNET_PREFIX`, `VAE_PREFIX` and `TEXT_PREFIX`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

State = dict[str, Tensor]

UNET_PREFIX = "model.diffusion_model."
VAE_PREFIX = "first_stage_model."
TEXT_PREFIX = "cond_stage_model.transformer."

UNET_HEADS = 8  # in every attention of SD 1.5's UNet, whatever its width
TEXT_HEAD_WIDTH = 64
NORM_GROUPS = 32
NAMED = 8  # keys in the first line of an error

_UNET_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_VAE_RESNET = {
    "norm1": "norm1",
    "conv1": "conv1",
    "norm2": "norm2",
    "conv2": "conv2",
    "conv_shortcut": "nin_shortcut",
}
_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
_VAE_PROJECTIONS = (".q.weight", ".k.weight", ".v.weight", ".proj_out.weight")
# Names that folders written by diffusers before 0.18 still hold.
_OLD_VAE_ATTENTION = {"query": "q", "key": "k", "value": "v", "proj_attn": "proj_out"}


def unet_to_ldm(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> State:
    """The weights of a UNet2DConditionModel under LDM's keys (input_blocks, middle_block, output_blocks ...).

    config: the model's, of which block_out_channels, layers_per_block and down_block_types are read.
    ValueError lists keys that this layout does not know.
    """
    return _renamed(state, _unet_modules(config), "UNet")


def unet_from_ldm(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> State:
    """The inverse of `unet_to_ldm`; config as `unet_config_from_ldm` reads it from the same weights."""
    return _renamed(state, _inverse(_unet_modules(config)), "UNet")


def vae_to_ldm(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> State:
    """The weights of an AutoencoderKL under LDM's keys (encoder.down, decoder.up ..., quant_conv).

    config: the model's, of which block_out_channels and layers_per_block are read. The attention's linear
    weights [c, c] become 1x1 convolutions [c, c, 1, 1]. ValueError lists unknown keys.
    """
    modules = _vae_modules(config)
    for side in ("encoder", "decoder"):
        old = f"{side}.mid_block.attentions.0"
        modules |= {f"{old}.{a}": f"{side}.mid.attn_1.{b}" for a, b in _OLD_VAE_ATTENTION.items()}
    return {
        key: value[:, :, None, None] if _is_vae_projection(key) and value.ndim == 2 else value
        for key, value in _renamed(state, modules, "autoencoder").items()
    }


def vae_from_ldm(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> State:
    """The inverse of `vae_to_ldm`; config as `vae_config_from_ldm` reads it from the same weights."""
    linear = {
        key: value.flatten(1) if _is_vae_projection(key) and value.shape[2:] == (1, 1) else value
        for key, value in state.items()
    }
    return _renamed(linear, _inverse(_vae_modules(config)), "autoencoder")


def text_to_ldm(state: Mapping[str, Tensor]) -> State:
    """The weights of a CLIPTextModel under text_model.*, as they stand below `TEXT_PREFIX`.

    transformers 5 leaves the leading text_model out, version 4 has it: either is taken. position_ids, which
    count from 0 and carry nothing, are dropped.
    """
    return text_from_ldm(state, "text_model.")


def text_from_ldm(state: Mapping[str, Tensor], prefix: str = "text_model.") -> State:
    """The inverse of `text_to_ldm`; prefix is what the keys of the module at hand begin with ("" or "text_model.")."""
    return {
        prefix + key.removeprefix("text_model."): value
        for key, value in state.items()
        if not key.endswith("embeddings.position_ids")
    }


def module_to_ldm(module: Any, state: Mapping[str, Tensor]) -> State:
    """Weights of a UNet2DConditionModel, AutoencoderKL or CLIPTextModel as they stand in a checkpoint.

    Prefixed, and in the order of `state`, which holds weights under the module's own names.
    """
    kind = type(module).__name__
    if kind == "UNet2DConditionModel":
        prefix, new = UNET_PREFIX, unet_to_ldm(state, module.config)
    elif kind == "AutoencoderKL":
        prefix, new = VAE_PREFIX, vae_to_ldm(state, module.config)
    elif kind == "CLIPTextModel":
        prefix, new = TEXT_PREFIX, text_to_ldm(state)
    else:
        raise TypeError(f"expected a UNet2DConditionModel, an AutoencoderKL or a CLIPTextModel, got a {kind}")
    return {prefix + key: value for key, value in new.items()}


def unet_config_from_ldm(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """What UNet2DConditionModel needs to hold these weights; keys as `unet_from_ldm` takes them.

    Channels, depths, levels with attention, transformer depth, context width and the kind of projection
    are read from the tensors; the number of heads cannot be, it is SD 1.5's. ValueError where a key that
    decides is missing or levels are built in a way that diffusers' class cannot express.
    """
    stem = _shape(state, "input_blocks.0.0.weight", "UNet")
    levels: list[list[tuple[int, bool]]] = [[]]  # (channels, attends) of every residual block
    for number in range(1, _count(state, "input_blocks.")):
        block = f"input_blocks.{number}."
        if block + "0.op.weight" in state:
            levels.append([])
        else:
            width = _shape(state, block + "0.in_layers.2.weight", "UNet")[0]
            levels[-1].append((width, block + "1.proj_in.weight" in state))
    depths = {len(level) for level in levels}
    if len(depths) != 1 or not levels[0]:
        raise ValueError(
            f"expected a UNet with as many blocks in each level, got {[len(level) for level in levels]}: "
            "this is not Stable Diffusion's structure"
        )
    mixed = [i for i, level in enumerate(levels) if len(set(level)) != 1]
    if mixed or stem[0] != levels[0][0][0]:
        raise ValueError(
            f"expected one width and one kind of block in a level of the UNet, got {levels} after a first "
            f"convolution with {stem[0]} channels: this is not Stable Diffusion's structure"
        )
    attends = [level[0][1] for level in levels]
    block = "middle_block.1."
    context = _shape(state, block + "transformer_blocks.0.attn2.to_k.weight", "UNet")[1]
    return {
        "in_channels": stem[1],
        "out_channels": _shape(state, "out.2.weight", "UNet")[0],
        "block_out_channels": tuple(level[0][0] for level in levels),
        "layers_per_block": depths.pop(),
        "down_block_types": tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attends),
        "up_block_types": tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attends)),
        "transformer_layers_per_block": _count(state, block + "transformer_blocks."),
        "cross_attention_dim": context,
        "attention_head_dim": UNET_HEADS,  # diffusers' historical name: this is the NUMBER of heads
        "use_linear_projection": len(_shape(state, block + "proj_in.weight", "UNet")) == 2,
        "norm_num_groups": NORM_GROUPS,
    }


def vae_config_from_ldm(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """What AutoencoderKL needs to hold these weights; keys as `vae_from_ldm` takes them."""
    count = _count(state, "encoder.down.")
    depths = {_count(state, f"encoder.down.{i}.block.") for i in range(count)}
    if len(depths) != 1:
        raise ValueError(
            f"expected an autoencoder with as many blocks in each level, got {sorted(depths)}: "
            "this is not Stable Diffusion's structure"
        )
    widths = tuple(
        _shape(state, f"encoder.down.{i}.block.0.conv1.weight", "autoencoder")[0] for i in range(count)
    )
    return {
        "in_channels": _shape(state, "encoder.conv_in.weight", "autoencoder")[1],
        "out_channels": _shape(state, "decoder.conv_out.weight", "autoencoder")[0],
        "latent_channels": _shape(state, "decoder.conv_in.weight", "autoencoder")[1],
        "block_out_channels": widths,
        "layers_per_block": depths.pop(),
        "down_block_types": ("DownEncoderBlock2D",) * count,
        "up_block_types": ("UpDecoderBlock2D",) * count,
        "norm_num_groups": NORM_GROUPS,
    }


def text_config_from_ldm(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """What CLIPTextConfig needs to hold these weights (text_model.*); the activation is SD 1.5's."""
    vocabulary, width = _shape(state, "text_model.embeddings.token_embedding.weight", "text encoder")
    if width % TEXT_HEAD_WIDTH:
        raise ValueError(
            f"expected a text encoder whose width is a multiple of {TEXT_HEAD_WIDTH}, got {width}"
        )
    layer = "text_model.encoder.layers."
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": _shape(state, layer + "0.mlp.fc1.weight", "text encoder")[0],
        "projection_dim": width,
        "num_hidden_layers": _count(state, layer),
        "num_attention_heads": width // TEXT_HEAD_WIDTH,
        "max_position_embeddings": _shape(
            state, "text_model.embeddings.position_embedding.weight", "text encoder"
        )[0],
        "hidden_act": "quick_gelu",
    }


def _unet_modules(config: Mapping[str, Any]) -> dict[str, str]:
    """diffusers' module names to LDM's, residual blocks part by part."""
    count = len(config["block_out_channels"])
    depths = _depths(config["layers_per_block"], count)
    attends = ["CrossAttn" in kind for kind in config["down_block_types"]]
    modules = {
        "conv_in": "input_blocks.0.0",
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "mid_block.attentions.0": "middle_block.1",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
    }

    def resnet(old: str, new: str) -> None:
        modules.update({f"{old}.{a}": f"{new}.{b}" for a, b in _UNET_RESNET.items()})

    resnet("mid_block.resnets.0", "middle_block.0")
    resnet("mid_block.resnets.1", "middle_block.2")
    number = 1
    for level in range(count):
        for layer in range(depths[level]):
            resnet(f"down_blocks.{level}.resnets.{layer}", f"input_blocks.{number}.0")
            if attends[level]:
                modules[f"down_blocks.{level}.attentions.{layer}"] = f"input_blocks.{number}.1"
            number += 1
        if level < count - 1:
            modules[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{number}.0.op"
            number += 1
    number = 0
    for level in reversed(range(count)):
        up = f"up_blocks.{count - 1 - level}"
        for layer in range(depths[level] + 1):
            resnet(f"{up}.resnets.{layer}", f"output_blocks.{number}.0")
            if attends[level]:
                modules[f"{up}.attentions.{layer}"] = f"output_blocks.{number}.1"
            if layer == depths[level] and level > 0:  # the upsampler shares the level's last block
                modules[f"{up}.upsamplers.0.conv"] = f"output_blocks.{number}.{1 + attends[level]}.conv"
            number += 1
    return modules


def _vae_modules(config: Mapping[str, Any]) -> dict[str, str]:
    """diffusers' module names to LDM's; LDM counts the decoder's levels from the picture's side."""
    count = len(config["block_out_channels"])
    depth = config["layers_per_block"]
    modules = {name: name for name in ("quant_conv", "post_quant_conv")}

    def resnet(old: str, new: str) -> None:
        modules.update({f"{old}.{a}": f"{new}.{b}" for a, b in _VAE_RESNET.items()})

    for side in ("encoder", "decoder"):
        modules |= {f"{side}.{name}": f"{side}.{name}" for name in ("conv_in", "conv_out")}
        modules[f"{side}.conv_norm_out"] = f"{side}.norm_out"
        attention = f"{side}.mid_block.attentions.0"
        modules |= {f"{attention}.{a}": f"{side}.mid.attn_1.{b}" for a, b in _VAE_ATTENTION.items()}
        for number in (0, 1):
            resnet(f"{side}.mid_block.resnets.{number}", f"{side}.mid.block_{number + 1}")
    for level in range(count):
        down, up = f"encoder.down_blocks.{level}", f"decoder.up_blocks.{count - 1 - level}"
        for layer in range(depth):
            resnet(f"{down}.resnets.{layer}", f"encoder.down.{level}.block.{layer}")
        for layer in range(depth + 1):
            resnet(f"{up}.resnets.{layer}", f"decoder.up.{level}.block.{layer}")
        if level < count - 1:
            modules[f"{down}.downsamplers.0.conv"] = f"encoder.down.{level}.downsample.conv"
        if level > 0:
            modules[f"{up}.upsamplers.0.conv"] = f"decoder.up.{level}.upsample.conv"
    return modules


def _renamed(state: Mapping[str, Tensor], modules: Mapping[str, str], part: str) -> State:
    renamed: State = {}
    unknown: list[str] = []
    for key, value in state.items():
        module = key
        while module and module not in modules:
            module = module.rpartition(".")[0]
        if module and module != key:
            renamed[modules[module] + key[len(module) :]] = value
        else:
            unknown.append(key)
    if unknown:
        raise odd_keys(f"the {part}", {"unknown key": unknown}, ": it is not of SD 1.5's structure")
    return renamed


def odd_keys(who: str, odd: Mapping[str, Sequence[str]], why: str) -> ValueError:
    """The error of keys that are not as they should be, by noun ("missing key"); those without keys are passed over.

    Its first line counts them and names the first; where that is not all, all follow below, one a line.
    """
    odd = {noun: sorted(keys) for noun, keys in odd.items() if keys}
    counted = {noun: f"{len(keys)} {noun}{'s' if len(keys) != 1 else ''}" for noun, keys in odd.items()}
    heads, lists = [], []
    for noun, keys in odd.items():
        more = len(keys) - NAMED
        heads.append(f"{counted[noun]} ({', '.join(keys[:NAMED])}{f' and {more} more' if more > 0 else ''})")
        if more > 0:
            lists.append("\n  ".join([f"The {counted[noun]}:", *keys]))
    return ValueError("\n".join([f"{who} has {'; '.join(heads)}{why}", *lists]))


def _inverse(modules: Mapping[str, str]) -> dict[str, str]:
    return {new: old for old, new in modules.items()}


def _is_vae_projection(key: str) -> bool:
    return ".mid.attn_1." in key and key.endswith(_VAE_PROJECTIONS)


def _depths(layers: int | Sequence[int], count: int) -> list[int]:
    return [layers] * count if isinstance(layers, int) else list(layers)


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    """How many modules stand below the prefix, numbered from 0 without a gap."""
    names = {key[len(prefix) :].partition(".")[0] for key in state if key.startswith(prefix)}
    if names != {str(number) for number in range(len(names))}:
        raise ValueError(
            f"expected {prefix}N numbered from 0 without a gap, got {', '.join(sorted(names))[:200]}: "
            "the weights are truncated, or not of SD 1.5's structure"
        )
    return len(names)


def _shape(state: Mapping[str, Tensor], key: str, part: str) -> tuple[int, ...]:
    if key not in state:
        raise ValueError(f"the {part} lacks {key}: it is truncated, or not of SD 1.5's structure")
    return tuple(state[key].shape)
