"""Scenes in COCO's format: the entries of images, annotations and categories of a made-up data set."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...results import Keypoints, Label, to_coco
from ...tasks import get_task
from ..records import Example
from .faces import FACE_PARTS
from .figures import JOINTS

# Bones between joints, for viewers that draw them; names that a figure lacks are left out.
_ARMS_AND_LEGS = [
    (f"{side} {a}", f"{side} {b}")
    for side in ("left", "right")
    for a, b in (
        ("shoulder", "elbow"),
        ("elbow", "wrist"),
        ("shoulder", "hip"),
        ("hip", "knee"),
        ("knee", "ankle"),
    )
]
_PERSON = [("left shoulder", "right shoulder"), ("left hip", "right hip"), *_ARMS_AND_LEGS]
_ENDS = [
    f"{leg} {end}"
    for leg in ("left front", "right front", "left back", "right back")
    for end in ("paw", "hoof")
]
_ANIMAL = [
    *(
        ("nose", "eye"),
        ("beak", "eye"),
        ("eye", "ear"),
        ("eye", "neck"),
        ("neck", "tail tip"),
        ("neck", "wing tip"),
    ),
    *(("neck" if "front" in end else "tail tip", end) for end in _ENDS),
    *(("neck", "left foot"), ("neck", "right foot")),
]
_FACE = [
    *(
        ("left eye", "left eyebrow"),
        ("right eye", "right eyebrow"),
        ("left eye", "nose"),
        ("right eye", "nose"),
    ),
    *(
        ("nose", "left mouth corner"),
        ("nose", "right mouth corner"),
        ("left mouth corner", "right mouth corner"),
    ),
    *(("left mouth corner", "chin"), ("right mouth corner", "chin")),
]


def image_entry(example: Example, number: int, name: str) -> dict[str, Any]:
    """The image of an example kept as NAME.png, with what is asked about it."""
    record = example.record
    height, width = record.image.shape[:2]
    return {
        "id": number,
        "file_name": f"{name}.png",
        "target_file_name": f"{name}_target.png",
        "height": height,
        "width": width,
        "instruction": example.instruction.text,
        "subjects": list(record.subjects),
        "colors": [color.name for color in example.instruction.colors],
        "caption": record.caption,
        "tags": sorted(record.tags),
        "meta": {k: v for k, v in record.meta.items() if isinstance(v, (str, int, float, tuple, list))},
    }


def annotation_entries(
    example: Example, image_id: int, before: int, categories: dict[str, int]
) -> list[dict[str, Any]]:
    """The target's annotations, with ids and categories that hold over all pictures; new categories are added.

    before: annotations of earlier pictures. Keypoints are those of the figure's whole category (`category_entry`), with
    v = 2 where one was asked for and shows, else 0; `asked` names those asked for. Their box is the figure's.
    """
    record = example.record
    target = record.target
    if isinstance(target, np.ndarray):
        return []
    annotations = to_coco(target[0] if isinstance(target, tuple) else target, image_id)
    if isinstance(target, tuple) and isinstance(target[0], Label) and annotations:
        annotations[0]["bbox"] = _box(target[1])
    for number, entry in enumerate(annotations, before + 1):
        name = entry.get("category_name") or record.meta.get("figure") or "object"
        entry["id"] = number
        entry["category_name"] = name
        entry["category_id"] = categories.setdefault(name, len(categories) + 1)
        if "keypoints" in entry:
            joints = list(record.meta["joints"])
            rows = dict(zip(joints, np.reshape(entry["keypoints"], (-1, 3)).tolist(), strict=True))
            entry["keypoints"] = [v for joint in joints_of(name) for v in rows.get(joint, (0, 0, 0))]
            del entry["keypoint_names"]
            entry["asked"] = joints
            entry["area"] = float(record.meta["area"])
            entry["bbox"] = [round(float(v), 3) for v in record.meta["box"]]
    return annotations


def category_entry(name: str, number: int, task: str) -> dict[str, Any]:
    """A category; for keypoints and align with the names of its joints, and the skeleton as pairs counted from 1."""
    entry: dict[str, Any] = {"id": number, "name": name}
    if get_task(task).target_type is Keypoints:
        joints = joints_of(name)
        bones = _FACE if name == "face" else [*_PERSON, *_ANIMAL]
        entry["keypoints"] = list(joints)
        entry["skeleton"] = [
            [joints.index(a) + 1, joints.index(b) + 1] for a, b in bones if a in joints and b in joints
        ]
    return entry


def joints_of(figure: str) -> tuple[str, ...]:
    """The names of all the joints of a figure, or of the parts of a face, in the order they are written in."""
    return FACE_PARTS if figure == "face" else JOINTS[figure]


def _box(mask: np.ndarray) -> list[int]:
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [int(xs[0]), int(ys[0]), int(xs[-1] + 1 - xs[0]), int(ys[-1] + 1 - ys[0])]
