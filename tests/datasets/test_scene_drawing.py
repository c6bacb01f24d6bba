"""Drawings, sprites, figures and faces: geometry that the truth rests on."""

from __future__ import annotations

import random

import numpy as np
import pytest

from instructdiffusion.datasets import photographs
from instructdiffusion.datasets.synthetic import photos
from instructdiffusion.datasets.synthetic.backgrounds import Background, background
from instructdiffusion.datasets.synthetic.canvas import UNIT
from instructdiffusion.datasets.synthetic.compose import (
    MARGIN,
    canonical_item,
    inks_for,
    make_item,
    paint,
    place,
)
from instructdiffusion.datasets.synthetic.edit_operations import replacement
from instructdiffusion.datasets.synthetic.faces import FACE_PARTS, draw_face
from instructdiffusion.datasets.synthetic.figures import JOINTS, draw_figure
from instructdiffusion.datasets.synthetic.layout import Draw
from instructdiffusion.datasets.synthetic.sprites import Drawing, rasterize
from instructdiffusion.datasets.synthetic.vocabulary import ANIMALS, CATEGORIES, COLORS, PERSONS, colors_for

INKS = {"body": (200, 40, 40), "second": (20, 20, 20)}
SQUARE = Drawing.of([([(-1, -1), (1, -1), (1, 1), (-1, 1)], "body")], {"corner": (1, -1)})


def test_sprite_lies_where_it_is_put():
    sprite = rasterize(SQUARE, INKS, (20.0, 30.0), 10.0, 64)
    canvas = np.zeros((64, 64, 3), np.float32)
    sprite.onto(canvas)
    ys, xs = np.nonzero(canvas[..., 0] > 100)
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == (15, 24, 25, 34)
    assert sprite.joints["corner"] == pytest.approx((25.0, 25.0))


def test_cover_is_the_area_within_a_percent():
    item = canonical_item("circle", "red", 30.0).moved(32, 32)
    cover = item.sprite(64).cover.sum()
    assert cover == pytest.approx(np.pi * 15**2, rel=0.02)


def test_what_is_outside_is_cut_and_what_is_far_outside_is_none():
    assert rasterize(SQUARE, INKS, (-20.0, 30.0), 10.0, 64) is None
    sprite = rasterize(SQUARE, INKS, (0.0, 30.0), 10.0, 64)
    assert sprite.x == 0 and sprite.cover.shape[1] == 5


@pytest.mark.parametrize("texture", ["striped", "dotted"])
def test_textures_show_both_inks(texture):
    paint_ = rasterize(SQUARE, INKS, (32.0, 32.0), 30.0, 64, texture).paint[2:-2, 2:-2, 0]
    assert paint_.min() < 60 and paint_.max() > 160


def test_masks_hold_what_stays_visible():
    back = Background(np.full((64, 64, 3), 128, np.float32), "gray background")
    items = [
        canonical_item("square", "red", 20.0).moved(30, 30),
        canonical_item("square", "black", 20.0).moved(40, 30),
    ]
    scene = paint(back, items)
    assert not (scene.masks[0] & scene.masks[1]).any()
    assert scene.masks[1].sum() == 400 and scene.masks[0].sum() == 200
    assert (scene.picture[scene.masks[0]] == COLORS["red"]).all()


@pytest.mark.parametrize("category", CATEGORIES)
def test_objects_stay_inside_and_apart(category):
    rng = random.Random(category)
    for _ in range(5):
        items = place(
            rng, [make_item(rng, category, size="small"), make_item(rng, category), make_item(rng, "ring")]
        )
        assert items
        for i, item in enumerate(items):
            x1, y1, x2, y2 = item.box
            assert (
                x1 >= MARGIN - 1e-6
                and y1 >= MARGIN - 1e-6
                and x2 <= UNIT - MARGIN + 1e-6
                and y2 <= UNIT - MARGIN + 1e-6
            )
            for other in items[:i]:
                a, b, c, d = other.box
                assert x2 <= a or c <= x1 or y2 <= b or d <= y1
        sprite = items[0].sprite(64)
        assert sprite.cover.max() == 1.0 and (sprite.cover > 0.5).sum() > 30


def test_what_stands_behind_another_stays_mostly_visible():
    back = Background(np.full((64, 64, 3), 128, np.float32), "gray background")
    for seed in range(60):
        draw = Draw(random.Random(seed), 3, 64, "train", False)
        scene = paint(back, draw.place(draw.crowd(4)))
        for item, mask in zip(scene.items, scene.masks, strict=True):
            assert mask.sum() >= 0.9 * (item.sprite(64).cover >= 0.5).sum()


