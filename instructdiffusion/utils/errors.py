"""Reasons: what an error says, short enough to be part of another's message."""

from __future__ import annotations

_LONGEST = 200  # characters; torch tells of memory at much greater length


def first_line(error: BaseException) -> str:
    """The first line of an error's message, at most 200 characters; its type where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:_LONGEST]


class UsageError(ValueError):
    """Words, options or a config that nothing can be made of; commands end with status 2 for it, and begin no work."""
