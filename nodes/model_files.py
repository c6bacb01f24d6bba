"""Model files and folders as they lie on disk: found, dated and looked into without being loaded."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_HEADER = 100_000_000  # bytes; safetensors' own limit


def find_folders(roots: Iterable[str | Path]) -> list[str]:
    """Model folders in diffusers' layout below the roots, by their path from there, in order.

    Links are followed, though none twice; what lies inside a model folder is not looked at.
    """
    found, seen = set(), set()
    for root in roots:
        for place, folders, files in os.walk(root, followlinks=True):
            real = os.path.realpath(place)
            if real in seen or "model_index.json" in files:
                folders.clear()
            if real not in seen and "model_index.json" in files:
                found.add(os.path.relpath(place, root))
            seen.add(real)
    return sorted(found)


def fingerprint(path: Path) -> str:
    """Changes when the file does; of a folder, when a file in it or in one of its folders does."""
    files = [path] if path.is_file() else [*path.glob("*"), *path.glob("*/*")]
    stats = sorted((str(f), f.stat()) for f in files if f.is_file())
    return " ".join(f"{name}:{stat.st_size}:{stat.st_mtime_ns}" for name, stat in stats)


def read_header(path: Path) -> dict[str, Any]:
    """The header of a safetensors file, tensor by tensor; {} for other kinds of files.

    ValueError for a safetensors file that is cut off or none at all.
    """
    if path.suffix.lower() not in (".safetensors", ".sft"):
        return {}
    broken = "the file is cut off or no safetensors file: download it again"
    with path.open("rb") as file:
        start = file.read(8)
        size = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= size <= min(path.stat().st_size - 8, _HEADER):
            raise ValueError(broken)
        try:
            header = json.loads(file.read(size))
        except ValueError:
            raise ValueError(broken) from None
    if not isinstance(header, dict):
        raise ValueError(broken)
    return header


def input_channels(header: dict[str, Any]) -> int | None:
    """The UNet's input channels of a checkpoint's header; None where it does not say."""
    entry = header.get("model.diffusion_model.input_blocks.0.0.weight")
    shape = entry.get("shape") if isinstance(entry, dict) else None
    return int(shape[1]) if isinstance(shape, list) and len(shape) == 4 else None


def facts(header: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint that the package exported says about itself: prediction_type, resolution; else {}."""
    from ..instructdiffusion.models.unpickle import FACTS

    try:
        found = json.loads(header["__metadata__"][FACTS])
    except (KeyError, TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def folder_fit(folder: Path) -> str:
    """How a model folder's pictures come to its size (`resize.model_size`): what its settings say, else the authors'
    way for a folder that diffusers wrote (its version is in it), else "stretch"."""

    def read(name: str) -> dict[str, Any]:
        path = folder / name
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return found if isinstance(found, dict) else {}

    said = read("instructdiffusion.json").get("fit")
    return str(said or ("authors" if "_diffusers_version" in read("model_index.json") else "stretch"))


def file_fit(known: dict[str, Any]) -> str:
    """The same for a single file, of which `facts` are known: one that says nothing of itself is the authors'."""
    return str(known.get("fit", "stretch" if known else "authors"))