@pytest.mark.parametrize("figure", list(JOINTS))
def test_joints_lie_on_their_figure(figure):
    for seed in range(12):
        drawing = draw_figure(figure, random.Random(seed), mirror=seed % 2 == 1)
        assert drawing.joint_names == JOINTS[figure]
        item = canonical_item(figure, colors_for(figure)[0], 44.0)
        sprite = rasterize(drawing, item.inks, (64.0, 64.0), 100.0, 128)
        for name, (x, y) in sprite.joints.items():
            column, row = int(x - sprite.x), int(y - sprite.y)
            window = sprite.cover[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3]
            assert window.max() > 0.5, (name, seed)


def test_a_persons_left_is_on_the_right_and_near_paws_are_left_when_facing_left():
    for seed in range(10):
        person = draw_figure("man", random.Random(seed))
        at = dict(zip(person.joint_names, person.joint_points[:, 0], strict=True))
        assert at["left shoulder"] > at["right shoulder"] and at["left hip"] > at["right hip"]
    for mirror, near in ((False, "left"), (True, "right")):
        dog = draw_figure("dog", None, mirror)
        at = dict(zip(dog.joint_names, dog.joint_points[:, 0], strict=True))
        assert (at["nose"] < at["tail tip"]) != mirror
        inks = [ink for _, _, ink in dog.spans]
        # The far legs are drawn first, in an ink of their own.
        assert inks[0] == "far" and near in ("left", "right")


def test_face_parts_keep_their_order():
    for seed in range(20):
        face, _ = draw_face(random.Random(seed))
        assert face.joint_names == FACE_PARTS
        at = dict(zip(face.joint_names, face.joint_points, strict=True))
        assert at["left eye"][0] > at["right eye"][0] and at["left ear"][0] > at["right ear"][0]
        assert at["top of the head"][1] < at["nose"][1] < at["chin"][1]


@pytest.mark.parametrize("person", PERSONS)
def test_no_joint_of_a_person_is_behind_the_head_or_a_hand(person):
    for seed in range(60):
        drawing = draw_figure(person, random.Random(seed))
        # The last parts are drawn over the arms: skull and face.
        at = dict(zip(drawing.joint_names, drawing.joint_points, strict=True))
        for side in ("left", "right"):
            for joint in ("elbow", "wrist"):
                assert np.linalg.norm(at[f"{side} {joint}"] - at["nose"]) > 0.1
            assert np.linalg.norm(at[f"{side} wrist"] - at[f"{side} hip"]) > 0.05
        assert at["left ankle"][0] > at["right ankle"][0]
        assert at["left wrist"][0] > at["right wrist"][0]


@pytest.mark.parametrize("color", sorted(COLORS))
def test_the_second_ink_is_decided_by_the_colour_word(color):
    inks = [make_item(random.Random(seed), "star", color).inks for seed in range(40)]
    assert len({sum(ink["second"]) > sum(ink["body"]) for ink in inks}) == 1


@pytest.mark.parametrize("animal", ANIMALS)
def test_far_legs_are_told_from_near_ones(animal):
    near = "legs" if animal == "bird" else "body"
    far = "far legs" if animal == "bird" else "far"
    for color in colors_for(animal):
        item = canonical_item(animal, color, 40.0)
        bright, dark = sorted((sum(item.inks[near]), sum(item.inks[far])), reverse=True)
        assert dark <= 0.66 * bright and far in {ink for _, _, ink in item.drawing.spans}


def test_who_takes_a_womans_place_wears_the_canonical_trousers():
    woman = make_item(random.Random(3), "woman", "red", "big").moved(32, 32)
    woman.inks["trousers"] = (1, 2, 3)
    for color in (None, "blue"):
        _, man = replacement(random.Random(0), woman, "man", color)
        assert man.inks["trousers"] == inks_for("man", man.body)["trousers"]
        assert man.inks["skin"] == woman.inks["skin"]


def test_objects_stand_out_from_plain_backgrounds():
    for seed in range(40):
        rng = random.Random(seed)
        colors = [[COLORS[name]] for name in rng.sample(sorted(COLORS), 3)]
        back = background(rng, 0, 64, colors, [], "train")
        shade = back.pixels[0, 0]
        assert min(np.linalg.norm(shade - np.float32(c[0])) for c in colors) > 60


def test_photographs_of_the_splits_differ_and_missing_ones_name_the_extra(monkeypatch):
    assert not set(photos.TRAIN_PHOTOS) & set(photos.TEST_PHOTOS)
    crop = photos.crop(random.Random(1), 64, "test")
    assert crop.shape == (64, 64, 3) and crop.dtype == np.float32
    figures = {*PERSONS, *ANIMALS}
    for names in (photos.TRAIN_PHOTOS, photos.TEST_PHOTOS):
        assert any(name not in photos.SHOWS for name in names)
        assert sum(not figures & set(photos.SHOWS.get(name, ())) for name in names) >= 2
    monkeypatch.setattr(photographs.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"instructdiffusion\[scenes\]"):
        photos.photo.__wrapped__("chelsea.png")
