"""MATLAB files (version 5): looked over before scipy reads them, so that a small file cannot take the machine.

scipy's reader is compiled and follows what a file nests without a limit: a deep one ends the process, and a small
compressed one may hold any number of gigabytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .problems import Flaw

LARGEST = 1 << 30  # bytes inflated: SIDD's blocks are 252 MB, MPII's annotations well below
MOST = 5_000_000  # arrays within arrays, some 400 bytes each when read: MPII has about two and a half million
DEEPEST = 32
_HEAD = 128
_BLOCK = 1 << 20
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = frozenset(range(4, 16))  # kinds of arrays that hold none: words, sparse and full numbers


def load_mat(path: Path, name: str) -> np.ndarray:
    """One array of numbers of a MATLAB file (version 5); Flaw."""
    values = load_variable(path, name)
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "uif":
        raise Flaw(f"the MATLAB file has no numbers called {name}")
    return values


def load_variable(path: Path, name: str) -> Any:
    """What a MATLAB file (version 5) calls `name`, as scipy has it; None where there is no such variable, Flaw."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    check_mat(path)
    try:
        return loadmat(path, variable_names=[name]).get(name)
    except NotImplementedError:
        raise Flaw("a MATLAB 7.3 file: expected version 5") from None
    except (
        *(MatReadError, OSError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError),
        *(OverflowError, MemoryError, zlib.error),
    ) as error:
        raise Flaw(f"the MATLAB file is cut off or damaged: {error}") from None


def check_mat(path: Path) -> None:
    """Flaw for a MATLAB file that is of another version, damaged, or more than `LARGEST`, `MOST` or `DEEPEST`."""
    if not path.is_file():
        raise Flaw("the MATLAB file is missing, or no file")  # a pipe would be waited for
    size = path.stat().st_size
    with open(path, "rb") as stream:
        head = stream.read(_HEAD)
        if len(head) < _HEAD or head[126:128] not in (b"IM", b"MI"):
            raise Flaw("the MATLAB file is cut off or damaged: it has no head")
        order = "<" if head[126:128] == b"IM" else ">"
        major = head[125] if order == "<" else head[124]
        if major == 2:
            raise Flaw("a MATLAB 7.3 file: expected version 5")
        walk = _Walk(order)
        while (start := stream.tell()) < size:
            tag = np.frombuffer(stream.read(8).ljust(8, b"\0"), f"{order}u4")
            kind, length = int(tag[0]), int(tag[1])
            end = start + 8 + length
            if end > size:
                raise Flaw("the MATLAB file is cut off or damaged: it ends within a variable")
            if kind != _COMPRESSED:
                stream.seek(start)
            walk.begin()
            for part in _inflated(stream, length) if kind == _COMPRESSED else _blocks(stream, 8 + length):
                walk.on(part)
            stream.seek(end)


def _blocks(stream: Any, length: int) -> Iterator[bytes]:
    """`length` bytes of the stream, a block at a time."""
    while length > 0 and (block := stream.read(min(_BLOCK, length))):
        length -= len(block)
        yield block


def _inflated(stream: Any, length: int) -> Iterator[bytes]:
    """The bytes that `length` compressed ones give, a block at a time."""
    inflate = zlib.decompressobj()
    try:
        for block in _blocks(stream, length):
            while block and not inflate.eof:
                yield inflate.decompress(block, _BLOCK)
                block = inflate.unconsumed_tail
    except zlib.error as error:
        raise Flaw(f"the MATLAB file is cut off or damaged: {error}") from None


class _Walk:
    """Steps over the arrays of a file, block by block, and counts what lies within them.

    Every array begins with a word of eight bytes that says so, and another that says what it holds. Where that is
    numbers, no array lies in it, whatever its numbers look like.
    """

    def __init__(self, order: str) -> None:
        self.order = order
        self.bulk = self.count = 0
        self.begin()

    def begin(self) -> None:
        """A new variable begins."""
        self.place, self.rest, self.skip = 0, b"", 0
        self.ends = [1 << 62]  # of the arrays that a place lies in, the innermost last

    def on(self, part: bytes) -> None:
        """Step over the next bytes of the variable; Flaw where there is too much, or too deep."""
        self.bulk += len(part)
        if self.bulk > LARGEST:
            raise Flaw(f"the MATLAB file holds more than {LARGEST} bytes")
        data = self.rest + part
        tail = max(0, len(data) // 8 * 8 - 16)  # the last array's kind may lie in the next part
        words = np.frombuffer(data[: tail + 16 if tail else 0], f"{self.order}u4").reshape(-1, 2)
        starts = np.flatnonzero(words[: tail // 8, 0] == _MATRIX)
        kinds = words[starts + 2, 0] & 255
        for row, length, kind in zip(
            starts.tolist(), words[starts, 1].tolist(), kinds.tolist(), strict=True
        ):
            self._array(self.place + row * 8, length, kind)
        self.place, self.rest = self.place + tail, data[tail:]

    def _array(self, start: int, length: int, kind: int) -> None:
        if start < self.skip:
            return
        self.count += 1
        if self.count > MOST:
            raise Flaw(f"the MATLAB file holds more than {MOST} arrays")
        while start >= self.ends[-1]:
            self.ends.pop()
        self.ends.append(start + 8 + length)
        if len(self.ends) > DEEPEST + 1:
            raise Flaw(f"the MATLAB file nests arrays deeper than {DEEPEST}")
        if length and kind in _NUMBERS:
            self.skip = start + 8 + length
