"""The step outside the UNet as one Triton kernel; imports triton, so import this module only where it is used.

One launch reads the state, the branches' predictions, the history, the saved x and the noise once, computes in
float32, and writes the new x, the denoised latent and the next UNet input, repeated for every branch. Scalars
travel as kernel arguments (or, for a captured graph, in a small table on the device): nothing is read back, and
a new value never compiles anew. One picture's numbers never depend on the batch they are in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..plan import StepCoefs
from .memory_format import inner_strides, is_channels_last, is_flat
from .reference import Stepped

BLOCK = (
    512  # elements a program: 4 a thread, so that float32 moves in 16-byte and half precision in 8-byte words
)
OPTIONS = {"num_warps": 4, "enable_fp_fusion": True}
MAX_BRANCHES = 4
MAX_HISTORY = 3

#: The kernel's scalars in its order.
SCALARS: tuple[str, ...] = (
    *("w0", "w1", "w2", "w3", "skip", "out", "x_coef", "d0", "d1", "d2", "d3"),
    *("saved_coef", "noise_coef", "next_scale"),
)


@triton.jit
def _term(coef, value):
    """coef * value, and exactly 0 where coef is 0, whatever the value (it may be NaN, or never written)."""
    return tl.where(coef != 0.0, coef * value, 0.0)


@triton.jit
def _offsets(
    inner,
    pixels,
    channel_stride,
    PIXEL_STRIDE: tl.constexpr,
    FLAT: tl.constexpr,
    CHANNELS: tl.constexpr,
    LAST: tl.constexpr,
):
    """Where element `inner` of a picture (in the state's order) lies in a tensor of other strides."""
    if FLAT:
        offsets = inner
    elif LAST:
        offsets = (inner % CHANNELS) * channel_stride + (inner // CHANNELS) * PIXEL_STRIDE
    else:
        offsets = (inner // pixels) * channel_stride + (inner % pixels) * PIXEL_STRIDE
    return offsets


@triton.jit(do_not_specialize=["finite_ptr", "blocks", "pixels"])
def step_kernel(
    x_ptr,
    predictions_ptr,
    h1_ptr,
    h2_ptr,
    h3_ptr,
    saved_ptr,
    noise_ptr,
    x_out_ptr,
    denoised_ptr,
    batch_ptr,
    finite_ptr,
    table_ptr,
    w0,
    w1,
    w2,
    w3,
    skip,
    out,
    x_coef,
    d0,
    d1,
    d2,
    d3,
    saved_coef,
    noise_coef,
    next_scale,
    size,
    blocks,
    pixels,
    p_branch,
    p_image,
    p_channel,
    n_image,
    n_channel,
    b_branch,
    b_image,
    b_channel,
    P_PIXEL: tl.constexpr,
    N_PIXEL: tl.constexpr,
    B_PIXEL: tl.constexpr,
    P_FLAT: tl.constexpr,
    N_FLAT: tl.constexpr,
    B_FLAT: tl.constexpr,
    BRANCHES: tl.constexpr,
    COPIES: tl.constexpr,
    CHANNELS: tl.constexpr,
    LAST: tl.constexpr,
    ROTATE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """See `launch` and `launch_in_place`, which fill in the arguments; a pointer that is None is left out."""
    save = 0.0
    if table_ptr is not None:
        w0 = tl.load(table_ptr + 0)
        w1 = tl.load(table_ptr + 1)
        w2 = tl.load(table_ptr + 2)
        w3 = tl.load(table_ptr + 3)
        skip = tl.load(table_ptr + 4)
        out = tl.load(table_ptr + 5)
        x_coef = tl.load(table_ptr + 6)
        d0 = tl.load(table_ptr + 7)
        d1 = tl.load(table_ptr + 8)
        d2 = tl.load(table_ptr + 9)
        d3 = tl.load(table_ptr + 10)
        saved_coef = tl.load(table_ptr + 11)
        noise_coef = tl.load(table_ptr + 12)
        next_scale = tl.load(table_ptr + 13)
        save = tl.load(table_ptr + 14)

    pid = tl.program_id(0)
    image = (pid // blocks).to(tl.int64)
    inner = (pid % blocks) * BLOCK + tl.arange(0, BLOCK)
    mask = inner < size
    at = image * size + inner

    # All loads come before all stores: in place, every element is read and written by the same thread.
    x = tl.load(x_ptr + at, mask=mask, other=0.0)
    p_at = predictions_ptr + image * p_image
    p_at += _offsets(inner, pixels, p_channel, P_PIXEL, P_FLAT, CHANNELS, LAST)
    mixed = _term(w0, tl.load(p_at, mask=mask, other=0.0).to(tl.float32))
    if BRANCHES > 1:
        mixed += _term(w1, tl.load(p_at + p_branch, mask=mask, other=0.0).to(tl.float32))
    if BRANCHES > 2:
        mixed += _term(w2, tl.load(p_at + p_branch * 2, mask=mask, other=0.0).to(tl.float32))
    if BRANCHES > 3:
        mixed += _term(w3, tl.load(p_at + p_branch * 3, mask=mask, other=0.0).to(tl.float32))
    denoised = _term(skip, x) + _term(out, mixed)

    new = _term(x_coef, x) + _term(d0, denoised)
    h1 = x
    h2 = x
    saved = x
    if h1_ptr is not None:
        h1 = tl.load(h1_ptr + at, mask=mask, other=0.0)
        new += _term(d1, h1)
    if h2_ptr is not None:
        h2 = tl.load(h2_ptr + at, mask=mask, other=0.0)
        new += _term(d2, h2)
    if h3_ptr is not None:
        new += _term(d3, tl.load(h3_ptr + at, mask=mask, other=0.0))
    if saved_ptr is not None:
        saved = tl.load(saved_ptr + at, mask=mask, other=0.0)
        new += _term(saved_coef, saved)
    if noise_ptr is not None:
        n_at = noise_ptr + image * n_image
        n_at += _offsets(inner, pixels, n_channel, N_PIXEL, N_FLAT, CHANNELS, LAST)
        new += _term(noise_coef, tl.load(n_at, mask=mask, other=0.0).to(tl.float32))

    tl.store(x_out_ptr + at, new, mask=mask)
    if denoised_ptr is not None:
        tl.store(denoised_ptr + at, denoised, mask=mask)
    if ROTATE:
        if h2_ptr is not None:
            tl.store(h2_ptr + at, h1, mask=mask)
        if h3_ptr is not None:
            tl.store(h3_ptr + at, h2, mask=mask)
        if saved_ptr is not None:
            tl.store(saved_ptr + at, tl.where(save != 0.0, x, saved), mask=mask)
    if batch_ptr is not None:
        b_at = batch_ptr + image * b_image
        b_at += _offsets(inner, pixels, b_channel, B_PIXEL, B_FLAT, CHANNELS, LAST)
        scaled = (new * next_scale).to(batch_ptr.dtype.element_ty)
        for copy in tl.static_range(COPIES):
            tl.store(b_at + copy * b_branch, scaled, mask=mask)
    if finite_ptr is not None:
        # Lanes that find a bad value all store the same 0; as a rule no lane stores anything.
        bad = mask & ((tl.abs(denoised) < float("inf")) == 0)
        tl.store(finite_ptr + image + inner * 0, tl.zeros_like(inner).to(tl.uint8), mask=bad)


INTERPRETED = not isinstance(step_kernel, triton.runtime.JITFunction)


def launch(
    x: Tensor,
    predictions: Tensor,
    coefs: StepCoefs,
    history: Sequence[Tensor] = (),
    saved: Tensor | None = None,
    noise: Tensor | None = None,
    batch: Tensor | None = None,
    finite: Tensor | None = None,
    keep: bool = True,
) -> Stepped:
    """`reference.step` in one launch, for arguments that `backends.why_not` has no objection to."""
    used = [h if d != 0.0 else None for d, h in zip(coefs.d[1:], history, strict=False)]
    new = torch.empty_like(x)
    denoised = torch.empty_like(x) if keep else None
    scaled = torch.empty_like(x).unsqueeze(0) if batch is None else batch
    _run(
        arguments(
            x,
            predictions,
            scalars(coefs),
            used,
            saved if coefs.saved != 0.0 else None,
            noise if coefs.noise != 0.0 else None,
            (new, denoised),
            scaled,
            finite,
        ),
        x,
    )
    return Stepped(new, denoised, scaled[0] if batch is None else batch)


def launch_in_place(
    x: Tensor,
    predictions: Tensor,
    table_row: Tensor,
    history: Sequence[Tensor] = (),
    saved: Tensor | None = None,
    noise: Tensor | None = None,
    batch: Tensor | None = None,
    finite: Tensor | None = None,
) -> None:
    """The step on buffers that stay where they are, with its scalars read on the device: made for CUDA graphs.

    x becomes the new state; history [newest first] moves on by one and takes the denoised latent; saved takes
    the old x where the row says so; batch takes the next input. table_row: float32 [len(SCALARS) + 1 or more]:
    the values of `scalars`, then 1 where the row saves its x, else 0. Every buffer must exist that some row of
    the plan needs; a buffer that no row reads may hold anything.
    """
    first = history[0] if history else None
    _run(
        arguments(
            x,
            predictions,
            (0.0,) * len(SCALARS),
            history,
            saved,
            noise,
            (x, first),
            batch,
            finite,
            table_row=table_row,
        ),
        x,
    )


def scalars(coefs: StepCoefs) -> tuple[float, ...]:
    """The row's numbers in the order of SCALARS; weights and d are filled up with 0."""
    weights = coefs.weights + (0.0,) * (MAX_BRANCHES - len(coefs.weights))
    d = coefs.d + (0.0,) * (MAX_HISTORY + 1 - len(coefs.d))
    return (*weights, coefs.skip, coefs.out, coefs.x, *d, coefs.saved, coefs.noise, coefs.next_scale)


def arguments(
    x: Tensor,
    predictions: Tensor,
    numbers: Sequence[float],
    history: Sequence[Tensor | None],
    saved: Tensor | None,
    noise: Tensor | None,
    outputs: tuple[Tensor, Tensor | None],
    batch: Tensor | None,
    finite: Tensor | None,
    *,
    table_row: Tensor | None = None,
) -> dict[str, Any]:
    """The kernel's arguments by name. A table_row means the step is in place and its history moves on."""
    last = is_channels_last(x)
    size = x[0].numel()
    past = (*history, None, None, None)[:MAX_HISTORY]
    p_channel, p_pixel = inner_strides(predictions[0])
    n_channel, n_pixel = (1, 1) if noise is None else inner_strides(noise)
    b_channel, b_pixel = (1, 1) if batch is None else inner_strides(batch[0])
    return {
        "x_ptr": x,
        "predictions_ptr": predictions,
        "h1_ptr": past[0],
        "h2_ptr": past[1],
        "h3_ptr": past[2],
        "saved_ptr": saved,
        "noise_ptr": noise,
        "x_out_ptr": outputs[0],
        "denoised_ptr": outputs[1],
        "batch_ptr": batch,
        "finite_ptr": None if finite is None else finite.view(torch.uint8),
        "table_ptr": table_row,
        **dict(zip(SCALARS, map(float, numbers), strict=True)),
        "size": size,
        "blocks": triton.cdiv(size, BLOCK),
        "pixels": size // x.shape[1],
        "p_branch": _stride(predictions, 0),
        "p_image": _stride(predictions, 1),
        "p_channel": p_channel,
        "n_image": 0 if noise is None else _stride(noise, 0),
        "n_channel": n_channel,
        "b_branch": 0 if batch is None else _stride(batch, 0),
        "b_image": 0 if batch is None else _stride(batch, 1),
        "b_channel": b_channel,
        "P_PIXEL": p_pixel,
        "N_PIXEL": n_pixel,
        "B_PIXEL": b_pixel,
        "P_FLAT": is_flat(predictions[0], last),
        "N_FLAT": noise is None or is_flat(noise, last),
        "B_FLAT": batch is None or is_flat(batch[0], last),
        "BRANCHES": len(predictions),
        "COPIES": 0 if batch is None else len(batch),
        "CHANNELS": x.shape[1],
        "LAST": last,
        "ROTATE": table_row is not None,
        "BLOCK": BLOCK,
    }


def _stride(tensor: Tensor, dim: int) -> int:
    """The stride; 0 where it does not matter: it may then be any number, and spoil the alignment."""
    return tensor.stride(dim) if tensor.shape[dim] > 1 else 0


def _run(arguments: dict[str, Any], x: Tensor) -> None:
    grid = (len(x) * arguments["blocks"],)
    if x.is_cuda:
        with torch.cuda.device(x.device):  # triton launches on the current device, not on the tensors'
            step_kernel[grid](**arguments, **OPTIONS)
    else:
        step_kernel[grid](**arguments)
