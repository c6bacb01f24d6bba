"""Batches made ahead by other processes, or by a thread, handed over in step order."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def _single_thread() -> None:
    import torch

    torch.set_num_threads(1)  # many single-threaded makers beat few that share the cores


def prefetch(
    make: Callable[[int], T], numbers: range, workers: int, ahead: int = 4
) -> Generator[T, None, None]:
    """make(n) for n in `numbers`, in order; `workers` processes stay up to `ahead` results in front.

    `make` is a pure, picklable function of the number, so how many workers there are changes nothing.
    0 workers: made in this process when asked for.
    """
    if workers == 0:
        yield from map(make, numbers)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_single_thread) as pool:
        waiting: deque[Future[T]] = deque()
        coming = iter(numbers)
        try:
            for _ in range(max(ahead, workers)):
                if (n := next(coming, None)) is not None:
                    waiting.append(pool.submit(make, n))
            while waiting:
                result = waiting.popleft().result()
                if (n := next(coming, None)) is not None:
                    waiting.append(pool.submit(make, n))
                yield result
        finally:
            for future in waiting:
                future.cancel()


def one_ahead(make: Callable[[int], T], numbers: range) -> Generator[T, None, None]:
    """make(n) for n in `numbers`, in order; a thread makes the next one while the last is in use.

    For what a device waits for otherwise: its host draws the next step's noise while it computes.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as thread:
        coming: Future[T] | None = None
        for n in numbers:
            result = thread.submit(make, n) if coming is None else coming
            coming = thread.submit(make, n + numbers.step) if n != numbers[-1] else None
            yield result.result()
