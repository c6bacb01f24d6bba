"""Processes: which share of the work is this one's, when accelerate started several."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Processes:
    """Process `rank` of `count`; `meet` waits until all have come."""

    rank: int = 0
    count: int = 1
    _state: Any = None

    @property
    def first(self) -> bool:
        """Whether this is the one that writes reports."""
        return self.rank == 0

    @property
    def device(self) -> str | None:
        """The device that accelerate gave this process; None without accelerate."""
        return None if self._state is None else str(self._state.device)

    def meet(self) -> None:
        """Wait for the others."""
        if self._state is not None:
            self._state.wait_for_everyone()

    def close(self) -> None:
        """Part with the others in good order."""
        if self._state is not None:
            self._state.destroy_process_group()


def started(device: str | None = None) -> Processes:
    """This process among those that `accelerate launch` (or torchrun) started; alone where it was started by itself.

    device: what the model runs on, where it was named. ValueError where accelerate does not see the others: each
    would do all the work.
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size < 2:
        return Processes()
    import torch
    from accelerate import PartialState

    state = PartialState(cpu=device == "cpu" or not torch.cuda.is_available())
    if state.num_processes != world_size:
        raise ValueError(f"{world_size} processes were started, accelerate sees {state.num_processes}: start one")
    return Processes(state.process_index, state.num_processes, state)
