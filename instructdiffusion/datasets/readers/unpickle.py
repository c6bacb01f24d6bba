"""Pickles from the internet, read without running anything: plain containers, words and numbers only."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from .problems import Flaw


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise Flaw(f"the pickle asks for {module}.{name}: only lists, dicts, words and numbers are read")

    def persistent_load(self, number: Any) -> Any:
        raise Flaw(
            "the pickle refers to objects outside of it: only lists, dicts, words and numbers are read"
        )


def load_plain(path: Path) -> Any:
    """What a pickle holds, of None, bool, int, float, str, bytes, list, tuple, dict and set.

    Flaw for anything else (nothing of it is run), and for a damaged file.
    """
    with open(path, "rb") as stream:
        try:
            # Python 2 wrote most of these files: its strings are bytes.
            return _Plain(stream, encoding="utf-8", errors="replace").load()
        except (EOFError, pickle.UnpicklingError, MemoryError) as error:
            raise Flaw(f"the pickle is cut off or damaged: {error}") from None
        except (ValueError, KeyError, IndexError, AttributeError, TypeError, OverflowError) as error:
            if isinstance(error, Flaw):
                raise
            raise Flaw(f"the pickle is damaged: {error}") from None
