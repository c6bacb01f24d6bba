"""Records of named points: joints of figures (keypoints) and parts of faces (align)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...results import Keypoints
from ..records import Record
from .canvas import UNIT, Canvas
from .compose import Item, Scene
from .faces import FACE_PARTS, draw_face
from .figures import JOINTS
from .layout import Draw, record, where
from .phrases import refer
from .sprites import Point
from .vocabulary import ANIMALS, PERSONS, SHAPES, THINGS, UNSEEN_JOINTS

JOINT_GAP = 5.2  # units that joints asked for together are apart, so that their marks hardly touch
EDGE = 2.5  # units from the picture's edge inside which a joint is neither well inside nor well outside
WORDS = 46  # words and commas that an instruction may have
CLAUSE = 6  # of them for a joint, besides its name: "mark the spot of ... in red ,"


def _in_units(draw: Draw, scene: Scene) -> dict[str, Point]:
    """The joints of the first item, in units."""
    scale = draw.canvas.scale
    return {name: (x / scale, y / scale) for name, (x, y) in scene.joints[0].items()}


def _spread(rng: random.Random, points: dict[str, Point], names: Sequence[str], most: int) -> list[str]:
    """Up to `most` of the names, in random order, whose points are apart from one another."""
    chosen: list[str] = []
    for name in rng.sample(list(names), len(names)):
        if len(chosen) >= most:
            break
        x, y = points[name]
        if all((x - points[o][0]) ** 2 + (y - points[o][1]) ** 2 >= JOINT_GAP**2 for o in chosen):
            chosen.append(name)
    return chosen


def _fitting(joints: Sequence[str], owner: str) -> list[str]:
    """As many of the joints as an instruction has room for: at most 6 words and a comma a clause besides the joint."""
    chosen: list[str] = []
    room = WORDS - 1 - len(owner.split()) - (1 if owner else 0)
    for joint in joints:
        room -= len(joint.split()) + 1 + CLAUSE
        if room < 0 and chosen:
            break
        chosen.append(joint)
    return chosen


def _points(
    draw: Draw, scene: Scene, row: int, joints: Sequence[str], subjects: tuple[str, ...]
) -> Keypoints:
    """The joints of an item (row -1: of nothing) as Keypoints; outside of the picture is not visible."""
    xy = np.zeros((1, len(joints), 2), np.float32)
    visible = np.zeros((1, len(joints)), bool)
    if row >= 0:
        for column, joint in enumerate(joints):
            x, y = scene.joints[row][joint]
            if 0 <= x < draw.canvas.width and 0 <= y < draw.canvas.height:
                xy[0, column], visible[0, column] = (x, y), True
    scores = visible.astype(np.float32)
    return Keypoints(xy, visible, scores, subjects, draw.canvas.shape)


def _extent(item: Item, canvas: Canvas) -> dict[str, Any]:
    """The item's `box` (x, y, width, height) inside the picture, in pixels, and its `area`: an OKS's scale."""
    x1, y1, x2, y2 = (v * canvas.short / UNIT for v in item.box)
    width, height = min(x2, canvas.width) - max(x1, 0), min(y2, canvas.height) - max(y1, 0)
    return {"box": (max(x1, 0), max(y1, 0), width, height), "area": float(width * height)}


def keypoints_record(draw: Draw) -> Record:
    """One or two figures and one to five joints of one of them; some of them outside, or the figure not there."""
    rng = draw.rng
    forced = rng.choice(sorted(UNSEEN_JOINTS)) if draw.unseen else None
    category = forced[1] if forced else rng.choice(PERSONS + PERSONS + ANIMALS)
    two = draw.level > 0 and draw.chance(0.35)
    absent = forced is None and draw.chance(0.08)
    cut = forced is None and not absent and not two and draw.chance(0.06)
    names = [category]
    if two:
        same = draw.level >= 3 and draw.chance(0.3)
        names.append(category if same else rng.choice([c for c in PERSONS + ANIMALS if c != category]))
    placed = draw.place([_figure(draw, name, two) for name in names], tries=120)
    if cut:
        placed = [_over_edge(rng, placed[0], draw.canvas)]
    elif not two and draw.level > 0 and draw.chance(0.5):
        beside = [c for c in SHAPES + THINGS if c != "fish"]  # it has an eye and a tail of its own
        extra = [draw.item(rng.choice(beside), size="small") for _ in range(rng.randint(1, 2))]
        placed += draw.place(extra, fixed=placed)
    meta: dict[str, Any] = {"figure": category, **_extent(placed[0], draw.canvas)}
    if absent:
        scene = draw.paint(placed, PERSONS + ANIMALS)
        del meta["box"]  # what is asked for has none
        meta["figure"] = stranger = rng.choice([c for c in PERSONS + ANIMALS if c not in names])
        joints = _fitting(rng.sample(_allowed(stranger), rng.randint(1, 4)), stranger)
        subjects = tuple(f"the {joint} of the {stranger}" for joint in joints)
        target = _points(draw, scene, -1, joints, subjects)
        return record(scene, subjects, target, ["absent"], joints=tuple(joints), **meta)
    owner = f"the {category}" if draw.chance(0.3) else ""
    tags: set[str] = set()
    if len(placed) > 1 and placed[1].category in JOINTS:
        phrase = refer(rng, placed, 0, "attribute") or refer(rng, placed, 0, "position", draw.canvas)
        if phrase is None:  # no words tell the two apart: the picture is asked with one of them
            placed = placed[:1]
        else:
            owner = phrase.words
            tags |= phrase.tags
    scene = draw.paint(placed, PERSONS + ANIMALS)
    points = _in_units(draw, scene)
    clear = [joint for joint in _allowed(category) if not _on_edge(points[joint], draw.canvas)]
    joints = [forced[0]] if forced else _fitting(_spread(rng, points, clear, rng.randint(1, 5)), owner)
    if forced:
        tags.add("unseen-pair")
    subjects = tuple(f"the {joint} of {owner}" if owner else f"the {joint}" for joint in joints)
    target = _points(draw, scene, 0, joints, subjects)
    if not target.visible.all():
        tags.add("hidden")
    return record(scene, subjects, target, sorted(tags), joints=tuple(joints), **meta)


def _figure(draw: Draw, category: str, two: bool) -> Item:
    """A figure large enough for its joints to be told apart, smaller where two share the picture."""
    person = category in PERSONS
    low, high = ((32, 38) if person else (26, 31)) if two else ((42, 56) if person else (36, 48))
    return replace(draw.item(category, size="big"), length=draw.rng.uniform(low, high))


def _over_edge(rng: random.Random, item: Item, canvas: Canvas) -> Item:
    """The item pushed to the left, right or lower edge so that a part of it is outside."""
    x1, _, x2, y2 = item.box
    part = rng.uniform(0.2, 0.4)
    width, height = canvas.units
    right, down = rng.choice(
        ((-x1 - part * (x2 - x1), 0), (width - x2 + part * (x2 - x1), 0), (0, height - y2 + part * item.length))
    )
    return item.moved(item.x + right, item.y + down)


def _allowed(category: str) -> list[str]:
    """The joints of a figure that training may ask for."""
    return [joint for joint in JOINTS[category] if (joint, category) not in UNSEEN_JOINTS]


def align_record(draw: Draw) -> Record:
    """A large face and one to five of its parts; now and then a picture without a face."""
    rng = draw.rng
    if draw.chance(0.06):
        # A fish has an eye; animals have no brows and, seen from the side, no mouth corner left and right.
        animals = draw.level > 0 and draw.chance(0.35)
        avoid = (*PERSONS, "fish") if animals else (*PERSONS, *ANIMALS, "fish")
        scene = draw.paint(draw.place(draw.crowd(rng.randint(0, 3), avoid=avoid)), ("face", "cat"))
        names = [p for p in FACE_PARTS if not animals or p.endswith(("eyebrow", "mouth corner"))]
        parts = rng.sample(names, rng.randint(1, min(4, len(names))))
        subjects = tuple(f"the {part}" for part in parts)
        quarter = draw.canvas.height * draw.canvas.width / 4
        meta: dict[str, Any] = {"figure": "face", "joints": tuple(parts), "area": quarter}
        return record(scene, subjects, _points(draw, scene, -1, parts, subjects), ["absent"], **meta)
    face = face_item(draw)
    scene = draw.paint([face], ("cat",))
    points = _in_units(draw, scene)
    clear = [p for p in FACE_PARTS if not _on_edge(points[p], draw.canvas)]
    parts = _fitting(_spread(rng, points, clear, rng.randint(1, 5)), "")
    subjects = tuple(f"the {part}" for part in parts)
    meta = {"figure": "face", "joints": tuple(parts), **_extent(face, draw.canvas)}
    target = _points(draw, scene, 0, parts, subjects)
    return Record(scene.picture, subjects, target, "a face" + where(scene.background), frozenset(), meta)


def _on_edge(point: Point, canvas: Canvas) -> bool:
    """Whether a joint is so near to the picture's edge that it is neither well inside nor well outside."""
    return any(-EDGE < v < EDGE or end - EDGE < v < end + EDGE for v, end in zip(point, canvas.units))


def face_item(draw: Draw) -> Item:
    """A face of random size, placed."""
    drawing, inks = draw_face(draw.rng)
    inks = {**inks, "body": inks["skin"], "dark": (25, 25, 28), "light": (250, 250, 250)}
    item = Item("face", "", "big", "plain", drawing, inks, draw.rng.uniform(38, 58))
    return draw.place([item], tries=400)[0]
