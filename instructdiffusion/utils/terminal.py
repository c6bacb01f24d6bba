"""What is printed: never lost to a terminal's code page, never a command to the terminal."""

from __future__ import annotations

import io
import sys


def accept_all_letters() -> None:
    """Have stdout and stderr write letters that their encoding lacks as escapes, rather than fail.

    Windows gives pipes and redirections a code page of 256 letters.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def printable(text: str) -> str:
    """Write control characters as escapes, line breaks and tabs apart: names of files may hold a terminal's commands.

    Args:
        text: What is to be printed.

    Returns:
        The text; half letters of names that are no UTF-8 as U+FFFD.
    """
    return "".join(map(_printable, text))


def _printable(letter: str) -> str:
    if letter.isprintable() or letter in "\n\t":
        return letter
    if "\ud800" <= letter <= "\udfff":
        return "\ufffd"
    return letter.encode("unicode_escape").decode()
