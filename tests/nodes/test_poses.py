"""Poses in the forms that pose nodes read."""

from __future__ import annotations

import importlib
from types import ModuleType

import numpy as np
import pytest

from instructdiffusion.datasets.readers import joints


@pytest.fixture(scope="module")
def poses(pack: ModuleType) -> ModuleType:
    return importlib.import_module(".nodes.poses", pack.__name__)


def points(results: ModuleType, names: dict[str, tuple[float, float] | None]):
    xy = np.float32([[p or (0, 0) for p in names.values()]])
    visible = np.array([[p is not None for p in names.values()]])
    return results.Keypoints(xy, visible, np.where(visible, 0.8, 0), tuple(names), (40, 60))


def test_a_pose_is_in_openpose_s_order_with_found_points_at_confidence_one(poses, results) -> None:
    named = {"left shoulder": (30, 10), "right shoulder": (20, 12), "nose": (25, 5), "left knee": None}
    pose = poses.to_pose(points(results, {f"the {name}": spot for name, spot in named.items()}))
    assert "animals" not in pose
    assert (pose["canvas_width"], pose["canvas_height"]) == (60, 40)
    (person,) = pose["people"]
    assert [len(person[k]) // 3 for k in person] == [18, 70, 21, 21]
    body = np.reshape(person["pose_keypoints_2d"], (18, 3))
    assert (
        body[0].tolist() == [25, 5, 1] and body[5].tolist() == [30, 10, 1] and body[2].tolist() == [20, 12, 1]
    )
    assert body[1].tolist() == [25, 11, 1]  # the neck between the shoulders
    assert body[13].tolist() == [0, 0, 0]
    assert set(body[:, 2]) == {0.0, 1.0}  # readers drop points of a confidence between


def test_joints_are_known_by_their_name_alone(poses: ModuleType) -> None:
    assert poses.joint_name("the left shoulder of the man") == "left shoulder"


def test_an_animal_is_in_ap10k_s_order_too(poses: ModuleType, results: ModuleType) -> None:
    names = {"the left front paw of the dog": (30, 10), "the root of the tail of the dog": (5, 6), "the nose": (25, 5)}
    pose = poses.to_pose(points(results, names))
    assert pose["version"] == "ap10k"
    (animal,) = pose["animals"]
    rows = np.reshape(animal, (17, 3))
    assert rows[7].tolist() == [30, 10, 1] and rows[4].tolist() == [5, 6, 1] and rows[2].tolist() == [25, 5, 1]
    assert rows[:, 2].sum() == 3
    assert np.reshape(pose["people"][0]["pose_keypoints_2d"], (18, 3))[0].tolist() == [25, 5, 1]
    assert poses.AP10K == joints.AP10K


def test_nothing_is_nobody(poses: ModuleType, results: ModuleType) -> None:
    assert poses.to_pose(results.Keypoints.empty(("the nose",), 40, 60))["people"] == []
    assert poses.to_pose(results.Keypoints.empty(("the nose of the cat",), 40, 60))["animals"] == []
