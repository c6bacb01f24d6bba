"""Joints: one name each, and left and right exchanged in mirrors."""

from __future__ import annotations

import numpy as np
import pytest

from instructdiffusion.datasets.readers import joints
from instructdiffusion.datasets.readers.joints import mirrored, swap_words, unified
from instructdiffusion.datasets.records import Record
from instructdiffusion.results import Boxes, Keypoints, Label, Masks

ORDERS = {"COCO": 17, "CROWDPOSE": 14, "MPII": 16, "AIC": 14, "AP10K": 17}


@pytest.mark.parametrize("name", ORDERS)
def test_orders_are_whole_and_have_two_sides(name):
    order = getattr(joints, name)
    assert len(order) == len(set(order)) == ORDERS[name]
    assert {swap_words(n) for n in order} == set(order)
    assert all(unified(n) == n for n in order)


def test_places_in_the_orders():
    assert joints.COCO[0] == "nose" and joints.COCO[5:7] == ("left shoulder", "right shoulder")
    assert joints.COCO[15:] == ("left ankle", "right ankle")
    assert (
        joints.MPII[:3] == ("right ankle", "right knee", "right hip") and joints.MPII[9] == "top of the head"
    )
    assert joints.MPII[10] == "right wrist" and joints.MPII[15] == "left wrist"
    assert joints.AIC[0] == "right shoulder" and joints.AIC[8] == "right ankle" and joints.AIC[13] == "neck"
    assert joints.CROWDPOSE[12:] == ("top of the head", "neck")
    assert joints.AP10K[4] == "root of the tail" and joints.AP10K[16] == "right back paw"


def test_animals_beside_people():
    # AP-10K's number of each of COCO's joints, as the overlap is published
    want = {
        0: 2,
        1: 0,
        2: 1,
        5: 5,
        6: 8,
        7: 6,
        8: 9,
        9: 7,
        10: 10,
        11: 11,
        12: 14,
        13: 12,
        14: 15,
        15: 13,
        16: 16,
    }
    got = {joints.COCO.index(a): joints.AP10K.index(b) for a, b in joints.AP10K_FOR_COCO.items()}
    assert got == want


@pytest.mark.parametrize(
    ("name", "one"),
    [
        ("left_shoulder", "left shoulder"),
        ("Left Shoulder", "left shoulder"),
        ("LShoulder", "left shoulder"),
        ("rightKnee", "right knee"),
        ("r_wrist", "right wrist"),
        ("Head top", "top of the head"),
        ("head", "top of the head"),
        ("upper_neck", "neck"),
        ("root_of_tail", "root of the tail"),
        ("left_front_paw", "left front paw"),
        ("nose", "nose"),
        ("lower lip", "lower lip"),
    ],
)
def test_styles_of_names(name, one):
    assert unified(name) == one


@pytest.mark.parametrize(
    ("text", "swapped"),
    [
        ("the man on the left", "the man on the right"),
        ("Left dog, RIGHT cat", "Right dog, LEFT cat"),
        ("leftmost chair", "rightmost chair"),
        ("the right-hand side", "the left-hand side"),
        ("righthand one", "lefthand one"),
        ("lady right behind the left bench", "lady right behind the right bench"),
        ("all right, the bright one upright on the right", "all right, the bright one upright on the left"),
        ("leftover pizza", "leftover pizza"),
        ("the slice that is left", "the slice that is left"),
        ("the cup that is left of the plate", "the cup that is right of the plate"),
        ("pizza right in front", "pizza right in front"),
        ("woman facing left", "woman facing right"),
        ("guy on left in red", "guy on right in red"),
        ("the one on the right by the window", "the one on the left by the window"),
        ("nothing here", "nothing here"),
    ],
)
def test_words_in_a_mirror(text, swapped):
    assert swap_words(text) == swapped
    assert swap_words(swapped) == text


def test_a_mirrored_record_says_what_it_shows():
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    names = ("the left eye", "the nose")
    xy, visible = np.float32([[[3.5, 4.5], [10, 6]]]), np.ones((1, 2), bool)
    record = Record(
        image, names, Keypoints(xy, visible, visible, names, (20, 30)), caption="a face looking left"
    )
    flipped = mirrored(record)
    assert flipped.subjects == flipped.target.names == ("the right eye", "the nose")
    np.testing.assert_allclose(flipped.target.xy, [[[26.5, 4.5], [20, 6]]])
    np.testing.assert_array_equal(flipped.image[4, 26], image[4, 3])
    assert flipped.caption == "a face looking right" and flipped.meta["mirrored"]
    back = mirrored(flipped)
    np.testing.assert_array_equal(back.image, image)
    assert back.subjects == names and not back.meta["mirrored"]


def test_every_kind_of_target_is_mirrored():
    image = np.zeros((8, 10, 3), np.uint8)
    mask = np.zeros((1, 8, 10), bool)
    mask[0, 2, 1] = True
    found = mirrored(Record(image, ("left",), Masks(mask, np.ones(1), ("left",)))).target
    assert found.data[0, 2, 8] and found.data.sum() == 1 and found.labels == ("right",)
    boxes = mirrored(Record(image, ("x",), Boxes([[1, 2, 4, 5]], [1], ("x",), (8, 10)))).target
    np.testing.assert_array_equal(boxes.xyxy, [[6, 2, 9, 5]])
    label, region = mirrored(Record(image, ("x",), (Label("left", {"left": 1.0}), mask[0]))).target
    assert label.name == "right" and region[2, 8]
    picture = np.arange(240, dtype=np.uint8).reshape(8, 10, 3)
    np.testing.assert_array_equal(mirrored(Record(image, ("x",), picture)).target, picture[:, ::-1])
