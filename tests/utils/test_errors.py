"""What an error says in a line, wherever it is passed on."""

from __future__ import annotations

import pytest

from instructdiffusion.utils.batching import in_batches
from instructdiffusion.utils.errors import first_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("too large"), "too large"),
        (RuntimeError("\n out of memory.\nTried to allocate"), "out of memory."),
        (MemoryError(), "MemoryError"),
        (OSError(" \n"), "OSError"),
        (ValueError("x" * 999), "x" * 200),
    ],
)
def test_the_first_line(error, line):
    assert first_line(error) == line


def test_a_long_tale_of_memory_is_cut():
    def full(batch):
        raise MemoryError("out of memory: " + "x" * 999)

    with pytest.raises(MemoryError) as refused:
        list(in_batches([1], 1, full))
    assert "(out of memory: x" in str(refused.value) and len(str(refused.value)) < 350
