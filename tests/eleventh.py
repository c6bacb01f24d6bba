"""This repository with an eleventh task: one file more in its catalog."""

from __future__ import annotations

from pathlib import Path
from shutil import copyfile, copytree, ignore_patterns

ROOT = Path(__file__).parents[1]
OUTLINE = ROOT / "tests" / "fixtures" / "tasks" / "outline.py"
_PARTS = ("instructdiffusion", "training", "nodes", "web", "workflows")


def lay_outline(folder: Path) -> Path:
    """Copy what runs of the repository to a folder, and lay the task `outline` into its catalog."""
    for part in _PARTS:
        copytree(ROOT / part, folder / part, ignore=ignore_patterns("__pycache__"))
    copyfile(ROOT / "__init__.py", folder / "__init__.py")
    copyfile(OUTLINE, folder / "instructdiffusion" / "tasks" / "catalog" / OUTLINE.name)
    return folder
