"""Augmentation: another view of a record, with its target and its words changed as the picture is.

The paper's, task by task, and what it left to chance made sure: one view for the picture and all that lies on
it, left and right exchanged in joints and words when a picture is mirrored, no mirror where that would not do
(letters, numbers, clock hands), both pictures of a pair treated as one. Colours stay as they are: words name
them. A record's augmentation is a pure function of the record and a seed.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..decoding import smallest_area
from ..imaging import rasterize
from ..results import Boxes, Keypoints, Masks
from ..tasks import get_task
from .readers.joints import mirrored, sure_of_sides
from .readers.topdown import MARGIN, MOST
from .records import Record
from .views import View

FLIP = 0.5
SCALE, TURN, TURNED, MANY = 0.35, 45.0, 0.6, 8  # of people: the paper's
ZOOM = 0.75  # the side of a square crop, as a share of the shorter side of the picture, at least
_TRIES = 8

# What a mirror would make wrong, and no exchange of words would mend.
_FIXED = re.compile(
    r"\b(?:texts?|letters?|words?|writ(?:e|es|ing|ten)|says?|saying|reads?|reading|logos?|signs?|labels?|numbers?|"
    r"digits?|captions?|(?:anti|counter-?)?clock(?:wise)?|east|west|eastern|western|rotat\w*|mirror\w*|flip\w*)\b"
    r"|[\d\"\u201c\u201d]",
    re.IGNORECASE,
)
# Words of place: what they mean depends on all of the picture.
_PLACE = re.compile(
    r"\b(?:left\w*|right\w*|middle|cent(?:er|re)\w*|top\w*|bottom\w*|upper\w*|lower\w*|edge|corner|side|first|second|third|fourth|fifth|last|\d(?:st|nd|rd|th)|row|between|front|back|behind|"
    r"l|r|lft|lt|rt|rgt|rght|lhs|rhs|nearest|closest|far|farthest|furthest|foreground|background|half|above|below|under|end|\w+most)\b|\d",
    re.IGNORECASE,
)
_UPPER = ("nose", "eye", "ear", "shoulder", "elbow", "wrist", "neck", "head", "thorax")


def augment(record: Record, task: str, seed: int, size: int) -> Record:
    """The record as `seed` shows it, `size` pixels square; a pure function of the arguments.

    People (keypoints with a box in `meta`): `meta["margin"]` times the box, larger or smaller, turned, in the share
    `meta["half_body"]` half of a body of more than eight joints; then 1 to 5 of the joints asked for, none hidden by
    another's disc. Masks and boxes: a
    square crop; of a phrase, one that holds what it means, and the whole picture where it has words of place.
    Pairs for restoration: a square crop of both, noise at its own scale. Edits: the whole pictures.

    What a crop removes is gone from the target, and the tags say so ("absent", "hidden"). meta: view (the
    matrix [2, 3] from the record's points to the view's), mirrored. ValueError for a size below 8.
    """
    rng = random.Random(f"augment {int(seed)}")
    view = looked_at(record, view_of(record, task, rng, size))
    if isinstance(view.target, Keypoints):
        view = some_joints(view, rng)
    words = " ; ".join(record.subjects)
    if rng.random() < FLIP and get_task(task).mirrorable and _may_be_mirrored(words, record.caption):
        return mirrored(view)
    return view


def _may_be_mirrored(words: str, caption: str) -> bool:
    """Whether a mirrored picture has words that are true: theirs, with left and right exchanged."""
    return not _FIXED.search(words) and sure_of_sides(words) and sure_of_sides(caption)


def fitted(record: Record, task: str, size: int, seed: int = 0) -> Record:
    """The record as training shows it, without chance in the picture: what a validation looks at.

    seed: for the joints asked for, where there are more than five.
    """
    view = looked_at(record, view_of(record, task, None, size))
    return some_joints(view, random.Random(f"fit {seed}")) if isinstance(view.target, Keypoints) else view


def view_of(record: Record, task: str, rng: random.Random | None, size: int) -> View:
    """The view of a record that `rng` draws (None: the plain one), `size` pixels square."""
    if size < 8:
        raise ValueError(f"expected a size of at least 8 pixels, got {size}")
    h, w = record.image.shape[:2]
    square, short, target = (size, size), min(h, w), record.target
    whole = View.of_window((0, 0, w, h), square)
    if isinstance(target, Keypoints) and "box" in record.meta:
        return _person(record, rng, square)
    augmentation = get_task(task).augmentation
    if augmentation.startswith("pair"):
        side = float(min(short, size) if augmentation == "pair_unscaled" else short)
        return View.of_window(_square(h, w, side, rng), square)
    if rng is None or augmentation == "whole":
        return whole
    if augmentation == "phrase" and isinstance(target, Masks):
        held = target.boxes().xyxy if len(target) and target.data.any() else None
        # Phrases of what is not there stay so in any crop, but one of place may come true in a part.
        if _PLACE.search(" ; ".join(record.subjects)):
            return whole
        need = 0.0 if held is None else float((held[:, 2:].max(0) - held[:, :2].min(0)).max())
        side = max(short * rng.uniform(ZOOM, 1.0), need)
        if side > short:
            return whole
        box = None if held is None else (*held[:, :2].min(0).tolist(), *held[:, 2:].max(0).tolist())
        return View.of_window(_square(h, w, side, rng, box), square)
    for _ in range(_TRIES):
        view = View.of_window(_square(h, w, short * rng.uniform(ZOOM, 1.0), rng), square)
        if _clean(view, target):
            return view
    return whole


def _clean(view: View, target: Any) -> bool:
    """Whether nothing is cut to a sliver that nobody would recognise, or see."""
    if isinstance(target, Boxes):
        edges, (height, width) = view.boxes(target.xyxy), view.size
        x1, y1, x2, y2 = edges.T
        whole = (x1 >= 0) & (y1 >= 0) & (x2 <= width) & (y2 <= height)
        beside = (x2 <= 0) | (y2 <= 0) | (x1 >= width) | (y1 >= height)
        return bool((whole | beside).all())  # half a thing's box is not the box of its half
    if isinstance(target, Masks) and len(target):
        left = int(view.mask(target.union()).sum())
        return left == 0 or left >= smallest_area(view.size[0] * view.size[1])
    return True


def _square(
    h: int, w: int, side: float, rng: random.Random | None, held: Sequence[float] | None = None
) -> tuple[float, float, float, float]:
    """A square of whole pixels in a picture of (h, w), in the middle without `rng`; around the box `held`."""
    length = max(1, min(round(side), h, w))
    corner = []
    for axis, extent in enumerate((w, h)):
        low, high = 0, extent - length
        if held is not None:
            low = max(low, int(np.ceil(held[axis + 2])) - length)
            high = max(low, min(high, int(held[axis])))
        corner.append((low + high) // 2 if rng is None else rng.randint(low, high))
    return corner[0], corner[1], corner[0] + length, corner[1] + length


def _person(record: Record, rng: random.Random | None, square: tuple[int, int]) -> View:
    """The paper's view of a person: around the box, larger or smaller by up to 35 %, turned by up to 90 degrees."""
    window = record.meta.get("window", (0, 0))
    box = np.asarray(record.meta["box"], np.float64) - [*window[:2], *window[:2]]
    margin = float(record.meta.get("margin", MARGIN))
    angle = 0.0
    if rng is not None:
        if (
            rng.random() < record.meta.get("half_body", 0.0)
            and (half := _half(record.target, rng)) is not None
        ):
            box, margin = half, 1.5
        margin *= min(max(rng.gauss(1, SCALE), 1 - SCALE), 1 + SCALE)
        if rng.random() < TURNED:
            angle = min(max(rng.gauss(0, TURN), -2 * TURN), 2 * TURN)
    side = max(8.0, float(max(box[2] - box[0], box[3] - box[1])) * margin)
    center = (float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2)
    return View(center, (side, side), square, angle)


