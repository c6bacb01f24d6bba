"""Layout: how a latent's values lie in memory, as far as the fused step has to know.

A picture's values [c, *spatial] are addressed as channel * channel_stride + pixel * pixel_stride; the pixels,
in row-major order, must have one stride.
"""

from __future__ import annotations

import math

from torch import Tensor


def pixel_stride(latents: Tensor) -> int | None:
    """The one stride of the pixels of [b, c, *spatial] in row-major order; None where there is no such stride."""
    stride: int | None = None
    expected = 0
    for size, step in reversed(list(zip(latents.shape[2:], latents.stride()[2:], strict=True))):
        if size == 1:
            continue
        if stride is None:
            stride = step
        elif step != expected:
            return None
        expected = size * step
    return 1 if stride is None else stride


def inner_strides(latents: Tensor) -> tuple[int, int]:
    """(channel stride, pixel stride) of [b, c, *spatial]; ValueError where the pixels have no single stride."""
    pixel = pixel_stride(latents)
    if pixel is None:
        raise ValueError(
            f"the pixels of {tuple(latents.shape)}, strides {latents.stride()}, are not in one row"
        )
    return latents.stride(1), pixel


def is_flat(latents: Tensor, channels_last: bool) -> bool:
    """Whether each picture of [b, c, *spatial] is one gapless run, channels first or channels last."""
    channels, pixels = latents.shape[1], math.prod(latents.shape[2:])
    pixel = pixel_stride(latents)
    if pixel is None:
        return False
    wanted_channel, wanted_pixel = (1, channels) if channels_last else (pixels, 1)
    return (channels == 1 or latents.stride(1) == wanted_channel) and (pixels == 1 or pixel == wanted_pixel)


def is_dense(latents: Tensor, channels_last: bool) -> bool:
    """Whether the whole of [b, c, *spatial] is one gapless run in that order."""
    size = math.prod(latents.shape[1:])
    return is_flat(latents, channels_last) and (len(latents) == 1 or latents.stride(0) == size)


def is_channels_last(latents: Tensor) -> bool:
    """Whether the values lie channels last; False where both orders are the same."""
    return is_dense(latents, True) and not is_dense(latents, False)
