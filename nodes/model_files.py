"""Model files and folders as they lie on disk: found and dated without being loaded."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..instructdiffusion.imaging.resize import resize_mode_in


def find_folders(roots: Iterable[str | Path]) -> list[str]:
    """Model folders in diffusers' layout below the roots, by their path from there, in order.

    Links are followed, though none twice; what lies inside a model folder is not looked at.
    """
    places, visited = set(), set()
    for root in roots:
        for place, folders, files in os.walk(root, followlinks=True):
            real = os.path.realpath(place)
            if real in visited or "model_index.json" in files:
                folders.clear()
            if real not in visited and "model_index.json" in files:
                places.add(os.path.relpath(place, root))
            visited.add(real)
    return sorted(places)


def fingerprint(path: Path) -> str:
    """Changes when the file does; of a folder, when a file in it or in one of its folders does."""
    files = [path] if path.is_file() else [*path.glob("*"), *path.glob("*/*")]
    stats = sorted((str(f), f.stat()) for f in files if f.is_file())
    return " ".join(f"{name}:{stat.st_size}:{stat.st_mtime_ns}" for name, stat in stats)


def folder_resize_mode(folder: Path) -> str:
    """How a model folder's pictures come to its size (`resize.model_size`): what its settings say, else the authors'
    way for a folder that diffusers wrote (its version is in it), else "shortest_edge"."""

    def read(name: str) -> dict[str, Any]:
        path = folder / name
        settings = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return settings if isinstance(settings, dict) else {}

    said = resize_mode_in(read("instructdiffusion.json"))
    return said or ("authors" if "_diffusers_version" in read("model_index.json") else "shortest_edge")


def file_resize_mode(known: Mapping[str, Any]) -> str:
    """The same for a single file that says `known` of itself: one that says nothing of itself is the authors'."""
    return resize_mode_in(known, written=True) or ("shortest_edge" if known else "authors")
