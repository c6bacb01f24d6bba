"""Skipped: the records that a run could not read and went on without, and what its end says of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..datasets.sources import by_source

_FIRST = 3  # names a dataset


def skipped_records(pool: Any) -> list[tuple[str, str]]:
    """(source, what is wrong) of the records that a `Pool` lacks: those its sources' indices name, then those that
    could not be read when their turn came, as often as that was. A run that goes on gives the same ones again."""
    opened = pool.sources.opened if pool.sources else ()
    return [*(problem for source in opened for problem in source.indexed()), *pool.broken]


def summary(skipped: Iterable[tuple[str, str]]) -> list[str]:
    """A line a source: how many records were skipped, and the first of them by name."""
    lines = []
    for label, texts in by_source((label, text.splitlines()[0]) for label, text in skipped).items():
        count, first = len(texts), list(texts)[:_FIRST]
        more = [f"{count - _FIRST} more"] if count > _FIRST else []
        lines.append(
            f"{label}: {count} broken record{'s were' if count > 1 else ' was'} skipped: "
            + "; ".join(first + more)
        )
    return lines
