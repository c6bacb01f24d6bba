"""Poses in the form that pose and ControlNet nodes read: OpenPose's people, AP-10K's animals."""

from __future__ import annotations

import re
from typing import Any

from ..instructdiffusion.results import Keypoints

# OpenPose's 18 body points in its order, under the names that instructions use; the neck has none of its own.
OPENPOSE = (
    "nose", "neck", "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow", "left wrist",
    "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle", "right eye", "left eye",
    "right ear", "left ear",
)  # fmt: skip
# AP-10K's 17 points of an animal in its order.
AP10K = (
    "left eye", "right eye", "nose", "neck", "root of the tail", "left shoulder", "left elbow", "left front paw",
    "right shoulder", "right elbow", "right front paw", "left hip", "left knee", "left back paw", "right hip",
    "right knee", "right back paw",
)  # fmt: skip
_ANIMALS = (
    "animal", "dog", "cat", "horse", "bird", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "lion", "tiger",
    "wolf", "fox", "deer", "monkey", "rabbit", "pig", "goat",
)  # fmt: skip
_OF_AN_ANIMAL = re.compile(rf"\b(?:paw|tail|{'|'.join(_ANIMALS)})s?\b")
_FACE, _HAND = 70, 21


def to_pose(points: Keypoints) -> dict[str, Any]:
    """A POSE_KEYPOINT frame: a person a row in OpenPose's order, pixels, confidence 1 where found, else 0, 0, 0.

    Joints are matched by name ("the left shoulder of the man" is the left shoulder); the neck, where no one
    asked for it, lies between the shoulders. Points under other names are in no pose: take them from the JSON.
    Where an animal was asked about, the frame also has its rows in AP-10K's order, as nodes for animals read them.
    """
    height, width = points.canvas_size
    people, animals = [], []
    for xy, visible in zip(points.xy.tolist(), points.visible.tolist(), strict=True):
        spots = {n: spot for n, spot, is_visible in zip(points.names, xy, visible, strict=True) if is_visible}
        body = _in_order({joint_name(name): spot for name, spot in spots.items()}, OPENPOSE)
        people.append(
            {
                "pose_keypoints_2d": body,
                "face_keypoints_2d": [0.0] * (3 * _FACE),
                "hand_left_keypoints_2d": [0.0] * (3 * _HAND),
                "hand_right_keypoints_2d": [0.0] * (3 * _HAND),
            }
        )
        animals.append(_in_order({animal_joint(name): spot for name, spot in spots.items()}, AP10K))
    frame: dict[str, Any] = {"canvas_width": width, "canvas_height": height, "people": people}
    if any(_OF_AN_ANIMAL.search(name) for name in points.names):
        frame |= {"version": "ap10k", "animals": animals}
    return frame


def joint_name(name: str) -> str:
    """The joint that a subject names: "the left shoulder of the man" -> "left shoulder"."""
    return name.partition(" of ")[0].removeprefix("the ").strip()


def animal_joint(name: str) -> str:
    """AP-10K's name of the joint that a subject names, "" for others: "the root of the tail of the dog" ->
    "root of the tail"."""
    plain = name.removeprefix("the ").strip()
    return next((joint for joint in AP10K if plain == joint or plain.startswith(f"{joint} of ")), "")


def _in_order(spots: dict[str, list[float]], order: tuple[str, ...]) -> list[float]:
    """x, y, 1 of each joint of the order, zeros where it has no spot; a neck that has none lies between shoulders."""
    shoulders = [spots[side] for side in ("left shoulder", "right shoulder") if side in spots]
    if order is OPENPOSE and "neck" not in spots and len(shoulders) == 2:
        spots = spots | {"neck": [sum(axis) / 2 for axis in zip(*shoulders)]}
    return [value for joint in order for value in ([*spots[joint], 1.0] if joint in spots else [0.0] * 3)]
