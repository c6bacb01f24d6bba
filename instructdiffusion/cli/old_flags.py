"""Flags by their old names, accepted for one more release with a warning."""

from __future__ import annotations

import argparse
import sys
from typing import Any


class OldFlag(argparse.Action):
    """Stores a value as the flag of the new name does, and says so.

    Args:
        option_strings, dest: As argparse gives them.
        new: The flag's name now, as "--upscale".
        more: As for `add_argument`.
    """

    def __init__(self, option_strings: Any, dest: str, new: str, **more: Any) -> None:
        super().__init__(option_strings, dest, default=argparse.SUPPRESS, help=argparse.SUPPRESS, **more)
        self.new = new

    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        """Store the value."""
        print(f"note: {option_string} is now called {self.new}: say that", file=sys.stderr)
        setattr(namespace, self.dest, values)
