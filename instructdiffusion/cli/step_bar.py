"""The bar that counts the steps of one picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..utils.step_count import StepCount


@contextmanager
def step_bar(rows: int) -> Iterator[dict[str, Any]]:
    """Show a bar while a picture is answered.

    Args:
        rows: What the plan takes for a picture, or for each of its tiles.

    Yields:
        Options of `InstructDiffusion.run`, which move the bar.
    """
    from tqdm import tqdm

    count = StepCount(rows, 1)
    with tqdm(total=count.total, unit="step", leave=False) as bar:

        def show() -> None:
            bar.total, bar.n = count.total, count.done
            bar.refresh()

        def on_step(row: int, x: Any, _: Any) -> None:
            count.step(row, len(x))  # x holds the pictures or tiles that go through at once
            show()

        def on_tile(done: int, tiles: int) -> None:
            count.place(done, tiles)
            show()

        yield {"on_step": on_step, "on_tile": on_tile}
