"""Interrupts: a function that a host has called between the parts of long work, and whose error ends the work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

Value = TypeVar("Value")

_CHECK: ContextVar[Callable[[], None] | None] = ContextVar("check", default=None)


@contextmanager
def interruptible(check: Callable[[], None]) -> Iterator[None]:
    """Within it, in this thread, `check_interrupt` calls `check`, which raises where the user wants an end."""
    token = _CHECK.set(check)
    try:
        yield
    finally:
        _CHECK.reset(token)


def in_thread(work: Callable[[], Value]) -> Value:
    """Do work that is another library's, and cannot be stopped, where a host has a check: in a thread of its own.

    Where the check raises, the caller goes on at once; the work comes to its end unseen.

    Args:
        work: What takes long and may end unseen, such as a preview's file.

    Returns:
        What work returns; it raises what work does.
    """
    if _CHECK.get() is None:
        return work()
    done: list[tuple[bool, Any]] = []
    context = copy_context()

    def run() -> None:
        try:
            done.append((True, context.run(work)))
        except BaseException as error:  # the caller's, whatever it is
            done.append((False, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
        check_interrupt()
    well, value = done[0]
    if not well:
        raise value
    outcome: Value = value
    return outcome


def check_interrupt() -> None:
    """Between two parts of work that takes a second together: raise where the host says that it is to end."""
    check = _CHECK.get()
    if check is not None:
        check()
