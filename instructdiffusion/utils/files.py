"""Files out: everything of an answer is written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .interrupts import check_interrupt
from .locks import is_unlocked, lock_file

_LEFTOVER = re.compile(r"\..+\.[0-9a-f]{8}\.(tmp|old|commit)|\.probe\.[0-9a-f]{8}|\.scratch-\w{8}")
_FRESH = 2.0  # seconds for which a file may be about to be locked
_STALE = 24 * 3600.0  # seconds after which what is half-written is a killed run's, not another one's at work


class WriteError(OSError):
    """A file could not be written; the message says which, why, and that nothing half-written is left."""

    def __str__(self) -> str:
        return str(self.strerror or super().__str__())


class _Watched(io.BytesIO):
    """Bytes in memory, between whose parts an interruption is noticed."""

    def write(self, data: Any) -> int:
        check_interrupt()
        return super().write(data)


def png_bytes(picture: np.ndarray) -> bytes:
    """The PNG file of a picture: uint8 [h, w, 3], or bool / uint8 [h, w] as gray."""
    array = picture.astype(np.uint8) * 255 if picture.dtype == np.bool_ else picture
    if array.dtype != np.uint8 or array.ndim not in (2, 3):
        raise ValueError(
            f"expected a picture uint8 [h, w, 3] or [h, w], got {array.dtype} {list(array.shape)}"
        )
    stream = _Watched()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def jpeg_bytes(picture: np.ndarray) -> bytes:
    """The JPEG file of a picture uint8 [h, w, 3] for people to look at."""
    stream = _Watched()
    Image.fromarray(picture).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def json_bytes(data: Any) -> bytes:
    """The JSON text of data, indented, ending in a newline; ValueError for NaN and infinity."""
    return (json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def write_files(files: Mapping[Any, bytes]) -> list[Path]:
    """Write all the files or none: temporary names, fsync, and only then the names asked for.

    Folders are made where they are missing. A process that is killed leaves all or none too: what it had begun to
    rename is listed in a file beside them, by which `clear_leftovers` renames the rest.

    Args:
        files: What to write, by path.

    Returns:
        The paths.

    Raises:
        WriteError: The place is read-only, full, or not a folder, or a folder has a file's name; what was there before
            then stays as it was. It is an OSError.
    """
    pairs: list[tuple[Path, Path]] = []
    target, commit = Path(), None
    with contextlib.ExitStack() as locks:
        try:
            for target in map(Path, files):
                if target.is_dir():
                    raise IsADirectoryError(errno.EISDIR, "Is a directory")
            for name, data in files.items():
                target = Path(name)
                target.parent.mkdir(parents=True, exist_ok=True)
                temporary = _temporary(target)
                pairs.append((temporary, target))
                _write_new(temporary, data, locks)
            if len(pairs) > 1:
                commit = _write_commit(pairs, locks)
            for temporary, target in pairs:
                os.replace(temporary, target)
        except OSError as error:
            raise WriteError(
                error.errno, f"could not write {target}: {_reason(error)}; nothing half-written is left"
            ) from error
        finally:
            for path in (*(temporary for temporary, _ in pairs), *([commit] if commit else [])):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
    return [target for _, target in pairs]


def _temporary(target: Path, ending: str = "tmp") -> Path:
    """A hidden name beside a file's own, as `_LEFTOVER` knows it; short, for a file's name may have all the letters."""
    return target.with_name(f".{target.name[:40]}.{secrets.token_hex(4)}.{ending}")


def _write_new(path: Path, data: bytes, locks: contextlib.ExitStack) -> None:
    """Write a file that is not there yet; where the system can, it is locked until the stack is left."""
    stream = open(path, "xb")
    if lock_file(stream):
        locks.callback(stream.close)
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
        return
    with stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _write_commit(pairs: Sequence[tuple[Path, Path]], locks: contextlib.ExitStack) -> Path:
    """List what is about to be renamed, in a file above all of it that is there whole or not at all."""
    folder = Path(os.path.commonpath([target.parent.absolute() for _, target in pairs]))
    names = [[str(p.absolute().relative_to(folder)) for p in pair] for pair in pairs]
    commit = _temporary(folder / pairs[0][1].name, "commit")
    unnamed = _temporary(folder / pairs[0][1].name)
    try:
        _write_new(unnamed, json.dumps(names).encode(), locks)
        os.replace(unnamed, commit)
    except OSError:
        unnamed.unlink(missing_ok=True)
        raise
    return commit


def _finish(commit: Path) -> None:
    """Rename the rest of what a killed process had begun to rename; only what lies below the list's own folder."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        for names in json.loads(commit.read_bytes()):
            temporary, target = (commit.parent / name for name in names)
            inside = target.resolve().is_relative_to(commit.parent.resolve())
            if inside and temporary.parent == target.parent and _LEFTOVER.fullmatch(temporary.name):
                with contextlib.suppress(FileNotFoundError):  # renamed before
                    os.replace(temporary, target)
    commit.unlink(missing_ok=True)


