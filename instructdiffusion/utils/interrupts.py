"""Interrupts: a function that a host has called between the parts of long work, and whose error ends the work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_CHECK: ContextVar[Callable[[], None] | None] = ContextVar("check", default=None)


@contextmanager
def interruptible(check: Callable[[], None]) -> Iterator[None]:
    """Within it, in this thread, `check_interrupt` calls `check`, which raises where the user wants an end."""
    token = _CHECK.set(check)
    try:
        yield
    finally:
        _CHECK.reset(token)


def check_interrupt() -> None:
    """Between two parts of work that takes a second together: raise where the host says that it is to end."""
    check = _CHECK.get()
    if check is not None:
        check()
