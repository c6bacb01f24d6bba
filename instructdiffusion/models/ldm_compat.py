"""What a single file in the LDM layout can hold: a model that its weights alone give back, setting by setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from .formats import ldm_keys
from .formats.ldm_keys import TEXT_PREFIX, UNET_PREFIX, VAE_PREFIX
from .single_file import empty_modules

if TYPE_CHECKING:
    from .components import Components

# What does not change what a part answers, or stands in the file or its tokenizer (scaling_factor, the ids).
_FREE = {
    "unet": {"sample_size", "dropout", "addition_embed_type_num_heads"},
    "vae": {"sample_size", "scaling_factor", "force_upcast"},  # the last is for pipelines in half precision
    "text_encoder": {
        *("projection_dim", "attention_dropout", "initializer_range", "initializer_factor"),
        *("bos_token_id", "eos_token_id", "pad_token_id"),
    },
}


def check_expressible(components: Components) -> None:
    """ValueError where the weights alone would be read back as another model; it names every setting that differs."""
    read = empty_modules(
        ldm_keys.unet_config_from_ldm(_bare(components.unet, UNET_PREFIX)),
        ldm_keys.vae_config_from_ldm(_bare(components.vae, VAE_PREFIX)),
        ldm_keys.text_config_from_ldm(_bare(components.text_encoder, TEXT_PREFIX)),
    )
    for part, module in zip(_FREE, read, strict=True):
        own, other = _settings(part, getattr(components, part)), _settings(part, module)
        differing = [
            f"its {name} is {own.get(name)}, read back it would be {value}"
            for name, value in other.items()
            if own.get(name) != value
        ]
        if differing:
            raise ValueError(
                f"the LDM layout cannot hold this {part}: {'; '.join(differing)}; save_pretrained can save it"
            )


def _settings(part: str, module: Any) -> dict[str, Any]:
    """The settings of a module that decide what it answers, those that mean the same written alike."""
    if part == "text_encoder":
        from transformers import PretrainedConfig

        whole, common = module.config.to_dict(), PretrainedConfig().to_dict()
        values = {name: value for name, value in whole.items() if name not in common}
    else:
        values = {name: value for name, value in module.config.items() if not name.startswith("_")}
    values = {name: _plain(value) for name, value in values.items() if name not in _FREE[part]}
    unsaid = _unsaid(module.config) if part == "unet" else {"shift_factor": 0.0}
    return {name: unsaid.get(name) if value is None else value for name, value in values.items()}


def _unsaid(config: Mapping[str, Any]) -> dict[str, Any]:
    """What None means in a UNet's config."""
    return {
        "time_embedding_dim": 4 * config["block_out_channels"][0],
        "mid_block_only_cross_attention": _plain(config["only_cross_attention"]),
    }


def _bare(module: Any, prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in ldm_keys.module_to_ldm(module, module.state_dict()).items()}


def _plain(value: Any) -> Any:
    """A setting for comparison: a list of equal numbers, one a level, means the number, and swish is silu."""
    if isinstance(value, (list, tuple)):
        numbers = {v for v in value if isinstance(v, int)}
        return numbers.pop() if len(numbers) == 1 and len(set(value)) == 1 else tuple(value)
    return "silu" if value == "swish" else value
