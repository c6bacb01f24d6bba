"""The averaged UNet (EMA) of a single-file checkpoint: found under its dotless names, and put in the UNet's place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .ldm_keys import UNET_PREFIX, odd_keys

AVERAGES = "model_ema."
COUNTERS = frozenset({"model_ema.decay", "model_ema.num_updates"})  # stand among the averages, and are none

# The words that a UNet's names are made of, for names that have lost their dots.
_WORDS = re.compile(
    "time_embed|middle_block|in_layers|emb_layers|out_layers|skip_connection|transformer_blocks|proj_in|proj_out|"
    "proj|attn[12]|norm[123]?|to_out|to_[qkv]|ff|net|op|conv|out|weight|bias|[0-9]+|[^0-9]+"
)


def averages_among(keys: Iterable[str]) -> list[str]:
    """The keys of averaged weights."""
    return [k for k in keys if k.startswith(AVERAGES) and k not in COUNTERS]


def find_averages(
    names: Sequence[str], averages: Sequence[str], file: str
) -> tuple[dict[str, str], list[str]]:
    """(name in the UNet -> key of its average, averages of nothing known); names may have lost their dots.

    names: the UNet's, without prefix; where there are none they are made of the averages'. averages: keys in the
    file. ValueError lists the names that have no average.
    """
    keys = {key.removeprefix(AVERAGES).replace(".", ""): key for key in averages}
    # The average is one of LatentDiffusion.model, or (in the authors' own loop) of all of LatentDiffusion.
    keys = {name.removeprefix("model").removeprefix("diffusion_model"): key for name, key in keys.items()}
    dotted = {name.replace(".", ""): name for name in names} or {name: _with_dots(name) for name in keys}
    if missing := [dotted[name] for name in dotted if name not in keys]:
        why = " among its averaged weights: load with ema=False for the plain ones"
        raise odd_keys(file, {"missing key": missing}, why)
    averaged = {name: keys[short] for short, name in dotted.items()}
    return averaged, [key for name, key in keys.items() if name not in dotted]


def with_averages(keys: Iterable[str], file: str) -> dict[str, str]:
    """Keys of a checkpoint whose UNet is the average, where it has one: key -> the one its tensor stands under.

    The averages' own keys are left out. ValueError lists averages that are missing or of nothing known.
    """
    own = list(keys)
    out = {key: key for key in own if not key.startswith(AVERAGES)}
    if averages := averages_among(own):
        names = [key.removeprefix(UNET_PREFIX) for key in out if key.startswith(UNET_PREFIX)]
        averaged, unknown = find_averages(names, averages, file)
        if unknown:
            raise odd_keys(file, {"unknown key": unknown}, " among its averaged weights")
        out |= {UNET_PREFIX + name: key for name, key in averaged.items()}
    return out


def _with_dots(name: str) -> str:
    """input_blocks101proj_inweight -> input_blocks.10.1.proj_in.weight: a place in a block is one digit."""
    block = re.match(r"(input_blocks|output_blocks)([0-9]+)([0-9])(?=[a-z])", name)
    parts = list(block.groups()) if block else []
    return ".".join(parts + _WORDS.findall(name[block.end() if block else 0 :]))