def write_png(path: str | os.PathLike[str], picture: np.ndarray) -> Path:
    """Write one picture as PNG, whole or not at all."""
    return write_files({path: png_bytes(picture)})[0]


def write_json(path: str | os.PathLike[str], data: Any) -> Path:
    """Write data as JSON, whole or not at all."""
    return write_files({path: json_bytes(data)})[0]


@contextlib.contextmanager
def whole_folder(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """An empty folder to fill; it takes the place of `folder` once all is written, and goes where that fails."""
    folder = Path(folder)
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        sync_files(temporary)
        replace_folder(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def replace_folder(temporary: Path, folder: Path) -> None:
    """Put a whole folder in the place of another (or of none); the other is moved aside, then deleted.

    Of several processes that do so at once, the last to come stays.
    """
    while True:
        aside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.old")
        with contextlib.suppress(FileNotFoundError):  # there is none, or another process moved it this moment
            os.replace(folder, aside)
        try:
            os.replace(temporary, folder)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST) and folder.is_dir():
                shutil.rmtree(aside, ignore_errors=True)
                continue  # another process put its own there since
            if aside.exists():
                os.replace(aside, folder)
            raise
        shutil.rmtree(aside, ignore_errors=True)
        return


def clear_leftovers(*folders: Path, age: float = _STALE) -> None:
    """Set right what killed runs left in folders: what has the temporary names of this package.

    What they had begun to rename is renamed, what is half-written is deleted, at once where its lock says that its
    process is gone, else where nothing in or on it has changed for `age` seconds. What cannot be looked at stays.
    """
    for folder in folders:
        with contextlib.suppress(OSError):
            names = sorted(p.name for p in folder.iterdir() if _LEFTOVER.fullmatch(p.name))
            for path in (folder / name for name in sorted(names, key=lambda name: not name.endswith(".commit"))):
                with contextlib.suppress(OSError):  # its own run may put it in its place at any moment
                    inside = [path, *path.iterdir()] if path.is_dir() else [path]
                    quiet = time.time() - max(p.lstat().st_mtime for p in inside)
                    # A file is locked the moment after it is made.
                    if quiet <= (_FRESH if path.is_file() and is_unlocked(path) else age):
                        continue
                    if path.name.endswith(".commit"):
                        _finish(path)
                    else:
                        shutil.rmtree(path) if path.is_dir() else path.unlink()


def sync_files(folder: Path) -> None:
    """Have every file below the folder on disk, and where the system can, the folders' entries too."""
    for path in (*folder.rglob("*"), folder):
        if path.is_dir():
            sync_entries(path)
        else:
            _sync(path, os.O_RDWR)


def sync_entries(folder: Path) -> None:
    """Have a folder's entries on disk, such as the new name of what was renamed; nothing where a system cannot."""
    with contextlib.suppress(OSError):  # not every system opens folders
        _sync(folder, os.O_RDONLY)


def _sync(path: Path, mode: int) -> None:
    descriptor = os.open(path, mode)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_writable(folder: str | os.PathLike[str]) -> Path:
    """Prove that files can be written to a folder, before any work is spent; WriteError if not.

    A folder that is missing is not made, for a run that is refused later shall leave none: it and a file in it are made
    below a folder of another name, beside which it will stand.
    """
    folder = Path(folder)
    there = folder
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    probe = there / f".probe.{secrets.token_hex(4)}"
    try:
        write_files({probe / folder.relative_to(there) / "probe": b"probe"})
    except WriteError as error:
        reason = _reason(error.__cause__ if isinstance(error.__cause__, OSError) else error)
        raise WriteError(
            error.errno, f"could not write to {folder}: {reason}; nothing was written"
        ) from error
    finally:
        shutil.rmtree(probe, ignore_errors=True)
    return folder


def _reason(error: OSError) -> str:
    known = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the disk quota is used up",
        errno.EROFS: "the file system is read-only",
        errno.EACCES: "there is no permission to write there",
        errno.EPERM: "there is no permission to write there",
        errno.ENOTDIR: "part of the path is a file, not a folder",
        errno.EISDIR: "a folder of that name stands there",
        errno.EEXIST: "a file stands where a folder is needed",
        errno.ENAMETOOLONG: "the name is too long",
    }
    return known.get(error.errno or 0, error.strerror or str(error))
