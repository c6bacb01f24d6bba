"""Where a stage starts from: the model folder in `init`, or one made of the single-file checkpoint there."""

from __future__ import annotations

from pathlib import Path

from .config import TrainConfig


def start_folder(config: TrainConfig) -> Path:
    """The folder that `config.init` names; of a file (.safetensors, .ckpt) one is made in `config.output`.

    The file may be plain Stable Diffusion 1.5, whose UNet takes 4 channels: stage "instruct" widens it to 8. The
    folder is made once, for all processes and for a run that is resumed; another file gets another folder. ValueError
    for what is no such file or has another number of channels, FileNotFoundError where its tokenizer is not found.
    """
    if config.init is None:
        raise ValueError(
            f"stage {config.stage!r} starts from an earlier stage: set `init` to its model folder"
        )
    path = Path(config.init)
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
