"""The small networks beside a model (`light_unet`, `learned`): their weights read from safetensors."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

Net = TypeVar("Net", bound=nn.Module)


def load_auxiliary(net: Net, path: str | Path, called: str, script: str, instead: str) -> Net:
    """`net` with the weights of a file, in float32 on the CPU, ready to answer.

    called: what the net is, script: what makes it, instead: what to do without it, for the messages.
    FileNotFoundError where there is no file; ValueError where it is cut off, holds other weights than such a net's, or
    values that are not finite. Nothing is unpickled.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"there are no {called}'s weights {path}: make them with {script}, or {instead}"
        )
    try:
        state = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(
            f"{path} cannot be read as safetensors ({error}): make it anew with {script}"
        ) from None
    expected = {name: tuple(weight.shape) for name, weight in net.state_dict().items()}
    shapes = {name: tuple(weight.shape) for name, weight in state.items()}
    if shapes != expected:
        odd = sorted(name for name in {*shapes, *expected} if shapes.get(name) != expected.get(name))[0]
        raise ValueError(
            f"{path} does not hold this {called}: expected {odd} of {expected.get(odd, 'nothing')}, got "
            f"{shapes.get(odd, 'nothing')}; make it anew with {script}"
        )
    if not all(bool(torch.isfinite(weight).all()) for weight in state.values()):
        raise ValueError(f"{path} holds NaN or infinite weights: make it anew with {script}")
    net.load_state_dict(state)
    return net.eval().requires_grad_(False)


def auxiliary_hash(path: str | Path) -> str:
    """SHA-256 (first 16 hex digits) of a file of weights."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
