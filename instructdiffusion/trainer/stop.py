"""Stop: a run that is told to end (Ctrl-C, a closed terminal, a scheduler) saves first, and says how to go on."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Stopped(KeyboardInterrupt):
    """A run ended by a signal after a checkpoint; the message says how to go on. `signum`: the signal."""

    def __init__(self, signum: int, step: int) -> None:
        name = signal.Signals(signum).name
        super().__init__(f"stopped by {name} after step {step}, which is saved: go on with --resume")
        self.signum = signum


class StopRequest:
    """Within it, signals that end a process are noted, for the loop to end after its step; a second one ends at once.

    Only in the main thread, where Python hears signals; a signal that is ignored (nohup) stays so.
    """

    def __init__(self) -> None:
        self.signum = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signum:
            raise KeyboardInterrupt
        self.signum = number

    def heard(self, accelerator: Any) -> int:
        """Tell which signal has come, to any of the processes, which then all end after the same step; 0 for none."""
        if accelerator.num_processes == 1:
            return self.signum
        import torch

        flag = torch.tensor([self.signum], device=accelerator.device)
        return int(accelerator.gather(flag).max())
