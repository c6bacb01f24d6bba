"""Files by the million, and large JSON piece by piece."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

HEIGHT, WIDTH = 480, 640
_LINKS = 30_000  # to one file: a file system takes no more than some


def touch(folder: Path, names: Iterable[str]) -> None:
    """Empty files."""
    folder.mkdir(parents=True, exist_ok=True)
    place = os.open(folder, os.O_RDONLY)
    try:
        for name in names:
            os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=place))
    finally:
        os.close(place)


def link(folder: Path, names: Iterable[str]) -> None:
    """Links to one small picture."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    first = ""
    for number, name in enumerate(names):
        if number % _LINKS == 0:
            first = str(folder / name)
            Image.new("RGB", (WIDTH, HEIGHT)).save(first, quality=20)
        else:
            os.link(first, folder / name)


def put(path: Path, text: Iterable[str]) -> None:
    """A text file, piece by piece."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as stream:
        stream.writelines(text)


def listed(entries: Iterable[Any], opening: str = "[", closing: str = "]") -> Iterator[str]:
    """The pieces of a JSON list."""
    yield opening
    for number, entry in enumerate(entries):
        yield (", " if number else "") + (entry if isinstance(entry, str) else json.dumps(entry))
    yield closing


def tables(**lists: Iterable[Any]) -> Iterator[str]:
    """The pieces of a JSON object of lists."""
    yield "{"
    for number, (key, entries) in enumerate(lists.items()):
        yield from listed(entries, f'{", " * bool(number)}"{key}": [')
    yield "}"


def jpegs(count: int) -> Iterator[str]:
    """Names as COCO has them."""
    return (f"{number:012d}.jpg" for number in range(count))
