"""The pictures that a command answers for: which they are, what their answers are called, and reading them ahead."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

import numpy as np

LONGEST_STEM = 224  # bytes: a file has at most 255, of which "_dewatermark_overlay.png" is a part
PIXELS = 2**24  # of the pictures of one batch, unless a single one has more


class Loaded(NamedTuple):
    """A picture that was read: its file, what its answer is called, and its pixels or what is wrong with it."""

    path: Path
    stem: str
    image: np.ndarray | Exception


def check_apart(picture: Path, output: Path) -> None:
    """ValueError where answers would lie among the pictures: `a_segment.png` may be one of those."""
    folder = picture if picture.is_dir() else picture.parent
    if folder.resolve() == output.resolve():
        raise ValueError(
            f"the answers would lie among the pictures in {folder}: name another folder with -o, as -o {output / 'out'}"
        )


def find_pictures(path: Path) -> list[Path]:
    """The pictures to answer for: the one named, or those of the folder named."""
    from ..imaging.image_files import EXTENSIONS
    from ..imaging.images import list_pictures

    if not path.exists():
        raise FileNotFoundError(f"there is no picture or folder {path}")
    if not path.is_dir():
        return [path]
    paths = list_pictures(path)
    if not paths:
        raise ValueError(f"the folder {path} holds no pictures ({', '.join(sorted(EXTENSIONS))})")
    return paths


def answer_stems(pictures: list[Path]) -> list[str]:
    """A name for each answer: the picture's without its ending, unless two would then be the same.

    Some systems take names for one that differ in capitals or in how an accent is written only. Of names so long that
    an answer's would be too long for a file, the start, and a hash of all of it.
    """
    shared = Counter(_as_file_name(p.stem) for p in pictures)
    used: set[str] = set()
    stems = []
    for path in pictures:
        plain = [path.stem] if shared[_as_file_name(path.stem)] == 1 else []
        numbered = (f"{path.name}-{number}" for number in count(2))
        names = (_shortened(name, path) for name in chain(plain, [path.name], numbered))
        stem = next(name for name in names if _as_file_name(name) not in used)
        used.add(_as_file_name(stem))
        stems.append(stem)
    return stems


def _shortened(stem: str, path: Path) -> str:
    if len(os.fsencode(stem)) <= LONGEST_STEM:
        return stem
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:8]
    return os.fsencode(stem)[: LONGEST_STEM - 20].decode(errors="ignore") + f"-{digest}"


def _as_file_name(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def load_batches(
    paths: Sequence[Path], stems: Sequence[str], size: int, workers: int
) -> Generator[list[Loaded], None, None]:
    """Read pictures ahead, in threads, and hand them over in batches.

    Args:
        paths: The files.
        stems: What their answers are called.
        size: The most pictures in a batch; fewer where they have more than `PIXELS` together.
        workers: Threads that read; what is read and not yet taken is at most twice as many pictures.

    Yields:
        Batches, all pictures in their order; a picture that cannot be read is among them with its error.
    """
    batch: list[Loaded] = []
    pixels = 0
    for loaded in _read_ahead(paths, stems, workers):
        more = 0 if isinstance(loaded.image, Exception) else loaded.image.shape[0] * loaded.image.shape[1]
        if batch and pixels + more > PIXELS:
            yield batch
            batch, pixels = [], 0
        batch.append(loaded)
        pixels += more
        if len(batch) == size:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def _read_ahead(paths: Sequence[Path], stems: Sequence[str], workers: int) -> Iterator[Loaded]:
    coming = iter(zip(paths, stems, strict=True))
    with ThreadPoolExecutor(workers, thread_name_prefix="pictures") as threads:
        waiting: deque[Future[Loaded]] = deque()
        try:
            while True:
                while len(waiting) < 2 * workers and (pair := next(coming, None)) is not None:
                    waiting.append(threads.submit(_read, *pair))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _read(path: Path, stem: str) -> Loaded:
    from ..imaging.images import load_picture

    try:
        return Loaded(path, stem, load_picture(path))
    except (ValueError, TypeError, OSError, MemoryError) as error:
        return Loaded(path, stem, error)
