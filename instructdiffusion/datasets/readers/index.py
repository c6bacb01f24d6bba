"""Indices on disk: one row a record in a memory-mapped file, remade when the dataset's files change.

An index is a folder with `rows.bin` (the rows, JSON, one after the other), `offsets.npy` (where each starts),
`folders.bin` and `stamps.npy` (the folders of pictures that were looked into, and when they had changed) and
`index.json` (what it was made from, what was found broken). Rows are decoded when asked for, so a million
records cost no Python objects, and processes that map the same file share its pages.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...utils.files import clear_leftovers, json_bytes, whole_folder
from .problems import BrokenRecord, Flaw, Problem, inside, relative

FORMAT = 3
_ARCHIVES = (".zip", ".parquet", ".mat")
_TICK = 2_000_000_000  # nanoseconds: file systems tell no changes apart that follow faster than their clock
_TRIES = 50  # looks at an index that is not there, a second in all: a folder is exchanged in two renames
_KEPT = 256  # folder listings held while an index is made, those last asked for
_BLOCK = 1 << 20


def cache_folder() -> Path:
    """Where indices go: $INSTRUCTDIFFUSION_CACHE, or the user's cache folder."""
    chosen = os.environ.get("INSTRUCTDIFFUSION_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "instructdiffusion" / "datasets"


class Rows:
    """The rows of an index, read where they lie; pickles as a path, so workers map the same file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open()

    def _open(self) -> None:
        self._offsets = np.load(self.folder / "offsets.npy", mmap_mode="r")
        size = int(self._offsets[-1])
        # An empty file cannot be mapped.
        self._data: Any = (
            np.memmap(self.folder / "rows.bin", np.uint8, "r") if size else np.zeros(0, np.uint8)
        )
        if len(self._data) != size:
            raise ValueError(f"{self.folder} is damaged: {len(self._data)} bytes of {size}; delete it")

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.folder = state["folder"]
        self._open()

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} asked for, {len(self)} there")
        start, end = self._offsets[index % len(self)], self._offsets[index % len(self) + 1]
        row: dict[str, Any] = json.loads(self._data[start:end].tobytes())
        return row

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[i] for i in range(len(self)))


class Builder:
    """What a reader writes its index with: rows, problems, and looks at the folders of pictures."""

    def __init__(self, root: Path, folder: Path, scratch: Path, on_broken: str) -> None:
        self.root = root
        self.folder = folder
        self.scratch = scratch  # for what is too large to be held while the index is made
        self.on_broken = on_broken
        self.problems: list[Problem] = []
        self.left_out: Counter[str] = Counter()
        self.remarks: Counter[str] = Counter()
        self.notes: dict[str, Any] = {}
        self._stream = open(folder / "rows.bin", "wb")
        self._offsets = array("q", [0])
        self._listings: dict[str, frozenset[str]] = {}
        self._folders = open(folder / "folders.bin", "wb")
        self._stamps = array("q")

    def add(self, **row: Any) -> None:
        """One record: plain data, with at least `id`. Flaw for numbers that are not finite."""
        try:
            data = json.dumps(row, allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode()
        except ValueError as error:
            raise Flaw(f"has numbers that are not finite ({error})") from None
        self._stream.write(data)
        self._offsets.append(self._offsets[-1] + len(data))

    def problem(self, file: Path | str, record: Any, reason: Any) -> None:
        """Name what is broken; BrokenRecord where the policy is to stop at the first."""
        name = relative(file, self.root) if isinstance(file, Path) else file
        problem = Problem(name, str(record), str(reason))
        if self.on_broken == "raise":
            raise BrokenRecord(problem)
        self.problems.append(problem)

    @contextlib.contextmanager
    def guard(self, file: Path | str, record: Any) -> Iterator[None]:
        """What goes wrong within is a problem of this record, and the next one follows."""
        try:
            yield
        except BrokenRecord:
            raise
        except Flaw as error:
            self.problem(getattr(error, "file", file), record, error)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
            self.problem(file, record, f"{type(error).__name__}: {error}")

    @property
    def count(self) -> int:
        """Rows written so far."""
        return len(self._offsets) - 1

    def leave_out(self, why: str, count: int = 1) -> None:
        """Count what is no record by the dataset's own rules (a crowd, a person without labelled joints)."""
        self.left_out[why] += count

    def remark(self, what: str, count: int = 1) -> None:
        """Count what is read otherwise than the file says it, and is right (a size that is swapped, a stub)."""
        if count:
            self.remarks[what] += count

    def picture(self, folder: Path, name: Any) -> str:
        """The path, relative to the root, of a picture `name` below `folder`; Flaw where it is not there."""
        path = folder / inside(name)
        if not self.exists(path):
            raise Flaw(f"the picture {relative(path, self.root)} is missing")
        return relative(path, self.root)

    def exists(self, path: Path) -> bool:
        """Whether there is a file (its folder is listed once)."""
        return path.name in self.listing(path.parent)

    def listing(self, folder: Path) -> frozenset[str]:
        """Names in a folder, none where there is none."""
        key = os.fspath(folder)
        if key in self._listings:
            self._listings[key] = self._listings.pop(key)
        else:
            if len(self._listings) >= _KEPT:
                self._listings.pop(next(iter(self._listings)))
            try:
                stamp, names = os.stat(key).st_mtime_ns, frozenset(os.listdir(key))
            except OSError:
                stamp, names = 0, frozenset()
            self._listings[key] = names
            # Every one is watched: a file that comes or goes changes the time of its own folder and of no other.
            self._folders.write(os.fsencode(key) + b"\0")
            self._stamps.extend((stamp, _names_digest(names)))
        return self._listings[key]

    def names(self, folder: Path, *suffixes: str) -> list[str]:
        """Names in a folder in order, hidden ones left out, with one of the endings where any are given."""
        names = [n for n in self.listing(folder) if not n.startswith(".")]
        return sorted(n for n in names if not suffixes or n.lower().endswith(suffixes))

    def finish(self) -> None:
        """Close the files of the rows and folders."""
        self._stream.close()
        self._folders.close()

    def describe(self, files: list[list[Any]], started: int) -> None:
        """Write the rest of the index: offsets, what it was made from, what is broken."""
        np.save(self.folder / "offsets.npy", np.frombuffer(self._offsets, np.int64))
        np.save(self.folder / "stamps.npy", np.array(self._stamps, np.int64).reshape(-1, 2))
        made = {
            "format": FORMAT,
            "root": os.fspath(self.root),
            "started": started,
            "files": files,
            "problems": [[p.file, p.record, p.reason] for p in self.problems],
            "left_out": dict(self.left_out),
            "remarks": dict(self.remarks),
            "notes": self.notes,
        }
        (self.folder / "index.json").write_bytes(json_bytes(made))


class Index:
    """An index that is there: `rows`, `problems`, `left_out`, `remarks`, `notes`; fresh: whether it was just made."""

    def __init__(self, folder: Path, fresh: bool = False) -> None:
        self.folder = folder
        made, self.rows = _read(folder)
        self.problems = [Problem(*entry) for entry in made["problems"]]
        self.left_out = Counter(made["left_out"])
        self.remarks = Counter(made["remarks"])
        self.notes: dict[str, Any] = made["notes"]
        self.fresh = fresh

    def __reduce__(self) -> tuple[Any, ...]:
        return Index, (self.folder,)  # a worker reads it again rather than being sent it


def _read(folder: Path) -> tuple[dict[str, Any], Rows]:
    """What an index was made from, and its rows; waits where another process is just putting its own in its place."""
    for _ in range(_TRIES):
        with contextlib.suppress(FileNotFoundError):
            return json.loads((folder / "index.json").read_bytes()), Rows(folder)
        time.sleep(0.02)
    return json.loads((folder / "index.json").read_bytes()), Rows(folder)


class _MadeMeanwhile(Exception):
    """The index that was being made is there now, made by another process."""


def open_index(
    root: Path,
    name: str,
    files: list[Path],
    build: Callable[[Builder], None],
    *,
    cache: Path | None = None,
    on_broken: str = "skip",
    remake: bool = False,
) -> Index:
    """The index called `name` of the dataset in `root`: from the cache where it still holds, else made.

    It holds while the annotation `files` are the same (by size and times, or else by their hash) and no
    folder of pictures that was looked into has changed. OSError where the cache cannot be written.
    """
    key = hashlib.blake2b(os.fspath(root.resolve()).encode(), digest_size=6).hexdigest()
    folder = (cache or cache_folder()) / f"{name}-{key}"
    if not remake and _holds(folder, root, files):
        index = Index(folder, fresh=False)
        if on_broken == "raise" and index.problems:
            raise BrokenRecord(index.problems[0])
        return index
    folder.parent.mkdir(parents=True, exist_ok=True)
    clear_leftovers(folder.parent)
    started = time.time_ns()
    stamps = [_stamp(path) for path in files]  # before reading: a change meanwhile then shows
    with contextlib.suppress(_MadeMeanwhile), whole_folder(folder) as temporary:
        with tempfile.TemporaryDirectory(prefix=".scratch-", dir=folder.parent) as scratch:
            builder = Builder(root, temporary, Path(scratch), on_broken)
            try:
                build(builder)
            finally:
                builder.finish()
            builder.describe(stamps, started)
        if not remake and _holds(folder, root, files):
            raise _MadeMeanwhile  # by a process beside this one, which reads it already: let it lie
    return Index(folder, fresh=True)


def _stamp(path: Path) -> list[Any]:
    stat = path.stat()
    if not path.is_file():
        raise OSError(f"{path} is no file, but a pipe, device or folder: put the data set's file there")
    # The time of the last change of the inode is among them: it cannot be set back.
    return [os.fspath(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, _digest(path)]


def _digest(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as stream:
        if path.suffix in _ARCHIVES:  # hundreds of gigabytes; what they hold is listed at the end
            digest.update(stream.read(1 << 16))
            stream.seek(max(0, path.stat().st_size - (1 << 20)))
            digest.update(stream.read())
            return digest.hexdigest()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _watched(folder: Path) -> Iterator[tuple[bytes, int, int]]:
    """(folder of pictures, time of its last change or 0, digest of its names) of an index; ValueError if damaged."""
    stamps = np.load(folder / "stamps.npy")
    place, rest = 0, b""
    with open(folder / "folders.bin", "rb") as stream:
        while block := stream.read(_BLOCK):
            *names, rest = (rest + block).split(b"\0")
            if place + len(names) > len(stamps):
                break
            for name, (stamp, digest) in zip(names, stamps[place : place + len(names)].tolist(), strict=True):
                yield name, stamp, digest
            place += len(names)
    if rest or place != len(stamps):
        raise ValueError(f"{folder} is damaged: its folders are {place} of {len(stamps)}")


def _names_digest(names: Iterable[str]) -> int:
    return zlib.crc32("\0".join(sorted(names)).encode(errors="surrogateescape"))


def _holds(folder: Path, root: Path, files: list[Path]) -> bool:
    try:
        made = json.loads((folder / "index.json").read_bytes())
        if made["format"] != FORMAT or made["root"] != os.fspath(root):
            return False
        if [entry[0] for entry in made["files"]] != [os.fspath(path) for path in files]:
            return False
        for path, entry in zip(files, made["files"], strict=True):
            stat = path.stat()
            settled = made["started"] - max(stat.st_mtime_ns, stat.st_ctime_ns) > _TICK
            if settled and [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns] == entry[1:4]:
                continue
            if stat.st_size != entry[1] or _digest(path) != entry[4]:
                return False
        for name, stamp, digest in _watched(folder):
            try:
                now = os.stat(name).st_mtime_ns
                settled = made["started"] - now > _TICK
                if now != stamp or not settled and _names_digest(os.listdir(os.fsdecode(name))) != digest:
                    return False
            except OSError:
                if stamp:
                    return False
        Rows(folder)
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return False
    return True
