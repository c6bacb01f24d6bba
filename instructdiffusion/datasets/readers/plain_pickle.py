"""Pickles from the internet, read without running anything: plain containers, words and numbers only."""

from __future__ import annotations

import contextlib
import io
import pickle
import pickletools
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from ...utils.pickles import BoundedUnpickler
from .problems import Flaw

_PART = 1 << 18  # bytes of a pickled list that are read at once; more where more was pickled at once
_BLOCK = 1 << 20
_LONGEST = 1 << 16  # bytes of a line of a pickle

# Of the plain opcodes of the protocols 0 to 3: objects more on the stack. MARK and those up to it stand below.
_EFFECTS = {
    **dict.fromkeys(
        ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"), 1
    ),
    **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE"), 1),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "NONE", "NEWTRUE", "NEWFALSE"), 1),
    **dict.fromkeys(("EMPTY_LIST", "EMPTY_DICT", "EMPTY_TUPLE", "LIST", "DICT", "TUPLE"), 1),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), 1),
    **dict.fromkeys(
        ("PUT", "BINPUT", "LONG_BINPUT", "PROTO", "MARK", "STOP", "APPENDS", "SETITEMS", "TUPLE1"), 0
    ),
    **dict.fromkeys(("APPEND", "TUPLE2"), -1),
    **dict.fromkeys(("SETITEM", "TUPLE3"), -2),
}
_VALUE, _MARK, _CLOSE, _APPEND, _EXTEND, _PUT, _GET, _STOP = range(8)
_KINDS = {
    "MARK": _MARK,
    "STOP": _STOP,
    "APPEND": _APPEND,
    "APPENDS": _EXTEND,
    **dict.fromkeys(("LIST", "DICT", "TUPLE", "SETITEMS"), _CLOSE),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _PUT),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _GET),
}
# By code: what it does, objects more on the stack, and the bytes of its argument (below zero, as pickletools has it,
# for what ends with the line, and for bytes whose number comes first).
_CODES: list[tuple[int, int, int] | None] = [None] * 256
for _op in pickletools.opcodes:
    if _op.name in _EFFECTS:
        _CODES[ord(_op.code)] = _KINDS.get(_op.name, _VALUE), _EFFECTS[_op.name], _op.arg.n if _op.arg else 0
_WIDTHS = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
}


class _Plain:
    def find_class(self, module: str, name: str) -> Any:
        raise Flaw(f"the pickle asks for {module}.{name}: only lists, dicts, words and numbers are read")

    def persistent_load(self, number: Any) -> Any:
        raise Flaw(
            "the pickle refers to objects outside of it: only lists, dicts, words and numbers are read"
        )


class _Whole(_Plain, BoundedUnpickler):
    """A pickle of which nothing is known yet."""


class _Part(_Plain, pickle.Unpickler):
    """A piece of a pickle; `objects` are those before it that it refers back to, by number."""

    def __init__(self, data: bytes, objects: dict[int, Any]) -> None:
        known = b"".join(b"P%d\nr%b0" % (number, number.to_bytes(4, "little")) for number in objects)
        # Buffered, because the unpickler would else ask for every number and word by itself.
        stream = io.BufferedReader(io.BytesIO(known + data))
        super().__init__(stream, encoding="utf-8", errors="replace")
        self.objects = objects

    def persistent_load(self, number: Any) -> Any:
        return self.objects[int(number)]  # none but those asked for above: a piece has no such opcode


def load_plain(path: Path) -> Any:
    """What a pickle holds, of None, bool, int, float, str, bytes, list, tuple, dict and set.

    Flaw for anything else (nothing of it is run), and for a damaged file.
    """
    with open(path, "rb") as file, _naming_damage():
        # Python 2 wrote most of these files: its strings are bytes.
        return _Whole(io.BytesIO(file.read()), encoding="utf-8", errors="replace").load()


def plain_parts(path: Path) -> Iterator[Any]:
    """What `load_plain` gives, a list in parts, one after the other: a million elements then take no memory.

    What was written by protocol 4 or later, which numbers its objects without saying so, comes in one part, as does
    all that is no list. Flaw, before the first part where the file is cut off or holds anything but plain data.
    """
    bounds, referred = _outline(path)
    if not bounds:
        yield load_plain(path)
        return
    objects: dict[int, Any] = {}
    with open(path, "rb") as stream:
        for start, end in pairwise(bounds):
            data = (b"]" if start else b"") + stream.read(end - start) + b"."
            with _naming_damage():
                reader = _Part(data, objects)
                part = reader.load()
                objects = {number: value for number, value in reader.memo.copy().items() if number in referred}
            yield part


@contextlib.contextmanager
def _naming_damage() -> Iterator[None]:
    try:
        yield
    except (EOFError, pickle.UnpicklingError, MemoryError, RecursionError) as error:
        raise Flaw(f"the pickle is cut off or damaged: {error}") from None
    except (ValueError, KeyError, IndexError, AttributeError, TypeError, OverflowError) as error:
        if isinstance(error, Flaw):
            raise
        raise Flaw(f"the pickle is damaged: {error}") from None


def _outline(path: Path) -> tuple[list[int], set[int]]:
    """(where the parts of a pickled list begin and the last one ends, objects that a later part refers back to).

    No bounds for what cannot be parted: another protocol, no list, damaged, cut off, not plain.
    """
    bounds, referred = [0], set[int]()
    depth, height = 0, 0  # marks on the stack, and objects below the first of them
    top, first = 0, 0  # one more than the largest number of an object: so far, and where the part began
    end = -1  # of the last element of the list
    start, place, size = 0, 0, path.stat().st_size
    with open(path, "rb") as stream:
        data = stream.read(_BLOCK)
        while True:
            if len(data) - place < _LONGEST and start + len(data) < size:
                start += place
                stream.seek(start)
                data, place = stream.read(_BLOCK), 0
            known = _CODES[data[place]] if place < len(data) else None
            if known is None:
                return [], referred
            kind, effect, argument = known
            place += 1
            begun = place
            place = place + argument if argument >= 0 else _behind(data, place, argument)
            if kind == _MARK:
                depth += 1
            elif kind in (_CLOSE, _EXTEND):
                depth -= 1
            elif kind == _PUT:
                number = _number(data[begun:place], argument < 0)
                if number > start + place:  # the unpickler would make room for all below it
                    raise Flaw(f"the pickle is damaged: it numbers an object {number} after {start + place} bytes")
                top = max(top, number + 1)
            elif kind == _GET:
                number = _number(data[begun:place], argument < 0)
                if number >= top:
                    return [], referred
                if number < first:
                    referred.add(number)
            if place < begun or depth < 0:
                return [], referred
            if depth:
                continue
            height += effect
            if kind == _STOP:
                whole_list = height == 1 and end == start + place - 1
                return ([*bounds, end] if end > bounds[-1] else bounds) if whole_list else [], referred
            if kind in (_APPEND, _EXTEND) and height == 1:
                end = start + place
                if end - bounds[-1] >= _PART:
                    bounds.append(end)
                    first = top


def _behind(data: bytes, place: int, argument: int) -> int:
    """Where an argument ends that says so itself; 0 where it does not."""
    if argument == pickletools.UP_TO_NEWLINE:
        return data.find(b"\n", place) + 1
    width = _WIDTHS[argument]
    return place + width + int.from_bytes(data[place : place + width], "little")


def _number(argument: bytes, text: bool) -> int:
    """The number of an object, as digits or as bytes."""
    if text:
        return int(argument) if argument[:-1].isdigit() else 0
    return int.from_bytes(argument, "little")
