"""The config of a part of a model folder (unet, vae, text_encoder), looked over before a library builds anything of it.

A downloaded folder's config may ask for layers without end, and for things that the libraries would import or fetch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...utils.errors import first_line

# More than any Stable Diffusion 1 or 2, SDXL or CLIP has, several times over.
_MOST = {
    "layers_per_block": 16, "transformer_layers_per_block": 32, "num_hidden_layers": 128, "num_attention_heads": 512,
    "attention_head_dim": 512, "num_attention_head": 512, "hidden_size": 16384, "intermediate_size": 65536,
    "projection_dim": 16384, "vocab_size": 2_000_000, "max_position_embeddings": 16384, "cross_attention_dim": 16384,
    "block_out_channels": 16384, "in_channels": 512, "out_channels": 512, "latent_channels": 512,
    "norm_num_groups": 1024, "sample_size": 8192, "addition_embed_dim": 16384, "num_class_embeds": 100_000,
}  # fmt: skip
_LEVELS = 8  # entries of a list, a level each
_SPARE = 1.25  # times as many numbers as the file holds a module may have: buffers, which no file holds
# Attention that transformers has without another package; it would import or fetch others ("owner/kernel").
_ATTENTION = frozenset({None, "eager", "sdpa"})


def read_config(folder: Path) -> dict[str, Any]:
    """Read the config of a part.

    Args:
        folder: The part's.

    Returns:
        Its config.

    Raises:
        ValueError: Not there, no object, a size beyond all reason, or what only another package could load.
    """
    path, part = folder / "config.json", folder.name
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(
            f"the model's {part} cannot be read ({type(error).__name__}: {first_line(error)}): copy the folder again"
        ) from None
    if not isinstance(data, dict):
        raise ValueError(f"expected an object in {part}/config.json, got {type(data).__name__}: copy the folder again")
    for name, most in _MOST.items():
        value = data.get(name)
        values = value if isinstance(value, list) else [value]
        numbers = [n for n in values if isinstance(n, (int, float)) and not isinstance(n, bool)]
        if len(values) > _LEVELS or any(not 0 <= n <= most or not math.isfinite(n) for n in numbers):
            raise ValueError(
                f"expected {name} in {part}/config.json of at most {most} and {_LEVELS} levels, got "
                f"{str(value)[:80]}: the folder is damaged or forged"
            )
    if data.get("quantization_config"):
        raise ValueError(
            f"the model's {part} is quantized ({part}/config.json), which is not supported: take float weights"
        )
    for name in ("_attn_implementation", "attn_implementation", "_attn_implementation_internal"):
        if data.get(name) not in _ATTENTION:
            raise ValueError(
                f"{part}/config.json asks for {name} {data[name]!r}, which another package would have to bring: "
                "remove it"
            )
    if (folder / "adapter_config.json").exists():
        raise ValueError(
            f"the model's {part} is an adapter (adapter_config.json), whose model would be fetched: merge it first"
        )
    return data


def check_need(part: str, needed: Mapping[str, Iterable[int]], held: int) -> None:
    """Refuse a config that asks for more numbers than its file holds, before memory is taken for them.

    Args:
        part: The part's name.
        needed: The shapes of the module that the config describes, by name.
        held: How many numbers the file of its weights holds.

    Raises:
        ValueError: It does.
    """
    total = sum(math.prod(shape) for shape in needed.values())
    if total > _SPARE * held + 1_000_000:
        raise ValueError(
            f"{part}/config.json is of a network of {total / 1e6:.0f} million weights, its file holds {held / 1e6:.0f} "
            "million: the config is of other weights, copy the folder again"
        )
