"""How many steps a run has taken, and how many it will: more, once it looks again where it found nothing."""

from __future__ import annotations


class StepCount:
    """Counts the rows of a plan as batches go through them.

    How many batches there are is a guess before the run: a question may be asked again at another scale, and a batch
    that memory is too small for comes again in halves. The total grows with the first row of a batch that it leaves no
    room for, so that it is never passed and, at the end, reached.
    """

    def __init__(self, rows: int, batches: int) -> None:
        """rows: of the plan; batches: what is known of (or pictures, where each counts)."""
        self.rows, self.total, self.done = rows, rows * batches, 0

    def step(self, row: int, count: int = 1) -> None:
        """Count a row of a batch.

        Args:
            row: Its number within the plan; 0 begins a batch.
            count: What a row of this batch counts for.
        """
        if row == 0:
            self.total = max(self.total, self.done + self.rows * count)
        self.done += count
        self.total = max(self.total, self.done)

    def place(self, done: int, batches: int) -> None:
        """Say anew how many batches are done, and how many there are."""
        self.done, self.total = self.rows * done, self.rows * batches
