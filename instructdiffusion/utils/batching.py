"""Batches: as many at once as asked for, or as memory holds."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from .errors import first_line

Item = TypeVar("Item")
Result = TypeVar("Result")

# How it is said: by torch for CUDA and MPS, the CPU on Linux and macOS, the CPU on Windows, and MPS where one tensor is
# more than Metal takes; by NVIDIA's libraries, whose own workspaces found no room (cuDNN, cuBLAS, cuSOLVER; cuFFT).
_SAID = (
    *("out of memory", "can't allocate memory", "not enough memory", "invalid buffer size"),
    *("status_alloc_failed", "cufft_alloc_failed"),
)


def in_batches(
    items: Sequence[Item], size: int, work: Callable[[Sequence[Item]], Result]
) -> Iterator[tuple[int, Sequence[Item], Result]]:
    """(number of the first item, batch, work(batch)) over all items, `size` at once.

    A batch that does not fit into memory is halved until it does, and so are those after it, with one warning
    that names the number that fits; `work` must not depend on what else is in a batch, but for rounding. MemoryError
    where a single item does not fit.
    """
    current, first, reported = size, 0, size
    while first < len(items):
        batch = items[first : first + size]
        try:
            result = work(batch)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            reason = first_line(error)
        else:
            reason = ""
        if not reason:
            if size < reported:
                warnings.warn(
                    f"{min(current, len(items))} pictures at once do not fit into memory, {size} do: the answers "
                    f"are the same but for rounding; batch_size={size} saves the attempt",
                    stacklevel=2,
                )
                reported = size
            yield first, batch, result
            first += len(batch)
            continue
        # Here, outside of the except block, what the failed attempt held has been let go.
        _give_back()
        if len(batch) == 1:
            raise MemoryError(
                f"not even one picture fits into memory ({reason}): take a smaller resolution, load the model with "
                "dtype=torch.float16, or free memory"
            )
        size = len(batch) // 2


def _give_back() -> None:
    """Let the accelerators have the memory that torch keeps for later: what comes next wants other sizes."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on whatever device."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _SAID)
