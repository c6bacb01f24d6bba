"""Patches of ComfyUI's that do nothing on a model, which says so: they go by widths and levels that it has not."""

from __future__ import annotations

from typing import Any

_FREE_U = {"FreeU", "FreeU_V2"}
_TOKEN_MERGING = {"TomePatchModel"}


def idle_patches(model: Any) -> list[str]:
    """What is to be said of the patches on a MODEL that change nothing there, a sentence each."""
    config = model.model.model_config.unet_config
    patches = model.model_options.get("transformer_options", {}).get("patches", {})
    said = []
    if _from(patches.get("output_block_patch"), _FREE_U):
        channels = config["model_channels"]
        widths = {round(channels * multiple) for multiple in config["channel_mult"]}
        if not widths & {2 * channels, 4 * channels}:
            said.append(
                f"FreeU does nothing on this model: it works on layers of {2 * channels} and {4 * channels} channels, "
                f"which this one has not"
            )
    if _from(patches.get("attn1_patch"), _TOKEN_MERGING):
        depth, levels = config.get("transformer_depth") or [1], len(config["channel_mult"])
        if not any(depth[: len(depth) // levels or 1]):
            said.append(
                "token merging (ToMe) does nothing on this model: it works on attention at the finest level, where "
                "this one has none"
            )
    return said


def _from(functions: Any, kinds: set[str]) -> bool:
    """Whether a node of one of the kinds made one of the functions."""
    return any(getattr(f, "__qualname__", "").partition(".")[0] in kinds for f in functions or [])
