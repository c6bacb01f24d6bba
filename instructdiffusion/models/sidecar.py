"""Companions: the folder with a single file's name, in which its tokenizer and the model's settings lie."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..settings import FILE, read_settings
from ..utils.files import json_bytes, write_files
from .components import Components
from .formats.safe_pickle import is_checkpoint
from .pretrained_tokenizer import SD_VOCABULARY, companion, tokenizer_folder

TOKENIZER = "tokenizer"
ENTRIES = (TOKENIZER, FILE)  # what is written, and so replaced; whatever else lies in the folder stays


def settings_file(components: Components) -> bytes | None:
    """The model's settings file, with what is known of the model by the place alone where it lies; None for nothing.

    That is how pictures come to its size, and the formula and scales of guidance of a folder that diffusers wrote.
    """
    path = components.path / FILE
    written = path.read_bytes() if path.is_file() else None
    said = json.loads(written) if written is not None else {}
    published = components.resize_mode == "authors"
    own_settings, bare = read_settings(components.path, published), read_settings(None, published)
    defaults = {}
    for name, settings in own_settings.items():
        known = {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}
        values = {key: value for key, value in known.items() if value != getattr(bare[name], key)}
        if values := {**values, **said.get("defaults", {}).get(name, {})}:
            defaults[name] = values
    full = dict(said)
    if defaults:
        full["defaults"] = defaults
    old = full.pop("fit", None)  # its name of one release ago
    if old is not None or said.get("resize_mode", "shortest_edge") != components.resize_mode:
        full["resize_mode"] = components.resize_mode
    return written if full == said else json_bytes(full)


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Write the tokenizer in both forms: tokenizer.json, and the vocab.json and merges.txt that older readers know."""
    tokenizer.save_pretrained(folder)
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    if (folder / "tokenizer.json").is_file() and not (vocabulary.is_file() and merges.is_file()):
        model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
        lines = (pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"])
        vocabulary.write_text(json.dumps(model["vocab"], ensure_ascii=False), encoding="utf-8")
        merges.write_text("\n".join(["#version: 0.2", *lines]) + "\n", encoding="utf-8")


def companion_files(components: Components, path: Path) -> dict[str, bytes] | None:
    """What is to lie in the companion of `path` for these components to be read back, by name; None for no change.

    ValueError where that would change another model: one that the folder itself is, or a file of the same name.
    """
    folder = companion(path)
    tokenizer = tokenizer_folder(path)  # where a reader would take it from
    same = tokenizer is not None and _vocabulary(tokenizer) == components.tokenizer.get_vocab()
    own = components.text_encoder.config.vocab_size != SD_VOCABULARY  # SD's is to be had everywhere
    if any((folder / name).is_file() for name in ("model_index.json", "unet/config.json")):
        if not (same or (tokenizer is None and not own)):
            raise ValueError(
                f"the folder {folder} is a model with another tokenizer: give the file a name of its own"
            )
        published = components.resize_mode == "authors"
        if read_settings(folder, published) != read_settings(components.path, published):
            raise ValueError(
                f"the folder {folder} is a model with other settings: give the file a name of its own"
            )
        return None
    there = _entries(folder)
    if own or (tokenizer is not None and not same):
        files = _tokenizer_files(components.tokenizer)
    else:
        files = {name: data for name, data in there.items() if name != FILE}
    if (settings := settings_file(components)) is not None:
        files[FILE] = settings
    if files == there:
        return None
    others = [
        p.name for p in path.parent.glob("*") if is_checkpoint(p) and companion(p) == folder and p != path
    ]
    if others and there:
        raise ValueError(
            f"the tokenizer and settings in {folder} are also those of {', '.join(sorted(others))}, and this model "
            "has others: give the file a name of its own"
        )
    return files


@contextlib.contextmanager
def changed_companion(folder: Path, files: Mapping[str, bytes] | None) -> Iterator[None]:
    """Within it the folder holds these files and no other tokenizer and settings; None for no change.

    Where the block fails, the folder is as it was.
    """
    if files is None:
        yield
        return
    token, existed = secrets.token_hex(4), folder.is_dir()
    new, old = (folder.with_name(f".{folder.name}.{token}.{kind}") for kind in ("tmp", "old"))
    try:
        write_files({new / name: data for name, data in files.items()})
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as undo:
            if not existed:
                undo.callback(folder.rmdir)
            for name in ENTRIES:
                _move(folder / name, old / name, undo)
                _move(new / name, folder / name, undo)
            yield
            undo.pop_all()
        if not any(folder.iterdir()):
            folder.rmdir()
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _move(source: Path, target: Path, undo: contextlib.ExitStack) -> None:
    if source.exists():
        target.parent.mkdir(exist_ok=True)
        os.replace(source, target)
        undo.callback(os.replace, target, source)


def _tokenizer_files(tokenizer: Any) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as new:
        save_tokenizer(tokenizer, Path(new))
        return {f"{TOKENIZER}/{p.name}": p.read_bytes() for p in sorted(Path(new).iterdir())}


def _entries(folder: Path) -> dict[str, bytes]:
    """The tokenizer and settings in a folder, by name; ValueError for anything else where they lie."""
    paths = [p for p in (folder / TOKENIZER).glob("*") if p.name != ".DS_Store"] + [folder / FILE]
    odd = [p for p in paths if p.exists() and not (p.is_file() and p.suffix in (".json", ".txt"))]
    odd += [p for p in (folder, folder / TOKENIZER) if p.exists() and not p.is_dir()]
    if odd:
        raise ValueError(
            f"expected nothing but a tokenizer and settings in {folder} where they are to lie, got {odd[0].name}: "
            "move it, or give the file a name of its own"
        )
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in paths if p.is_file()}


def _vocabulary(folder: Path) -> Any:
    """The words of the tokenizer in a folder, by number; None where they cannot be read."""
    try:
        if (folder / "vocab.json").is_file():
            return json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        return json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    except (ValueError, KeyError, TypeError):
        return None
