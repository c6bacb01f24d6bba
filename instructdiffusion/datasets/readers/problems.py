"""Problems: what is wrong with a dataset on disk, named by file and record, so that nothing is dropped silently."""

from __future__ import annotations

import contextlib
import math
import os
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POLICIES = ("skip", "raise")
LARGEST = 1e12  # beyond it a coordinate or an area is a fault, and arithmetic with it may overflow


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the file (relative to the dataset's folder), the record in it, and why."""

    file: str
    record: str
    reason: str

    def __str__(self) -> str:
        place = f"{self.file}, {self.record}" if self.record else self.file
        return f"{place}: {self.reason}"


class BrokenRecord(ValueError):
    """A record that cannot be used; `problem` says which and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problem,)


class LayoutMissing(FileNotFoundError):
    """A folder that is not laid out as any known form of the dataset; the message names what to download."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class LayoutIncomplete(LayoutMissing):
    """A split of which something is there (`found`), and something else that it needs is not."""

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.found = path

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.found)


class Flaw(ValueError):
    """What is wrong with a piece of an annotation; the caller knows the file and the record."""


def regular(path: Path) -> Path:
    """The path of a file that can be read to its end; Flaw for a pipe or device, which would be waited for."""
    if path.exists() and not path.is_file():
        raise Flaw("no file, but a pipe, device or folder")
    return path


def inside(path: Any) -> str:
    """`path` with forward slashes, made plain; Flaw unless it is a relative path that stays below its folder.

    Links that lie in the dataset's folder are followed: people keep pictures on other disks.
    """
    if not isinstance(path, str) or not path.strip() or "\0" in path:
        raise Flaw(f"expected the path of a file, got {path!r}")
    plain = posixpath.normpath(path.replace("\\", "/"))
    if plain.startswith(("/", "../")) or plain in ("..", ".") or plain[1:2] == ":":
        raise Flaw(f"the path {path!r} leaves the dataset's folder: it is not followed")
    return plain


def number(value: Any, what: str) -> float:
    """`value` as a finite float; Flaw otherwise."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Flaw(f"{what} is {value!r}: expected a number")
    try:
        finite = math.isfinite(value)
    except OverflowError:  # an int of hundreds of digits
        finite = False
    if not finite:
        raise Flaw(f"{what} is {value}: expected a finite number")
    if abs(value) > LARGEST:
        raise Flaw(f"{what} is {value:.3g}: expected a number of at most {LARGEST:.0e}")
    return float(value)


def whole(value: Any, what: str) -> int:
    """`value` as an int (a numeric string counts, as some annotations write ids so); Flaw otherwise."""
    if isinstance(value, str) and value.strip().lstrip("-").isdecimal():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 62:
        return value
    value_read = number(value, what)
    if value_read != int(value_read):
        raise Flaw(f"{what} is {value!r}: expected a whole number")
    return int(value_read)


def text(value: Any, what: str) -> str:
    """`value` as words with single spaces; Flaw where there are none."""
    if not isinstance(value, str) or not value.strip():
        raise Flaw(f"{what} is {value!r}: expected words")
    return " ".join(value.split())


def member(data: Any, key: str) -> Any:
    """data[key]; Flaw where `data` is no mapping or lacks it."""
    if not isinstance(data, Mapping):
        raise Flaw(f"expected an object with {key!r}, got {type(data).__name__}")
    if key not in data:
        raise Flaw(f"{key!r} is missing")
    return data[key]


def xywh_box(box: Any, size: tuple[int, int] | None = None) -> list[float]:
    """[x1, y1, x2, y2] of a box [x, y, width, height], clipped to `size` (height, width) where given.

    Flaw for fewer numbers, numbers that are not finite, sides of zero or less, and boxes beside the picture.
    """
    if not isinstance(box, (list, tuple)) or len(box) != 4:
        raise Flaw(f"the box is {box!r}: expected [x, y, width, height]")
    x, y, w, h = (number(v, "a number of the box") for v in box)
    if w <= 0 or h <= 0:
        raise Flaw(f"the box {list(box)} has no area")
    x1, y1, x2, y2 = x, y, x + w, y + h
    if size is not None:
        x1, x2 = max(0.0, x1), min(float(size[1]), x2)
        y1, y2 = max(0.0, y1), min(float(size[0]), y2)
        if x2 <= x1 or y2 <= y1:
            raise Flaw(f"the box {list(box)} lies beside the picture of {size[1]}x{size[0]}")
    return [x1, y1, x2, y2]


def relative(path: Path, root: Path) -> str:
    """`path` as seen from `root`, with forward slashes: "../" where it lies beside it, as it is where elsewhere."""
    for start, up in ((root, ""), (root.parent, "../")):
        with contextlib.suppress(ValueError):
            return up + path.relative_to(start).as_posix()
    return os.fspath(path)


def named(root: Path, name: str) -> Path:
    """The file of a name that `relative` gave; beside `root` is where its path says, also where that is a link."""
    return root.parent / name[3:] if name.startswith("../") else root / name
