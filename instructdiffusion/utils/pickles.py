"""An unpickler whose memory and time are bounded by what it reads: Python's own, in Python, less what is not.

The faster one in C makes room for every number below that of an object, so that nine bytes take gigabytes; both make
room for a bytearray as long as it says it is, and hash tuples within tuples anew at every level.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from typing import Any


def _refuse(unpickler: Any) -> None:
    raise pickle.UnpicklingError("it holds a bytearray, or another thing that no such file holds")


def _with_flat_keys(opcode: bytes, first: int, step: int) -> Callable[[Any], None]:
    """The unpickler's own method for an opcode that hashes, once what is to be hashed holds no tuples of tuples.

    first, step: which of the objects since the last mark are hashed (0: the object below the top alone).
    """
    own: Callable[[Any], None] = pickle._Unpickler.dispatch[opcode[0]]  # type: ignore[attr-defined]

    def load(unpickler: Any) -> None:
        stack = unpickler.stack
        for key in stack[first::step] if step else stack[-2:-1]:
            if isinstance(key, (tuple, frozenset)) and any(isinstance(each, (tuple, frozenset)) for each in key):
                raise pickle.UnpicklingError("it names things by tuples within tuples")
        own(unpickler)

    return load


class BoundedUnpickler(pickle._Unpickler):  # type: ignore[name-defined, misc]
    """A pure-Python unpickler; `find_class` says what may be named, nothing unless a subclass does."""

    dispatch = {
        **pickle._Unpickler.dispatch,  # type: ignore[attr-defined]
        pickle.BYTEARRAY8[0]: _refuse,
        pickle.SETITEM[0]: _with_flat_keys(pickle.SETITEM, 0, 0),
        pickle.SETITEMS[0]: _with_flat_keys(pickle.SETITEMS, 0, 2),
        pickle.DICT[0]: _with_flat_keys(pickle.DICT, 0, 2),
        pickle.ADDITEMS[0]: _with_flat_keys(pickle.ADDITEMS, 0, 1),
        pickle.FROZENSET[0]: _with_flat_keys(pickle.FROZENSET, 0, 1),
    }

    def load(self) -> Any:
        """Read one pickle; UnpicklingError and EOFError for what is cut off, and what Python raises for damage."""
        try:
            return super().load()
        except (struct.error, AssertionError) as error:
            raise pickle.UnpicklingError(f"it is cut off or damaged ({error})") from None

    def find_class(self, module: str, name: str) -> Any:
        """Refuse every name."""
        raise pickle.UnpicklingError(f"it names {module}.{name}")
