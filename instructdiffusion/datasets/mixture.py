"""A weighted mixture of tasks: which task and which record a training sample is."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate

RECORD_SEEDS = 1 << 48


@dataclass(frozen=True)
class Mixture:
    """Tasks with weights (any positive numbers; zero leaves a task out)."""

    weights: Mapping[str, float]
    _names: tuple[str, ...] = field(init=False, repr=False)
    _edges: tuple[float, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        bad = {name: weight for name, weight in self.weights.items() if not 0 <= weight < float("inf")}
        if bad:
            raise ValueError(f"expected weights that are zero or positive numbers; got {bad}")
        weights = {name: float(weight) for name, weight in self.weights.items() if weight > 0}
        if not weights:
            raise ValueError("expected at least one task with a positive weight; got none")
        total = sum(weights.values())
        object.__setattr__(self, "_names", tuple(weights))
        object.__setattr__(self, "_edges", tuple(accumulate(weight / total for weight in weights.values())))

    def pick(self, seed: int, index: int) -> tuple[str, int]:
        """The task and record seed (0 <= seed < 2**48) of sample `index`: a pure function of both numbers."""
        digest = hashlib.blake2b(f"{int(seed)}/{int(index)}".encode(), digest_size=14).digest()
        roll = int.from_bytes(digest[:8], "little") / 2**64
        row = min(bisect_right(self._edges, roll), len(self._names) - 1)
        return self._names[row], int.from_bytes(digest[8:], "little")
