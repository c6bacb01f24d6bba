"""Guards: ComfyUI's "interrupt" noticed within long operations too, and its autoencoder kept within memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import comfy.ldm.modules.attention
import comfy.ldm.modules.diffusionmodules.model as autoencoder
import comfy.model_management
from torch import Tensor

from ..instructdiffusion.inference.memory import Footprint, free_memory
from ..instructdiffusion.utils.pieces import pieces
from .interruption import interrupts

_GUARDED = "_instructdiffusion_guarded"
# Queries times keys, a head: beyond it ComfyUI's attention on a CPU takes as much memory as it finds, for minutes.
SQUARE = 2**27
_WIDTH = 64  # channels of an autoencoder whose pictures count by their pixels; wider ones take longer


@contextmanager
def guarded(pixels: int, device: Any) -> Iterator[None]:
    """Within it an operation of a network that works on so many pixels notices "interrupt", on a CPU in its midst."""
    with interrupts(), pieces(pixels, device):
        yield


def with_attention(options: dict[str, Any], device: Any) -> dict[str, Any]:
    """Model options whose attention on a CPU is torch's own where ComfyUI's would take memory by the square of the
    cells; theirs, where they bring an attention along."""
    transformer = options.get("transformer_options", {})
    if getattr(device, "type", str(device)) != "cpu" or "optimized_attention_override" in transformer:
        return options

    def attention(own: Callable[..., Tensor], q: Tensor, k: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        large = q.shape[-2] * k.shape[-2] > SQUARE
        return (comfy.ldm.modules.attention.attention_pytorch if large else own)(q, k, *args, **kwargs)

    return {**options, "transformer_options": {**transformer, "optimized_attention_override": attention}}


def guard_vae(vae: Any) -> Any:
    """The VAE itself, whose network notices "interrupt" and leaves what does not fit into memory to ComfyUI's tiles.

    ComfyUI goes over to tiles where an accelerator runs out of memory; a CPU never says so, it takes the machine.
    """
    model = getattr(vae, "first_stage_model", None)
    if model is None or getattr(model, _GUARDED, False):
        return vae
    footprint = vae_footprint(vae)
    width = max(1.0, max(vae_channels(vae)) / _WIDTH)
    for name, values in (("encode", footprint.encode), ("decode", footprint.decode)):
        cell = footprint.factor if name == "decode" else 1
        setattr(model, name, _guarded_call(getattr(model, name), values, cell, width))
    for part in model.modules():
        own = getattr(part, "optimized_attention", None)
        if own is not None:
            part.optimized_attention = _vae_attention(own)
    setattr(model, _GUARDED, True)
    return vae


def _guarded_call(own: Callable[..., Any], values: float, cell: int, width: float) -> Callable[..., Any]:
    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(x, "ndim", 0) != 4:  # of videos and sound nothing is known here
            return own(x, *args, **kwargs)
        comfy.model_management.throw_exception_if_processing_interrupted()
        pixels = len(x) * x.shape[2] * x.shape[3] * cell**2
        if x.device.type == "cpu" and pixels * values * x.element_size() > (free_host() or float("inf")):
            raise comfy.model_management.OOM_EXCEPTION("the autoencoder does not fit into memory in one piece")
        with guarded(int(pixels * width), x.device):
            return own(x, *args, **kwargs)

    return call


def _vae_attention(own: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        cells = q[0, 0].numel()
        large = q.device.type == "cpu" and q.ndim == 4 and cells**2 > SQUARE
        return (autoencoder.pytorch_attention if large else own)(q, k, v)

    return attention


def vae_channels(vae: Any) -> list[int]:
    """Channels of the encoder's levels, the finest first; Stable Diffusion's where the VAE is built otherwise."""
    levels: Any = getattr(getattr(vae.first_stage_model, "encoder", None), "down", None)
    try:
        return [int(level.block[-1].out_channels) for level in levels]
    except (TypeError, AttributeError, IndexError):
        return [128, 256, 512, 512]


def vae_footprint(vae: Any, unet: Any = (1,), itemsize: int = 4) -> Footprint:
    """What a VAE takes, beside a UNet with these channels a level."""
    return Footprint.of(list(unet), vae_channels(vae), itemsize)


def free_host() -> int | None:
    """Bytes that a run may take on the host."""
    known = [comfy.model_management.get_free_memory(comfy.model_management.torch.device("cpu")), free_memory("cpu")]
    return min((int(amount) for amount in known if amount is not None), default=None)


def free_on(device: Any) -> int | None:
    """Bytes that a run may take on a device: on an accelerator ComfyUI lets other models go, so nearly all there is."""
    if getattr(device, "type", str(device)) == "cpu":
        return free_host()
    return int(comfy.model_management.get_total_memory(device))
