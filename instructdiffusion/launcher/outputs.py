"""What a graph gave: files fetched from the server, and texts."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .client import Client, ServerError

_PIECE = 1 << 20
# what Windows does not allow in names, separators and control characters
_UNFIT = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')


def output_files(entry: Mapping[str, Any]) -> list[dict[str, str]]:
    """The files of an entry in the server's history that nodes saved, each once: {"filename", "subfolder", "type"}
    with the type output; those that nodes previewed (temp) where nothing was saved."""
    files: list[dict[str, str]] = []
    for _, output in _shown(entry):
        for values in output.values():
            for value in values if isinstance(values, list) else []:
                if not isinstance(value, Mapping) or not value.get("filename"):
                    continue
                file = {key: str(value.get(key) or "") for key in ("filename", "subfolder", "type")}
                if file["type"] in ("output", "temp") and file not in files:
                    files.append(file)
    return [file for file in files if file["type"] == "output"] or files


def output_texts(
    entry: Mapping[str, Any], prompt: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    """The texts that nodes show: (node id, text).

    A node that shows what it was given (PreviewAny) is passed over where the giver shows the same text itself.
    """
    texts_by_node = {node: _texts(values) for node, values in _shown(entry)}
    for node, texts in texts_by_node.items():
        links = [value for value in prompt.get(node, {}).get("inputs", {}).values() if isinstance(value, list)]
        known = {text for source, *_ in filter(None, links) for text in texts_by_node.get(str(source), [])}
        for text in texts:
            if text not in known:
                yield node, text


def _texts(output: Mapping[str, Any]) -> list[str]:
    texts = output.get("text")
    return [texts] if isinstance(texts, str) else [str(text) for text in texts] if isinstance(texts, list) else []


def fetch(client: Client, file: Mapping[str, str], folder: Path) -> Path:
    """Fetch one file into the folder, which is made where it is missing, whole or not at all; its path.

    A name that is taken gets a number: mask.png, mask-2.png, ... ServerError where the server does not give
    it or breaks off; OSError where it cannot be written.
    """
    name = safe_name(file["filename"])
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{secrets.token_hex(8)}.tmp"
    try:
        with client.view(file) as answer, open(temporary, "xb") as stream:
            length, got = answer.length, 0
            while piece := _read(answer, name):
                stream.write(piece)
                got += len(piece)
            if length is not None and got != length:
                raise ServerError(f"{client.address} broke off {name} after {got} of {length} bytes")
            stream.flush()
            os.fsync(stream.fileno())
        return _claim(temporary, folder, name)
    finally:
        temporary.unlink(missing_ok=True)


def safe_name(name: str) -> str:
    """A file name that stays in its folder, whatever the server calls the file."""
    name = _UNFIT.sub("_", re.split(r"[/\\]", name)[-1]).strip(" .")
    return name or "file"


def _read(answer: Any, name: str) -> bytes:
    import http.client

    try:
        return bytes(answer.read(_PIECE))
    except (OSError, http.client.HTTPException) as error:
        raise ServerError(f"the server broke off {name}: {error}") from error


def _claim(temporary: Path, folder: Path, name: str) -> Path:
    """Give the file the first free name; nothing that is there is replaced, also in a race."""
    number = 1
    while True:
        target = folder / (name if number == 1 else f"{Path(name).stem}-{number}{Path(name).suffix}")
        try:
            os.link(temporary, target)
            return target
        except FileExistsError:
            number += 1
        except OSError:  # no hard links here: reserve the name, then fill it
            try:
                open(target, "xb").close()
            except FileExistsError:
                number += 1
                continue
            os.replace(temporary, target)
            return target


def _shown(entry: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    outputs = entry.get("outputs")
    for node, output in (outputs if isinstance(outputs, Mapping) else {}).items():
        if isinstance(output, Mapping):
            yield str(node), output
