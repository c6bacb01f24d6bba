"""Locks of files, which end with the process that holds them, however it ends; where a system has none, it is said."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from .errors import UsageError


def lock_file(stream: IO[Any]) -> bool:
    """Lock an open file for this process, until it is closed.

    Args:
        stream: The file, open for writing.

    Returns:
        Whether it is locked; False where the system or its file system has no such locks, or another process has it.
    """
    try:
        import fcntl

        fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True


def is_unlocked(path: Path) -> bool:
    """Tell whether a file that its writer would have locked is locked by nobody, so that the writer is gone.

    Args:
        path: A file.

    Returns:
        False also where that cannot be told.
    """
    try:
        import fcntl

        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(descriptor)
    except (ImportError, OSError):
        return False
    return True


@contextlib.contextmanager
def only_writer(folder: str | Path, what: str) -> Iterator[None]:
    """Let no other run write to a folder; a killed run's hold ends with it.

    Args:
        folder: It is made where it is missing; a file `.lock` stays in it.
        what: What writes, in the message: "evaluation".

    Raises:
        UsageError: Another run writes there.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "ab") as stream:
        try:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # no such locks on this system
            pass
        except BlockingIOError:
            raise UsageError(f"another {what} is writing to {folder}: wait for it, or name another folder") from None
        except OSError:  # a file system without locks
            pass
        yield
