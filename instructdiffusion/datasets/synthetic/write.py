"""Scenes as files that a person can look at, with the truth drawn on and a COCO-style JSON beside."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ...imaging import annotate
from ...utils.files import json_bytes, png_bytes, write_files
from ..records import Example
from .canvas import Size
from .coco_json import annotation_entries, category_entry, image_entry
from .examples import make_example


def write_scenes(
    task: str,
    seeds: Iterable[int],
    folder: str | os.PathLike[str],
    split: str = "train",
    size: Size = 64,
    level: int = 3,
    unseen: bool = False,
    extent: float | None = None,
) -> list[Path]:
    """Write the scenes of the seeds into `folder` and return the files, the contact sheet first.

    They are the examples that training and evaluation make of the same arguments, in the same words.

    A scene is <task>_<seed>.png (what the model is given), ..._target.png (what it shall answer with) and
    ..._truth.png (enlarged, the truth drawn on). <task>_sheet.png shows the first 24 of them; <task>.json is a data
    set in COCO's format (`coco`): images with instruction, subjects, caption and tags, and annotations with
    run-length masks, boxes (x, y, width, height), keypoints or labels. ValueError without seeds or for a task, split
    or size that is not there; OSError where the folder cannot be written: then nothing is.
    """
    rows: list[list[np.ndarray | None]] = []
    labels: list[str] = []
    files: dict[Path, bytes] = {}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    categories: dict[str, int] = {}
    root = Path(folder)
    for number, seed in enumerate(seeds, 1):
        example = make_example(
            task, seed, split=split, size=size, level=level, unseen=unseen, extent=extent
        )
        truth = drawn_truth(example)
        name = f"{task}_{seed}"
        files[root / f"{name}.png"] = png_bytes(example.source)
        files[root / f"{name}_target.png"] = png_bytes(example.target)
        files[root / f"{name}_truth.png"] = png_bytes(truth)
        images.append(image_entry(example, number, name))
        annotations += annotation_entries(example, number, len(annotations), categories)
        if len(rows) < 24:
            rows.append([example.source, example.target, truth])
            labels.append(f"{seed}: {example.instruction.text}")
    if not images:
        raise ValueError("expected at least one seed; got none")
    sheet = annotate.contact_sheet(rows, ["given", "to be answered", "truth"], labels, cell=192)
    listing = {
        "info": {
            "description": f"made-up scenes for {task}",
            "task": task,
            "split": split,
            "level": level,
            "unseen": unseen,
            "extent": extent,
        },
        "images": images,
        "annotations": annotations,
        "categories": [category_entry(name, number, task) for name, number in categories.items()],
    }
    written = {
        root / f"{task}_sheet.png": png_bytes(np.asarray(sheet)),
        root / f"{task}.json": json_bytes(listing),
    }
    return write_files({**written, **files})


def drawn_truth(example: Example) -> np.ndarray:
    """The picture enlarged with the true answer drawn on (the true picture for restoration and edits)."""
    target = example.record.target
    colors = example.instruction.colors
    if not isinstance(target, tuple):
        return annotate.overlay(example.source, target, list(colors) or None)
    label, region = target
    large = annotate.overlay(example.source, label)
    if label.name is None:
        return large
    color = colors[example.instruction.subjects.index(label.name)]
    return annotate.overlay(annotate.overlay_mask(example.source, region, color), label)
