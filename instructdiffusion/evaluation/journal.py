"""Journal: answers kept as they come, so that a run killed at any moment loses none and repeats none.

A folder with one file a writer, `<number>.jsonl`; a line is a CRC-32 in hex, a space, and a JSON object with its
"key". Lines are appended whole and brought to disk batch by batch. What a kill left half-written at the end of a
file is cut off when the file is opened again; a line damaged elsewhere is passed over and counted.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..utils.files import WriteError, write_json

Entry = dict[str, Any]


class Journal:
    """The entries of a folder. `writer` is the number of this process among those that write at once.

    settings: what the answers were made with. They go to settings.json; a folder made with others is refused
    (ValueError), so that answers of different making never mix.
    """

    def __init__(self, folder: str | Path, settings: dict[str, Any], writer: int = 0) -> None:
        self.folder = Path(folder)
        self.path = self.folder / f"{writer:04d}.jsonl"
        self.damaged = 0
        self._stream: Any = None
        plain = json.loads(json.dumps(settings))
        settings_file = self.folder / "settings.json"
        if settings_file.is_file():
            if _json(settings_file) != plain:
                raise ValueError(f"{self.folder} holds answers made with other settings: name another folder")
        elif writer == 0:
            write_json(settings_file, plain)

    def entries(self) -> dict[str, Entry]:
        """key -> entry of all files: the first answer to a key, or its last problem where there is no answer."""
        entries: dict[str, Entry] = {}
        self.damaged = 0
        for path in sorted(self.folder.glob("*.jsonl")):
            for entry in self._read(path):
                if "problem" in entries.get(entry["key"], entry) or entry["key"] not in entries:
                    entries[entry["key"]] = entry
        return entries

    def add(self, entries: Sequence[Entry]) -> None:
        """Append entries, each with its "key", and have them on disk; WriteError where that cannot be."""
        if not entries:
            return
        lines = b"".join(_line(entry) for entry in entries)
        try:
            if self._stream is None:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._mend()
                self._stream = open(self.path, "ab", buffering=0)
            view = memoryview(lines)
            while view:
                view = view[self._stream.write(view) :]
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise WriteError(
                error.errno, f"could not write {self.path}: {error.strerror or error}"
            ) from error

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the file go."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _mend(self) -> None:
        """Cut off what follows the last line end."""
        with contextlib.suppress(FileNotFoundError), open(self.path, "r+b") as stream:
            size = stream.seek(0, os.SEEK_END)
            end = size
            while end > 0:
                start = max(0, end - 65536)
                stream.seek(start)
                place = stream.read(end - start).rfind(b"\n")
                if place >= 0:
                    end = start + place + 1
                    break
                end = start
            if end < size:
                stream.truncate(end)

    def _read(self, path: Path) -> Iterator[Entry]:
        with open(path, "rb") as stream:
            for line in stream:
                entry = _entry(line)
                if entry is not None:
                    yield entry
                elif line.endswith(b"\n"):  # else it is the end that a kill cut off
                    self.damaged += 1


class Memory:
    """A journal that is kept nowhere: for runs without a folder."""

    damaged = 0

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def entries(self) -> dict[str, Entry]:
        """key -> entry."""
        return dict(self._entries)

    def add(self, entries: Sequence[Entry]) -> None:
        """Keep entries."""
        self._entries.update((entry["key"], entry) for entry in entries)

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is open."""


def _line(entry: Entry) -> bytes:
    text = json.dumps(entry, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _entry(line: bytes) -> Entry | None:
    """The entry of a line; None where it is not whole."""
    if not line.endswith(b"\n") or len(line) < 11 or line[8:9] != b" ":
        return None
    text = line[9:-1]
    try:
        if int(line[:8], 16) != zlib.crc32(text):
            return None
        entry = json.loads(text)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and isinstance(entry.get("key"), str) else None


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
