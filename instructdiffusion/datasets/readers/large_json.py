"""JSON files larger than memory, an element at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .problems import Flaw, regular

_CHUNK = 1 << 20
_NEAR = 1 << 18  # longer than any string of an annotation
_SPACE = " \t\n\r"
_DECODER = json.JSONDecoder()


class _Text:
    """A window that moves over a text file."""

    def __init__(self, path: Path) -> None:
        self.stream = open(regular(path), encoding="utf-8-sig")
        self.buffer = ""
        self.place = 0
        self.ended = False

    def more(self, size: int = _CHUNK) -> bool:
        """Read on; what lies behind is let go. False at the end of the file."""
        try:
            chunk = self.stream.read(size)
        except UnicodeDecodeError as error:
            raise Flaw(f"not a UTF-8 text: {error.reason}") from None
        self.buffer = self.buffer[self.place :] + chunk
        self.place = 0
        self.ended = not chunk
        return bool(chunk)

    def peek(self) -> str:
        """The next character that is no space, "" at the end."""
        while True:
            while self.place < len(self.buffer):
                if self.buffer[self.place] not in _SPACE:
                    return self.buffer[self.place]
                self.place += 1
            if not self.more():
                return ""

    def expect(self, token: str) -> str:
        """Step over the next character, one of `wanted`."""
        character = self.peek()
        if not character:
            raise Flaw("the JSON is cut off")
        if character not in token:
            raise Flaw(f"not JSON: expected one of {token!r}, got {character!r}")
        self.place += 1
        return character

    def value(self) -> Any:
        """The next value, whole."""
        self.peek()
        size = _CHUNK
        while True:
            try:
                value, end = _DECODER.raw_decode(self.buffer, self.place)
                # A number at the edge of the window may go on.
                if end < len(self.buffer) or self.ended:
                    self.place = end
                    return value
                self.more(size)
            except json.JSONDecodeError as error:
                near_end = error.pos > len(self.buffer) - _NEAR  # what the window's edge may have cut
                if not near_end:
                    raise Flaw(f"not JSON: {error.msg}") from None
                if self.ended or not self.more(size):
                    raise Flaw("the JSON is cut off") from None
            except RecursionError:
                raise Flaw("the JSON is nested too deeply") from None
            size *= 2


def stream_json(path: Path, empty: Any = None, *, parted: bool = True) -> Iterator[tuple[str, Any]]:
    """(key, value) of the object in a JSON file, a value that is a list element by element, unless `parted` is False.

    An empty list gives nothing, or (key, `empty`) where that is not None.
    A file that holds a list gives ("", element). Memory is that of the largest element. Flaw where the text
    is cut off or not JSON, after all that came before has been given.
    """
    source = _Text(path)
    try:
        opening = source.expect("[{")
        if opening == "[":
            for value in _elements(source):
                yield "", value
        elif source.peek() == "}":
            source.expect("}")
        else:
            while True:
                key = source.value()
                if not isinstance(key, str):
                    raise Flaw(f"not JSON: expected a key, got {key!r}")
                source.expect(":")
                if parted and source.peek() == "[":
                    source.expect("[")
                    if source.peek() == "]" and empty is not None:
                        yield key, empty
                    for value in _elements(source):
                        yield key, value
                else:
                    yield key, source.value()
                if source.expect(",}") == "}":
                    break
        if source.peek():
            raise Flaw("not JSON: there is text after the end")
    finally:
        source.stream.close()


def _elements(source: _Text) -> Iterator[Any]:
    if source.peek() == "]":
        source.expect("]")
        return
    while True:
        yield source.value()
        if source.expect(",]") == "]":
            return


def load_json(path: Path) -> Any:
    """A small JSON file, whole; Flaw where it is cut off or not JSON."""
    try:
        return json.loads(regular(path).read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, RecursionError) as error:
        raise Flaw(f"not JSON: {error}") from None
    except json.JSONDecodeError as error:
        rest = error.doc[error.pos :].strip()
        gone = not rest or "Unterminated" in error.msg
        raise Flaw("the JSON is cut off" if gone else f"not JSON: {error}") from None


def stream_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """(number of the line from 1, value) of a file with a JSON value a line; Flaw, a line at a time, for what is not.

    A line that cannot be read comes as its Flaw, so that the others still count.
    """
    with open(regular(path), "rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                yield number, json.loads(line)
            except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
                last = not line.endswith(b"\n")
                yield number, Flaw("the line is cut off" if last else f"not JSON: {error}")
