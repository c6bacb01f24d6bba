"""Where a stage starts from: the model folder in `init`, or one made of the single-file checkpoint there."""

from __future__ import annotations

import json
from pathlib import Path

from ..models.built_in import ASSETS, BUILT_IN
from ..utils.errors import UsageError
from .config import TrainConfig


def init_path(init: str) -> Path:
    """The place that `init` names: a model that ships ("tiny"), else a path; "./tiny" is a folder of that name."""
    return ASSETS / init if init in BUILT_IN else Path(init)


def start_folder(config: TrainConfig) -> Path:
    """The folder that `config.init` names; of a file (.safetensors, .ckpt) one is made in `config.output`.

    The file may be plain Stable Diffusion 1.5, whose UNet takes 4 channels: stage "instruct" widens it to 8. The
    folder is made once, for all processes and for a run that is resumed; another file gets another folder. ValueError
    for what is no such file or has another number of channels, FileNotFoundError where its tokenizer is not found.
    """
    if config.init is None:
        raise UsageError(
            f"stage {config.stage!r} starts from an earlier stage: set `init` to its model folder"
        )
    path = init_path(config.init)
    if not path.is_file():
        return path
    folder = Path(config.output) / f"init-{path.stem}-{path.stat().st_mtime_ns:x}"
    if not (folder / "model_index.json").is_file():
        from ..models.saving import save_pretrained
        from ..models.single_file import load_checkpoint_components

        components = load_checkpoint_components(path, in_channels=None)
        channels = components.unet.config.in_channels
        if channels not in (4, 8):
            raise ValueError(
                f"expected a UNet with 4 input channels (text to image) or 8 (instructions), got {channels} in "
                f"{path.name}: set `init` to another checkpoint"
            )
        save_pretrained(components, folder)
    return folder


def check_size(config: TrainConfig) -> None:
    """Refuse a `data.size` that autoencoder and UNet cannot halve as often as they do, before anything is built.

    Args:
        config: The run's. Sizes of what is in a folder `init` are read from its configs; a single file is Stable
            Diffusion's, and other `init` are looked at when they are loaded.

    Raises:
        UsageError: Naming the sizes next to it.
    """
    vae, unet = len(config.model.vae_channels), len(config.model.unet_channels)
    if config.init is not None and init_path(config.init).is_file():
        vae = unet = 4
    elif config.init is not None:
        vae, unet = (_levels(init_path(config.init) / part, own) for part, own in (("vae", vae), ("unet", unet)))
    halvings = vae - 1 + (0 if config.stage == "vae" else unet - 1)
    multiple, size = 2**halvings, config.data.size
    if size % multiple:
        low = size // multiple * multiple
        near = f"{low} or {low + multiple}" if low else f"{multiple}"
        raise UsageError(f"expected `data.size` to be a multiple of {multiple}, as {near}, got {size}")


def _levels(folder: Path, own: int) -> int:
    """How many levels the network of a folder has; `own`, as the config builds it, where there is none."""
    try:
        data = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return len(data["block_out_channels"])
    except (OSError, ValueError, KeyError, TypeError):
        return own
