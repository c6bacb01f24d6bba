"""Pieces: long operations of a network on a CPU, cut up so that an interruption is noticed between the pieces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from .interrupts import check_interrupt

LONG = 8e9  # multiplications of an operation that is cut: about .4 s of one core
MANY = 2**26  # values of an operation value by value that is cut: about .2 s
PIECE = 2e9  # of a piece
LARGE = 2**17  # pixels of a batch below which no operation of a model's takes that long
_BLOCK = 256  # queries: torch's own attention works in blocks of as many


class Pieces(TorchFunctionMode):
    """Within it convolutions, linear maps, attention, norms and SiLU that take long run in pieces; so does what Python
    has to say of a signal, and what `interrupts.check_interrupt` has to raise. The results are the same, to the bit on
    the CPUs where that was tried.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """The operation, or its pieces."""
        check_interrupt()
        cut = _CUTS.get(func)
        if cut is not None:
            made = cut(*args, **(kwargs or {}))
            if made is not None:
                return made
        return func(*args, **(kwargs or {}))


def pieces(pixels: int, device: Any) -> AbstractContextManager[Any]:
    """`Pieces` where a network works on so many pixels of a batch on a CPU, if they are many; else nothing."""
    kind = getattr(device, "type", str(device))
    return Pieces() if kind == "cpu" and pixels > LARGE else nullcontext()


def _run(work: Callable[[int, int], Tensor], count: int, long: float, block: int, dim: int) -> Tensor:
    """The parts work(start, end) of `count` rows side by side along `dim`; long: multiplications of them all."""
    rows = max(block, int(count * PIECE / long) // block * block)
    out: Tensor | None = None
    for start in range(0, count, rows):
        check_interrupt()
        end = min(count, start + rows)
        part = work(start, end)
        if out is None:
            shape = list(part.shape)
            shape[dim] = count
            out = part.new_empty(shape)
        out.narrow(dim, start, end - start).copy_(part)
    assert out is not None
    return out


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **more: Any,
) -> Tensor | None:
    long = 2.0 * query.numel() * key.shape[-2]
    if long < LONG or attn_mask is not None or is_causal or dropout_p or query.device.type != "cpu":
        return None

    def part(start: int, end: int) -> Tensor:
        return torch._C._nn.scaled_dot_product_attention(query[..., start:end, :], key, value, **more)

    return _run(part, query.shape[-2], long, _BLOCK, query.ndim - 2)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor | None:
    long = float(x.numel() * len(weight))
    if long < LONG or x.ndim != 3 or x.device.type != "cpu":
        return None
    linear = torch._C._nn.linear
    return _run(lambda a, b: linear(x[:, a:b], weight, bias), x.shape[1], long, _BLOCK, 1)


def _convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor | None:
    if x.device.type != "cpu" or x.ndim != 4 or isinstance(padding, str) or groups != 1:
        return None
    (down, across), (top, left), dilated = _pair(stride), _pair(padding), _pair(dilation)
    kernel = weight.shape[2]
    height = x.shape[2]
    rows = (height + 2 * top - kernel) // down + 1
    long = float(len(x) * rows * (x.shape[3] // across) * prod(weight.shape))
    if long < LONG or dilated != (1, 1):
        return None

    def part(start: int, end: int) -> Tensor:
        first, last = start * down - top, (end - 1) * down - top + kernel
        band = x[:, :, max(0, first) : min(height, last)]
        if first < 0 or last > height:
            band = torch.constant_pad_nd(band, (0, 0, max(0, -first), max(0, last - height)))
        return torch.conv2d(band, weight, bias, (down, across), (0, left))

    return _run(part, rows, long, 1, 2)


def _pair(value: Any) -> tuple[int, int]:
    """A number for both axes, or one each."""
    if isinstance(value, int):
        return value, value
    both = tuple(value)
    return (both[0], both[0]) if len(both) == 1 else (both[0], both[1])


def _silu(x: Tensor, inplace: bool = False) -> Tensor | None:
    if x.numel() < MANY or x.device.type != "cpu" or not x.is_contiguous() or x.requires_grad:
        return None
    out = x if inplace else torch.empty_like(x)
    # Whole vectors of the processor's in every piece: what is left over in the end is computed otherwise.
    for source, target in zip(x.view(-1).split(MANY // 4), out.view(-1).split(MANY // 4), strict=True):
        check_interrupt()
        target.copy_(torch._C._nn.silu(source))
    return out


def _group_norm(
    x: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor | None:
    channels = x.shape[1]
    if x.numel() < MANY or x.device.type != "cpu" or not x.is_contiguous() or channels % num_groups:
        return None
    if num_groups < 2 or x.requires_grad or weight is None or bias is None:
        return None
    # Every group has a mean and a variance of its own.
    groups = max(1, int(num_groups * (MANY // 4) * len(x) / x.numel()))
    width = channels // num_groups
    out = torch.empty_like(x)
    for row, normed in zip(x.split(1), out.split(1), strict=True):
        for first in range(0, num_groups, groups):
            check_interrupt()
            last = min(num_groups, first + groups)
            part = slice(first * width, last * width)
            normed[:, part] = torch.group_norm(row[:, part], last - first, weight[part], bias[part], eps)
    return out


_CUTS: dict[Any, Callable[..., Tensor | None]] = {
    torch.nn.functional.scaled_dot_product_attention: _attention,
    torch.nn.functional.linear: _linear,
    torch.nn.functional.silu: _silu,
    torch.nn.functional.group_norm: _group_norm,
    torch.conv2d: _convolution,
}