def _half(target: Keypoints, rng: random.Random) -> np.ndarray | None:
    """The box of the joints above or below the hips, of people with more than eight joints (None: of others)."""
    if len(target) != 1 or target.visible.sum() <= MANY:
        return None
    upper = np.array([any(part in name for part in _UPPER) for name in target.names])
    halves = [target.visible[0] & upper, target.visible[0] & ~upper]
    chosen = halves[int(rng.random() < 0.5)]
    if chosen.sum() < 3:
        return None
    xy = target.xy[0, chosen]
    return np.concatenate([xy.min(0), xy.max(0)]).astype(np.float64)


def looked_at(record: Record, view: View) -> Record:
    """The record through a view: picture, target and tags; meta keeps what does not lie on the picture."""
    target = view.target(record.target)
    tags = record.tags - {"absent", "hidden"}
    if isinstance(target, (Masks, Boxes)):
        tags |= set() if len(target) else {"absent"}
    elif isinstance(target, Keypoints):
        tags |= _missing(target)
    elif isinstance(target, tuple):
        tags |= set() if target[0].name is not None else {"absent"}
    else:
        tags = record.tags
    placeless = {
        k: v for k, v in record.meta.items() if not isinstance(v, np.ndarray) or v.ndim < 2 or k == "joints"
    }
    meta = {**placeless, "view": view.matrix.tolist()}
    return replace(record, image=view.picture(record.image), target=target, tags=frozenset(tags), meta=meta)


def some_joints(record: Record, rng: random.Random) -> Record:
    """1 to 5 of a record's points, drawn whether they show or not, and none whose disc another's would hide."""
    target: Keypoints = record.target
    radius = rasterize.disc_radius(*target.canvas_size)
    total = len(target.names)
    count = rng.randint(1, MOST) if total > MOST else total
    chosen: list[int] = []
    for column in rng.sample(range(total), total):
        near = [
            other
            for other in chosen
            for row in range(len(target))
            if target.visible[row, column] and target.visible[row, other]
            and np.hypot(*(target.xy[row, column] - target.xy[row, other])) <= radius
        ]  # fmt: skip
        if not near:
            chosen.append(column)
        if len(chosen) == count:
            break
    columns = sorted(chosen) if total <= MOST else chosen
    points = replace(
        target,
        xy=target.xy[:, columns],
        visible=target.visible[:, columns],
        scores=target.scores[:, columns],
        names=tuple(target.names[c] for c in columns),
    )
    names = record.subjects if len(record.subjects) == total else target.names
    subjects = tuple(names[c] for c in columns)
    tags = record.tags - {"absent", "hidden"} | _missing(points)
    return replace(record, subjects=subjects, target=points, tags=tags)


def _missing(target: Keypoints) -> frozenset[str]:
    visible = target.visible
    if visible.size and visible.all():
        return frozenset()
    return frozenset({"hidden" if visible.any() else "absent"})
