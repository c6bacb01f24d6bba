"""Checkpoints: a folder a checkpoint, complete or absent, read without unpickling anything.

weights.safetensors, ema.safetensors, optimizer.safetensors and state.json are written into a temporary
folder that is renamed when all of them are on disk, so a kill at any moment leaves the last one whole.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..utils.files import sync_entries, sync_files
from ..utils.network_digest import fingerprint
from .ema import EMA

_NAME = re.compile(r"^step-(\d{8})$")


def flatten_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as named tensors: "<parameter number>.<key>"."""
    out = {}
    for index, entries in optimizer.state_dict()["state"].items():
        for key, value in entries.items():
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"expected tensors in the optimiser's state, got {type(value).__name__} for {key!r}"
                )
            out[f"{index}.{key}"] = value.contiguous()
    return out


def unflatten_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put what `flatten_optimizer` gave back into an optimiser over the same parameters."""
    state = optimizer.state_dict()
    state["state"] = {}
    for name, value in tensors.items():
        index, key = name.split(".", 1)
        state["state"].setdefault(int(index), {})[key] = value
    optimizer.load_state_dict(state)


def checkpoints(folder: str | Path) -> list[Path]:
    """The complete checkpoints in a run's folder, oldest first."""
    folder = Path(folder)
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if _NAME.match(p.name) and (p / "state.json").is_file())


def save_checkpoint(
    folder: str | Path,
    step: int,
    module: nn.Module,
    ema: EMA,
    optimizer: torch.optim.Optimizer,
    extra: dict[str, Any],
    keep: int,
) -> Path:
    """Write the checkpoint after `step` steps and delete all but the newest `keep`."""
    folder = Path(folder)
    final = folder / f"step-{step:08d}"
    temporary = folder / f".step-{step:08d}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    trainable = {n: p.detach().contiguous() for n, p in module.named_parameters() if p.requires_grad}
    save_file(trainable, temporary / "weights.safetensors")
    save_file(ema.shadow, temporary / "ema.safetensors")
    save_file(flatten_optimizer(optimizer), temporary / "optimizer.safetensors")
    state = {"step": step, "ema_updates": ema.updates, **extra}
    (temporary / "state.json").write_text(json.dumps(state, indent=1), encoding="utf-8")
    sync_files(temporary)
    shutil.rmtree(final, ignore_errors=True)
    os.replace(temporary, final)
    sync_entries(folder)  # the new name too, before older checkpoints go
    for old in checkpoints(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def untrained_digest(module: nn.Module, beside: Mapping[str, nn.Module]) -> str:
    """SHA-256 (first 16 hex digits) of the weights that checkpoints leave out: those of `init` that are not trained.

    They are the frozen ones of the module itself and those of the modules beside it (autoencoder, teacher).
    """
    parts = {"": module, **beside}
    parameters = ((f"{place} {name}", p) for place, part in parts.items() for name, p in part.named_parameters())
    return fingerprint({name: p for name, p in parameters if not p.requires_grad})


def read_state(path: str | Path) -> dict[str, Any]:
    """state.json of a checkpoint: step, ema_updates, and what the run added (seconds, config)."""
    state: dict[str, Any] = json.loads((Path(path) / "state.json").read_text(encoding="utf-8"))
    return state


def load_checkpoint(
    path: str | Path, module: nn.Module, ema: EMA, optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    """Restore weights, averages and optimiser in place; returns state.json's content."""
    path = Path(path)
    state = read_state(path)
    weights = load_file(path / "weights.safetensors")
    own = {n: p for n, p in module.named_parameters() if p.requires_grad}
    if set(weights) != set(own):
        odd = sorted(set(weights) ^ set(own))
        raise ValueError(
            f"checkpoint {path.name} is of another model: {len(odd)} names differ, first {odd[0]!r}"
        )
    for name, parameter in own.items():
        if weights[name].shape != parameter.shape:
            raise ValueError(
                f"checkpoint {path.name} is of another model: {name} has shape {tuple(weights[name].shape)}, "
                f"the config's model {tuple(parameter.shape)}"
            )
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(weights[name])
    averages = load_file(path / "ema.safetensors")
    ema.shadow = {name: averages[name].to(p.device) for name, p in own.items()}
    ema.updates = state["ema_updates"]
    unflatten_optimizer(optimizer, load_file(path / "optimizer.safetensors"))
    return state
