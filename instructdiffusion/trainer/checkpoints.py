"""Checkpoints: a folder a checkpoint, complete or absent, read without unpickling anything.

weights.safetensors, ema.safetensors, optimizer.safetensors and state.json are written into a temporary
folder that is renamed when all of them are on disk, so a kill at any moment leaves the last one whole. checksums.json
says what each of them holds, so that one that a disk or a copy has damaged is told from a whole one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..utils.errors import first_line
from ..utils.files import WriteError, sync_entries, sync_files
from ..utils.network_digest import fingerprint
from .ema import EMA

_NAME = re.compile(r"^step-(\d{8})$")
_FILES = ("weights.safetensors", "ema.safetensors", "optimizer.safetensors", "state.json")
_BLOCK = 1 << 22  # bytes read at once


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
    """The checkpoints in a run's folder, oldest first; whether one is damaged, `find_fault` tells."""
    folder = Path(folder)
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if _NAME.match(p.name) and p.is_dir())


def find_fault(checkpoint: Path) -> str:
    """Tell what is wrong with a checkpoint: a file that is missing, cut off, changed, or not finite; "" for nothing.

    One without checksums, as earlier versions wrote them, is opened and looked through instead.
    """
    try:
        for name in _FILES:
            if not (checkpoint / name).is_file():
                return f"{name} is missing"
        sums = checkpoint / "checksums.json"
        if sums.is_file():
            known = json.loads(sums.read_text(encoding="utf-8"))
            for name in _FILES:
                if known[name] != _checksum(checkpoint / name):
                    return f"{name} is damaged: it is not what was written"
            return ""
        read_state(checkpoint)["step"]
        for name in _FILES[:3]:
            if not _all_finite(load_file(checkpoint / name).values()):
                return f"{name} holds NaN or infinity"
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        return f"it cannot be read: {first_line(error)}"
    return ""


def newest_whole(folder: Path) -> tuple[Path, list[str]]:
    """Find the newest checkpoint of a run that is whole.

    Args:
        folder: The run's folder, which has at least one.

    Returns:
        The checkpoint, and a line for each newer one that is damaged.

    Raises:
        ValueError: None is whole.
    """
    lines: list[str] = []
    for checkpoint in reversed(checkpoints(folder)):
        fault = find_fault(checkpoint)
        if not fault:
            return checkpoint, [f"{line}: going on from {checkpoint.name} instead" for line in lines]
        lines.append(f"note: {checkpoint} is broken ({fault})")
    raise ValueError(
        f"no checkpoint in {folder} is whole: {'; '.join(lines)}. Bring one back, or start anew in another output"
    )


def set_aside(folder: Path, newer_than: Path) -> None:
    """Rename what is newer than the checkpoint a run goes on from, so that it neither counts nor is lost."""
    for checkpoint in checkpoints(folder):
        if checkpoint.name > newer_than.name:
            aside = checkpoint.with_name(f"{checkpoint.name}.broken")
            shutil.rmtree(aside, ignore_errors=True)
            os.replace(checkpoint, aside)


def save_checkpoint(
    folder: str | Path,
    step: int,
    module: nn.Module,
    ema: EMA,
    optimizer: torch.optim.Optimizer,
    extra: dict[str, Any],
    keep: int,
) -> Path:
    """Write the checkpoint after `step` steps and delete all but the newest `keep`.

    FloatingPointError where a weight is not finite, and WriteError where the place is full, read-only or gone: then
    nothing half-written is left, and the checkpoints before stay as they were.
    """
    folder = Path(folder)
    final = folder / f"step-{step:08d}"
    temporary = folder / f".step-{step:08d}.tmp"
    trainable = {n: p.detach().contiguous() for n, p in module.named_parameters() if p.requires_grad}
    before = checkpoints(folder)
    last = f"{before[-1].name} is whole" if before else "there is no checkpoint before"
    if not _all_finite((*trainable.values(), *ema.shadow.values())):
        raise FloatingPointError(
            f"weights are NaN or infinite after step {step}, which is not saved; {last}: lower `learning_rate` or set "
            "`gradient_clip`"
        )
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        save_file(trainable, temporary / "weights.safetensors")
        save_file(ema.shadow, temporary / "ema.safetensors")
        save_file(flatten_optimizer(optimizer), temporary / "optimizer.safetensors")
        state = {"step": step, "ema_updates": ema.updates, **extra}
        (temporary / "state.json").write_text(json.dumps(state, indent=1), encoding="utf-8")
        sums = {name: _checksum(temporary / name) for name in _FILES}
        (temporary / "checksums.json").write_text(json.dumps(sums, indent=1), encoding="utf-8")
        sync_files(temporary)
        shutil.rmtree(final, ignore_errors=True)
        os.replace(temporary, final)
        sync_entries(folder)  # the new name too, before older checkpoints go
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise WriteError(
            getattr(error, "errno", None) or 0,
            f"could not write the checkpoint after step {step} to {folder}: {first_line(error)}; {last}: make room "
            "there, and go on with --resume",
        ) from error
    # What is newer is not of this run's steps, and does not count.
    for old in [c for c in checkpoints(folder) if c.name <= final.name][:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def _checksum(path: Path) -> str:
    """Size and CRC-32 of a file: against accidents, and as fast as it can be read."""
    sum_, size = 0, 0
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            sum_, size = zlib.crc32(block, sum_), size + len(block)
    return f"{size}-{sum_:08x}"


def _all_finite(tensors: Iterable[Tensor]) -> bool:
    return all(bool(torch.isfinite(t).all()) for t in tensors if t.is_floating_point())


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
