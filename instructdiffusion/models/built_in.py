"""The models that ship: where they lie, and which of them a file without a word of itself is a copy or merge of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

BUILT_IN = ("tiny",)
ASSETS = Path(__file__).resolve().parent.parent / "assets"
_SHAPE = {
    "unet": ("block_out_channels", "cross_attention_dim", "in_channels"),
    "vae": ("block_out_channels", "latent_channels"),
    "text_encoder": ("hidden_size", "vocab_size", "num_hidden_layers", "max_position_embeddings"),
}


class Kin(NamedTuple):
    """A model that ships. resolution: pixels; scale: what its latents are multiplied with."""

    folder: Path
    resolution: int
    scale: float


def model_of_shape(unet: Mapping[str, Any], vae: Mapping[str, Any], text: Mapping[str, Any]) -> Kin | None:
    """Find the model that ships whose networks have just these sizes.

    Args:
        unet: A UNet's config, in diffusers' words.
        vae: An autoencoder's.
        text: A text encoder's, in transformers' words.

    Returns:
        The model; None where there is none.
    """
    for name in BUILT_IN:
        folder = ASSETS / name
        own = {part: json.loads((folder / part / "config.json").read_text(encoding="utf-8")) for part in _SHAPE}
        configs = {"unet": unet, "vae": vae, "text_encoder": text}
        if all(_plain(own[p].get(k)) == _plain(configs[p].get(k)) for p, keys in _SHAPE.items() for k in keys):
            factor = 2 ** (len(own["vae"]["block_out_channels"]) - 1)
            return Kin(folder, int(own["unet"]["sample_size"]) * factor, float(own["vae"]["scaling_factor"]))
    return None


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value
