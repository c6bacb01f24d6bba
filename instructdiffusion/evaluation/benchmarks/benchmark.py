"""What the benchmarks of datasets share: a reader's records, questions named by record, noise seeded by name."""

from __future__ import annotations

import hashlib
import json
import random
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np

from ...datasets.readers import Reader
from ...datasets.records import Example, Record, join
from ...tasks import get_task
from ..evaluator import Case
from ..measures import Figure, Row


class ReaderBenchmark(ABC):
    """A benchmark on the records of a reader; `name` is the benchmark's (one reader may serve several)."""

    task: str

    def __init__(self, name: str, reader: Reader) -> None:
        self.name, self.reader, self.split = name, reader, reader.split

    @abstractmethod
    def cases(self, unit: int) -> Sequence[Case]:
        """The questions about record `unit`; BrokenRecord."""

    @abstractmethod
    def row(self, case: Case, example: Example, answer: Any, bound: np.ndarray | None) -> Row:
        """An answer as JSON data."""

    @abstractmethod
    def figures(self, rows: Sequence[Row]) -> list[Figure]:
        """The figures of many answers, the one to compare by first."""

    @abstractmethod
    def cell(self, figures: Sequence[Figure]) -> str:
        """What stands in the paper's table; "-" where nothing was measured."""

    def options(self) -> dict[str, Any]:
        """What changes questions or rows, as plain data: answers made with other options are other answers."""
        return {}

    def notes(self, rows: Sequence[Row]) -> dict[str, Any]:
        """What there is to say about how the figures came about, as plain data."""
        return {}

    def __len__(self) -> int:
        return len(self.reader)

    def chosen(self, count: int | None) -> list[int]:
        """The numbers of `count` records (None: all), in order; fewer are always among more.

        Drawn by a fixed shuffle: the first records of a dataset are often alike.
        """
        order = list(range(len(self)))
        if count is None or count >= len(order):
            return order
        random.Random(f"{self.name} {self.split}").shuffle(order)
        return sorted(order[:count])

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (first 16 hex digits) of dataset and all rows of its index: what the questions are about."""
        digest = hashlib.sha256(self.reader.name.encode())
        for row in self.reader.rows:
            digest.update(json.dumps(row, sort_keys=True).encode())
        return digest.hexdigest()[:16]

    def record_name(self, unit: int) -> str:
        """The name of a record in its annotation file."""
        return str(self.reader.rows[unit]["id"])

    def case(self, unit: int, what: str, record: Callable[[], Record]) -> Case:
        """The question `what` about record `unit`; its words, colours and noise follow from its name."""
        name = self.record_name(unit)
        key = f"{name}/{what}" if what else name
        return Case(zlib.crc32(key.encode()), self.split, partial(self._example, record, key), key)

    def _example(self, record: Callable[[], Record], key: str) -> Example:
        return join(record(), get_task(self.task), random.Random(f"{self.name} {key} words"))


def value(figures: Sequence[Figure], metric: str) -> float:
    """The value of a metric among figures; NaN where it is not there."""
    return next((f.value for f in figures if f.metric == metric), float("nan"))


def percent(number: float, digits: int) -> str:
    """A share as the paper prints it, 71.2; "-" for NaN."""
    return "-" if np.isnan(number) else f"{100 * number:.{digits}f}"
