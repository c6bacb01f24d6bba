"""The folder of a pool's shards: one for each way of making them, so that a run finds its own samples and no others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..datasets.sources import Sources
from ..versions import samples_version
from .config import DataConfig

SHARD = 1024  # samples a shard


def shard_length(data: DataConfig) -> int:
    """Samples a shard: `SHARD`, or all of them where the pool is smaller."""
    return min(SHARD, data.pool)


def pool_folder(
    root: Path, data: DataConfig, components: Path, sources: Sources | None = None, device: str = "cpu"
) -> Path:
    """Where the shards of these settings live; other settings, sources, weights or code, another folder.

    device: the kind of device that encodes: another one rounds otherwise.
    """
    mixture = list(data.mixture.items())  # in order: samples are dealt out along it
    version = samples_version(sources is not None)
    settings = [mixture, list(data.levels), data.size, data.seed, shard_length(data), version]
    if data.absent or data.zoom:
        settings += [data.absent, data.zoom] if data.zoom else [data.absent]
    if data.wordings > 1:
        settings.append({"wordings": data.wordings})
    if data.encoding != "float32":
        settings.append(data.encoding)
    if device != "cpu":
        settings.append(device)
    if sources is not None:
        settings += [data.scenes_share, sources.key()]
    digest = hashlib.sha256(json.dumps(settings).encode())
    for name in ("vae/diffusion_pytorch_model.safetensors", "tokenizer/vocab.json", "tokenizer/merges.txt"):
        digest.update((components / name).read_bytes())
    return root / f"pool-{digest.hexdigest()[:12]}"


def check_began(
    began: Mapping[str, Any], data: DataConfig, components: Path, sources: Sources | None = None
) -> None:
    """ValueError where a run that goes on would see other samples than it began with.

    began: `pool`, the name of its folder, and `device`, the kind that encoded it (another only rounds otherwise);
    neither where a checkpoint does not say.
    """
    if "pool" not in began:
        return
    now = pool_folder(Path(), data, components, sources, began["device"]).name
    if now != began["pool"]:
        raise ValueError(
            f"the run began with the samples of {began['pool']}, now they would be those of {now}: how they are drawn "
            f"(instructdiffusion.versions), or the autoencoder or tokenizer in {components}, is another one since. "
            "Bring it back as it was, or start anew in another output"
        )
