"""Compiling: whether a model's networks run compiled, and in words why not."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import sys
import sysconfig
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from ..utils.errors import first_line
from .optimization import speed_up

if TYPE_CHECKING:
    from .components import Components

# Evaluations of a UNet, a branch and picture counting one: on two CPU cores compiling `tiny` takes a minute and saves
# 3 ms of each, so that from here on waiting longer would have cost more than compiling.
PAYS = 20_000

_log = logging.getLogger(__name__)


def why_not_compiled(device: str) -> str | None:
    """Why nothing can be compiled for a device of this type ("cpu", "cuda"), in one line; None where it can."""
    if device == "cuda":
        if importlib.util.find_spec("triton") is not None:
            return None
        return "triton is not installed (pip install triton, in the version that torch names)"
    if device != "cpu":
        return f"networks are compiled for the CPU and CUDA devices, not for {device}"
    usual = {"win32": "cl", "darwin": "clang++"}.get(sys.platform, "g++")  # what torch looks for
    compiler = os.environ.get("CXX") or usual
    if shutil.which(compiler.split()[0]) is None:
        return f"there is no C++ compiler {compiler!r} (install it, or name another in the variable CXX)"
    header = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if not header.is_file():
        return f"Python's headers are not installed, {header.name} is missing (python3-dev or the like)"
    return None


class Compiling:
    """Chooses the components a run goes through: as they are, or with compiled networks; in words why not.

        choose = Compiling()                        # keep it as long as the model
        parts = choose(components, evaluations)     # for each run
        choose.reason                               # why that is not compiled, None if it is

    compiled: True: every run, RuntimeError with the reason where that cannot be. False: none. None: off unless it
    pays. Compiling takes a minute or so for every size, so it pays for many pictures only: on the CPU once PAYS
    evaluations of one size were asked for, large UNets being worth it sooner; on a CUDA device never by itself, for
    there UNet and step are replayed as CUDA graphs. Where a compiler fails that nobody asked for, that is logged (at
    warning), and the runs go on without. backend: torch.compile's.
    """

    def __init__(self, compiled: bool | None = None, backend: str = "inductor") -> None:
        if compiled not in (None, True, False):
            raise ValueError(f"compiled is None, True or False; got {compiled!r}")
        self.compiled = compiled
        self.backend = backend
        self.reason: str | None = "nothing has run yet"
        self._plain: Components | None = None
        self._fast: Components | None = None
        self._asked: Counter[tuple[int, ...]] = Counter()  # evaluations by the shape of their batch
        self._broken: str | None = None
        self._lock = threading.Lock()

    def __call__(self, components: Components, evaluations: int, shape: tuple[int, ...] = ()) -> Components:
        """What is to run for `components`, which may be an earlier answer.

        evaluations: of the UNet in this run, a branch and picture counting one. shape: of its batch, for each of which
        networks are compiled anew: many pictures of as many sizes are not worth it.
        """
        with self._lock:  # runs of one model at once get one pair of networks
            return self._chosen(components, evaluations, shape)

    def _chosen(self, components: Components, evaluations: int, shape: tuple[int, ...]) -> Components:
        if components is not self._fast and components is not self._plain:
            self._plain, self._fast = components, None
        assert self._plain is not None
        if self._fast is None:
            self.check(self._plain)
        self._asked[shape] += evaluations
        reason = self._why_not(_device(self._plain), shape)
        if reason != self.reason:
            _log.debug("networks are %s", "compiled" if reason is None else f"not compiled: {reason}")
        self.reason = reason
        if reason is not None:
            return self._plain
        if self._fast is None:
            self._fast = speed_up(self._plain, channels_last=True, compiled=True, backend=self.backend)
        return self._fast

    def check(self, components: Components) -> None:
        """RuntimeError with the reason where compiling is forced and cannot be; nothing is compiled."""
        if self.compiled and (missing := self._missing(_device(components))):
            raise RuntimeError(f"the model cannot be compiled: {missing}; or let it run as it is")

    def _why_not(self, device: str, shape: tuple[int, ...]) -> str | None:
        if self.compiled:
            return None
        if self.compiled is False:
            return "compiled=False"
        if self._broken is not None:
            return self._broken
        if device == "cuda":
            return "on a CUDA device UNet and step are replayed as graphs instead; compiled=True does both"
        if self._asked[shape] < PAYS:
            return (
                f"less than {PAYS} evaluations of the UNet at one size do not pay for a minute of compiling; "
                "compiled=True does not wait for them"
            )
        return self._missing(device)

    def _missing(self, device: str) -> str | None:
        return why_not_compiled(device) if self.backend == "inductor" else None

    def failed(self, error: BaseException) -> Components | None:
        """The components as they were, where `error` came from a compiler that nobody asked for; None where not.

        Several runs at once may fail by the same compiler: each is told so.
        """
        if self.compiled is not None or self._fast is None or not _of_the_compiler(error):
            return None
        if self._broken is None:
            self._broken = f"the compiler failed: {type(error).__name__}: {first_line(error)}"
            _log.warning("networks are not compiled: %s", self._broken)
        self.reason = self._broken
        return self._plain  # the fast ones stay known, so that a run that still has them is given these


def _device(components: Components) -> str:
    kind: str = next(components.unet.parameters()).device.type
    return kind


def _of_the_compiler(error: BaseException | None) -> bool:
    """Whether an error, or one that it came of, is torch's compiler's own."""
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor import exc

    visited: list[BaseException] = []  # chains may be closed to a ring
    while error is not None and all(error is not other for other in visited):
        if isinstance(error, TorchDynamoException) or type(error).__module__ == exc.__name__:
            return True
        visited.append(error)
        error = error.__cause__ or error.__context__
    return False
