"""Batches made ahead by other processes, or by a thread, handed over in step order."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

T = TypeVar("T")


class MakerKilled(ChildProcessError):
    """A process that made batches is gone: the system ends those for which memory runs out."""


def _single_thread() -> None:
    import torch

    torch.set_num_threads(1)  # many single-threaded makers beat few that share the cores
    for name in ("SIGINT", "SIGHUP"):  # a terminal sends them to all; the run itself ends its makers once it has saved
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


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
                try:
                    result = waiting.popleft().result()
                    if (n := next(coming, None)) is not None:
                        waiting.append(pool.submit(make, n))
                except BrokenProcessPool:
                    raise MakerKilled(
                        f"one of the {workers} processes that make samples was killed, as the system does where memory "
                        "runs out: set `data.workers` lower, and go on"
                    ) from None
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
