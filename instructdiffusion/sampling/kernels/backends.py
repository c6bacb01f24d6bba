"""Backends of the step: which one runs, and in words why another does not."""

from __future__ import annotations

import functools
import importlib.util
import logging
import threading
from collections.abc import Sequence

import torch
from torch import Tensor

from ..plan import StepCoefs
from . import reference
from .memory_format import is_channels_last, is_dense, pixel_stride
from .reference import Stepped

#: What `backend` may be. "auto" is the Triton kernel on an NVIDIA GPU wherever it can, else the reference.
BACKENDS: tuple[str, ...] = ("auto", "reference", "triton")

OLDEST_CAPABILITY = (8, 0)
_log = logging.getLogger(__name__)
_last = threading.local()  # .reason: what `why_reference` gives
_told: set[str] = set()

_HALF_OR_SINGLE = (torch.float32, torch.float16, torch.bfloat16)


def step(
    x: Tensor,
    predictions: Tensor,
    coefs: StepCoefs,
    history: Sequence[Tensor] = (),
    saved: Tensor | None = None,
    noise: Tensor | None = None,
    *,
    batch: Tensor | None = None,
    finite: Tensor | None = None,
    keep: bool = True,
    backend: str = "auto",
) -> Stepped:
    """`reference.step` on the chosen backend; its documentation holds for all of them.

    backend: one of BACKENDS. A forced "triton" that cannot run raises RuntimeError with the reason that
    `why_not` gives. ValueError for another name, and for missing or misshapen tensors. Where "auto" takes the
    reference on CUDA, that is logged (at debug), once a reason; `why_reference` gives the reason everywhere.
    """
    check_backend(backend)
    if backend == "reference":
        reason: str | None = "backend='reference' was asked for"
    elif backend == "auto" and x.device.type != "cuda":
        reason = f"the kernel runs on CUDA, the latents are on {x.device.type}"
    else:
        reference.check(x, predictions, coefs, history, saved, noise, batch, finite)
        reason = why_not(x, predictions, coefs, history, saved, noise, batch=batch, finite=finite)
        if reason is not None and backend == "triton":
            raise RuntimeError(
                f"backend='triton' cannot run this step: {reason}. Use backend='auto' or 'reference'"
            )
        if reason is None and backend == "auto" and _interpreted():
            reason = (
                "triton interprets kernels (TRITON_INTERPRET=1), which is slow; backend='triton' forces it"
            )
        if reason is not None and reason not in _told:
            _told.add(reason)
            _log.debug("the step outside the UNet runs in torch: %s", reason)
    _last.reason = reason
    if reason is None:
        from . import fused

        return fused.launch(x, predictions, coefs, history, saved, noise, batch, finite, keep)
    return reference.step(x, predictions, coefs, history, saved, noise, batch=batch, finite=finite, keep=keep)


def why_reference() -> str | None:
    """Why this thread's last `step` ran as the reference, in one line; None where the kernel ran (or no step did)."""
    return getattr(_last, "reason", None)


def check_backend(backend: str) -> str:
    """The name itself; ValueError lists the names."""
    if backend not in BACKENDS:
        raise ValueError(f"unknown backend {backend!r}; expected one of {', '.join(BACKENDS)}")
    return backend


def why_not(
    x: Tensor,
    predictions: Tensor,
    coefs: StepCoefs,
    history: Sequence[Tensor] = (),
    saved: Tensor | None = None,
    noise: Tensor | None = None,
    *,
    batch: Tensor | None = None,
    finite: Tensor | None = None,
) -> str | None:
    """Why the Triton kernel does not take this step, in one line; None where it does. Waits for no device."""
    return (
        why_not_here(x.device)
        or _why_not_count(predictions, coefs)
        or _why_not_tensors(x, predictions, history, saved, noise, batch, finite)
    )


def why_not_here(device: torch.device | str) -> str | None:
    """Why the Triton kernel cannot run on this device, in one line; None where it can.

    Under TRITON_INTERPRET=1, set before triton is first imported, it runs on the CPU, slowly: made for tests.
    """
    missing = _why_no_triton()
    if missing is not None:
        return missing
    if _interpreted():
        return None
    device = torch.device(device)
    if device.type != "cuda":
        return f"the kernel runs on CUDA, the latents are on {device.type}"
    if torch.version.hip is not None:
        return "this torch is built for ROCm; the kernel is written and checked for NVIDIA GPUs only"
    if not torch.cuda.is_available():
        return "torch finds no CUDA device"
    return _why_not_capability(torch.cuda.get_device_capability(device))


