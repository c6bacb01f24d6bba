"""Speed: the same model, its UNet laid out or compiled for the machine it runs on."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from .loading import Components


def speed_up(
    components: Components, *, channels_last: bool = False, compiled: bool = False, backend: str = "inductor"
) -> Components:
    """The components with a UNet that answers the same but for rounding, and perhaps sooner.

        model = InstructDiffusion(speed_up(load_components("tiny"), channels_last=True))

    channels_last: the UNet's weights, and so what it computes, lie channel by channel a pixel; done to the UNet
    that was given, in place. compiled: torch.compile with `backend`, at the first call for each number of pictures
    and branches (a minute or so), which asks for a C++ compiler on the CPU and for triton on a GPU. Neither pays
    everywhere: `python -m tests.benchmarks.sampling --compile` measures both on the machine at hand, and nothing is
    switched on by itself. Saving takes the model as it was before compiling.
    """
    unet: Any = components.unet
    if channels_last:
        unet = unet.to(memory_format=torch.channels_last)
    if compiled:
        unet = torch.compile(unet, backend=backend)
    return dataclasses.replace(components, unet=unet)
