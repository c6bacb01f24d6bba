"""Spool: values set aside on disk while an index is made, so that a million of them take no memory."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Spool:
    """Plain values one after the other in a scratch file, fetched by their number; gone after the `with`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offsets = array("q", [0])
        self._writing, self._reading = open(path, "wb"), open(path, "rb")

    def add(self, value: Any) -> None:
        """Set one aside; it comes back as JSON has it (a tuple as a list)."""
        data = json.dumps(value).encode()
        self._writing.write(data)
        self._offsets.append(self._offsets[-1] + len(data))

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, number: int) -> Any:
        self._writing.flush()
        self._reading.seek(self._offsets[number])
        return json.loads(self._reading.read(self._offsets[number + 1] - self._offsets[number]))

    def __iter__(self) -> Iterator[Any]:
        return (self[number] for number in range(len(self)))

    def close(self) -> None:
        """Let the scratch file go."""
        self._writing.close()
        self._reading.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()
