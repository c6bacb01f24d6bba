"""Interruption: ComfyUI's "interrupt", as the package's own loops notice it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ..instructdiffusion.utils.interrupts import interruptible


@contextmanager
def interrupts() -> Iterator[None]:
    """Within it the package's own loops notice "interrupt"; `@interrupts()` has a function do so."""
    host = sys.modules.get("comfy.model_management")  # not imported: outside of ComfyUI nobody interrupts
    if host is None:
        yield
        return
    with interruptible(host.throw_exception_if_processing_interrupted):
        yield