def _why_not_capability(capability: tuple[int, int]) -> str | None:
    if capability >= OLDEST_CAPABILITY:
        return None
    return "the GPU has compute capability {}.{}; triton needs {}.{}".format(*capability, *OLDEST_CAPABILITY)


@functools.cache
def _why_no_triton() -> str | None:
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed (pip install triton, in the version that torch names)"
    try:
        from . import fused  # noqa: F401
    except Exception as error:  # a broken or foreign triton fails in many ways, and each is a reason
        return f"triton cannot be imported: {type(error).__name__}: {error}"
    return None


def _interpreted() -> bool:
    from . import fused

    return fused.INTERPRETED


def _why_not_count(predictions: Tensor, coefs: StepCoefs) -> str | None:
    from . import fused

    if not 1 <= len(predictions) <= fused.MAX_BRANCHES:
        return f"the kernel mixes 1 to {fused.MAX_BRANCHES} branches, the row has {len(predictions)}"
    if len(coefs.d) > fused.MAX_HISTORY + 1:
        return f"the kernel looks back {fused.MAX_HISTORY} rows, the row looks back {len(coefs.d) - 1}"
    return None


def _why_not_tensors(
    x: Tensor,
    predictions: Tensor,
    history: Sequence[Tensor],
    saved: Tensor | None,
    noise: Tensor | None,
    batch: Tensor | None,
    finite: Tensor | None,
) -> str | None:
    if x.dtype != torch.float32:
        return f"the kernel keeps its state in float32, the state is {_name(x.dtype)}"
    if x.ndim < 2 or x.numel() == 0 or x[0].numel() >= 2**31:
        return f"the kernel needs latents [b, c, ...] of 1 to 2^31 - 1 values a picture; got {tuple(x.shape)}"
    states = [("history", h) for h in history]
    states += [("saved x", saved)] if saved is not None else []
    inputs = [("prediction", predictions)]
    inputs += [("noise", noise)] if noise is not None else []
    inputs += [("batch", batch)] if batch is not None else []
    flags = [("finite", finite)] if finite is not None else []
    for name, tensor in [*states, *inputs, *flags]:
        if tensor.device != x.device:
            return f"all tensors must be on one device: the {name} is on {tensor.device}, x on {x.device}"
    for name, tensor in states:
        if tensor.dtype != torch.float32:
            return f"the kernel keeps its state in float32, the {name} is {_name(tensor.dtype)}"
    for name, tensor in inputs:
        if tensor.dtype not in _HALF_OR_SINGLE:
            return f"the kernel takes float32, float16 and bfloat16, the {name} is {_name(tensor.dtype)}"
    if torch.is_grad_enabled() and any(t.requires_grad for _, t in [("x", x), *states, *inputs]):
        return "the kernel has no backward, and a tensor requires grad (use torch.no_grad)"
    return _why_not_layout(x, states, inputs, finite)


def _why_not_layout(
    x: Tensor, states: list[tuple[str, Tensor]], inputs: list[tuple[str, Tensor]], finite: Tensor | None
) -> str | None:
    last = is_channels_last(x)
    if not is_dense(x, last):
        return f"the state must be contiguous or channels_last; its strides are {x.stride()}"
    order = "channels_last" if last else "contiguous"
    for name, tensor in states:
        if not is_dense(tensor, last):
            return f"the {name} must be {order} as the state is; its strides are {tensor.stride()}"
    for name, tensor in inputs:
        one = tensor if tensor.ndim == x.ndim else tensor[0]
        if pixel_stride(one) is None:
            return f"the pixels of the {name} must have one stride; its strides are {tensor.stride()}"
        if len(tensor) * tensor.stride(0) >= 2**31:  # offsets are 32 bits wide
            return f"the kernel takes at most 2^31 - 1 values a tensor; the {name} is {tuple(tensor.shape)}"
        if name == "batch" and _overlaps(tensor):
            return f"the branches of the batch overlap in memory; its strides are {tensor.stride()}"
    if finite is not None and not finite.is_contiguous():
        return f"the finite flags must be contiguous; their strides are {finite.stride()}"
    return None


def _overlaps(batch: Tensor) -> bool:
    """Whether a dimension of stride 0 makes several values of a tensor share one place."""
    return any(step == 0 and size > 1 for size, step in zip(batch.shape, batch.stride(), strict=True))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
