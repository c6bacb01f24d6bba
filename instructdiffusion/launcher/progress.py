"""What a run shows while it goes on: a bar on a terminal, a line a step elsewhere. All of it goes to stderr."""

from __future__ import annotations

import sys
import time
from typing import Any

from ..utils.terminal import printable

_WIDTH = 60


class Progress:
    """Statuses and one bar at a time; `close` ends the bar."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._live = sys.stderr.isatty()
        self._said = ""
        self._since = time.monotonic()

    def status(self, text: str) -> None:
        """A step of the run that is worth a line of its own."""
        self.close()
        self._line(text)

    def starting(self, text: str) -> None:
        """The server's newest line while it comes up."""
        if self._live:
            self._open(None)
            self._bar.set_postfix_str(_short(text), refresh=True)
        elif time.monotonic() - self._since > 5:
            self._line(f"  {_short(text)}")

    def executing(self, done: int, total: int, what: str, detail: str = "") -> None:
        """How many of the graph's nodes are done, what runs now, and how far that is."""
        text = f"{what} {detail}".rstrip()
        if self._live:
            self._open(total)
            self._bar.n = min(done, total)
            self._bar.set_postfix_str(_short(text), refresh=True)
        elif what != self._said or (detail and time.monotonic() - self._since > 2):
            self._line(f"  {done}/{total} {_short(text)}")
            self._said = what

    def tick(self) -> None:
        """Let the clock of the bar go on."""
        if self._bar is not None:
            self._bar.refresh()

    def close(self) -> None:
        """End the bar, so that what is printed next stands on a line of its own."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _line(self, text: str) -> None:
        self._since = time.monotonic()
        print(printable(text), file=sys.stderr, flush=True)

    def _open(self, total: int | None) -> None:
        if self._bar is None:
            from tqdm import tqdm

            form = (
                "{l_bar}{bar}| {n_fmt}/{total_fmt} nodes [{elapsed}{postfix}]"
                if total
                else "[{elapsed}{postfix}]"
            )
            self._bar = tqdm(total=total, bar_format=form, file=sys.stderr, leave=False, dynamic_ncols=True)


def _short(text: str) -> str:
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."
