"""Devices: where a model goes, and whether tensors can be kept there."""

from __future__ import annotations

from .errors import first_line


def best_device() -> str:
    """The device a model goes to where none is named: cuda, mps or cpu."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def checked_device(device: str | None) -> str:
    """The device, or the best there is for None; ValueError where a tensor cannot be kept and read there."""
    import torch

    if device is None:
        return best_device()
    try:
        torch.zeros(1, device=device).item()
    except Exception as error:  # each backend has kinds of its own for what is not compiled in or not there
        raise ValueError(
            f"the device {str(device)!r} cannot be used here ({first_line(error)}): "
            "expected cpu, cuda, cuda:1, mps or another that this build of torch has"
        ) from error
    return device
