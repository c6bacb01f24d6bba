"""Records of the tasks that look for things: segment, refer, detect, classify."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...results import Boxes, Label, Masks
from ..records import Record
from .compose import Scene
from .layout import Draw, record
from .phrases import Phrase, attribute_phrases, denotes, refer, refer_to_nothing
from .vocabulary import CATEGORIES, GROUPS, PERSONS, SHAPES, colors_for, family, plural, with_article


def _category_scene(draw: Draw) -> tuple[Scene, list[int], str, set[str]]:
    """A scene that is asked for all objects of a kind: scene, their rows, the words, tags."""
    if draw.extent is not None:
        return _extent_scene(draw)
    rng = draw.rng
    tags: set[str] = set()
    absent = draw.lacks(0.14)
    count = 0 if absent else rng.choices((1, 2, 3), (50, 30, 20))[0]
    group = draw.level >= 3 and not draw.unseen and draw.chance(0.08)
    if group:
        noun = rng.choice(list(GROUPS))
        members: tuple[str, ...] = GROUPS[noun]
        targets = [draw.item(rng.choice(members), size="small" if count > 1 else None) for _ in range(count)]
        phrase = rng.choice(("the {}", "all {}", "all the {}")).format(noun)
        placed = draw.place(targets + draw.crowd(rng.randint(0 if count else 1, 2), avoid=(*members, "fish")))
        scene = draw.paint(placed, members)
        rows = [r for r, item in enumerate(placed) if item.category in members]
        return scene, rows, phrase, tags | ({"absent"} if not rows else set())
    color: str | None = None
    if draw.unseen:
        color, category = draw.unseen_pair()
        tags.add("unseen-pair")
    else:
        category = draw.category()
    said = ""
    if draw.unseen or draw.chance(0.3) and category not in PERSONS:
        color = color or rng.choice(colors_for(category))
        said = color
        tags.add("attribute")
    size = None
    if count > 1:  # several must fit
        size = rng.choice(("small", "small", "big")) if family(category) == "shape" else "small"
    targets = [draw.item(category, color, size) for _ in range(count)]
    others = draw.crowd(rng.randint(0 if count else 1, 4 - count if count else 3), avoid=(category,))
    if said:  # something of the same category in another colour, something else in the same colour
        rival = rng.choice([c for c in colors_for(category) if c != said])
        if draw.chance(0.7):
            others.insert(0, draw.item(category, rival, "small"))
        if others and said in colors_for(others[-1].category) and others[-1].category != category:
            others[-1] = draw.item(others[-1].category, said, others[-1].size)
    placed = draw.place(targets)
    scene = draw.paint(placed + draw.place(others[: 4 - len(placed)], fixed=placed), (category,))
    if not scene.items:
        scene = draw.paint(
            draw.place([draw.item("circle" if category != "circle" else "square", size="small")])
        )
    rows = [r for r, i in enumerate(scene.items) if i.category == category and said in ("", i.color)]
    phrase = _called(draw, category, said, len(rows))
    return scene, rows, phrase, tags | ({"absent"} if not rows else set())


def _called(draw: Draw, category: str, said: str, count: int) -> str:
    """Words for all objects of a category, of which there are `count`; said: the colour, where it is said."""
    noun = f"{said} {category}".strip()
    many = f"{said} {plural(category)}".strip()
    if count == 1:
        return draw.rng.choice((f"the {noun}", f"the {noun}", f"the {noun}", f"the {many}", f"all {many}"))
    if count:
        return draw.rng.choice((f"the {many}", f"all {many}", f"all the {many}"))
    return draw.rng.choice((f"the {noun}", f"the {many}", f"all {many}"))


def _extent_scene(draw: Draw) -> tuple[Scene, list[int], str, set[str]]:
    """A scene that is asked for the one object of its kind, whose size is given: scene, its row, the words, tags."""
    rng = draw.rng
    category = draw.category()
    while not draw.fits_extent(category):
        category = draw.category()
    said = rng.choice(colors_for(category)) if category not in PERSONS and draw.chance(0.3) else ""
    target = draw.of_extent(draw.item(category, said or None))
    others = draw.crowd(rng.randint(1, 3), avoid=(category,))
    if said:  # something of the same category in another colour
        rival = rng.choice([c for c in colors_for(category) if c != said])
        others.insert(0, draw.item(category, rival, "small"))
    scene = draw.paint(draw.around(target, others), (category,))
    return scene, [0], _called(draw, category, said, 1), {"attribute"} if said else set()


def _masks(scene: Scene, rows: Sequence[int], label: str) -> Masks:
    if not rows:
        return Masks.empty(*scene.picture.shape[:2])
    return Masks(scene.masks[list(rows)], np.ones(len(rows), np.float32), (label,) * len(rows))


def segment_record(draw: Draw) -> Record:
    """All objects of a kind as masks."""
    scene, rows, phrase, tags = _category_scene(draw)
    return record(scene, (phrase,), _masks(scene, rows, phrase), sorted(tags), instances=len(rows))


def detect_record(draw: Draw) -> Record:
    """All objects of a kind as tight boxes of what is visible."""
    scene, rows, phrase, tags = _category_scene(draw)
    boxes = _masks(scene, rows, phrase).boxes()
    if not rows:
        boxes = Boxes.empty(*scene.picture.shape[:2])
    return record(scene, (phrase,), boxes, sorted(tags), instances=len(rows), masks=scene.masks[rows])


def refer_record(draw: Draw) -> Record:
    """The one object that a phrase means, or none that it could mean."""
    if draw.extent is not None:
        return _extent_refer_record(draw)
    rng = draw.rng
    kind = draw.telling((45, 30 if draw.level > 0 else 15, 35 if draw.level >= 3 else 0))
    absent = draw.lacks(0.12)
    phrase: Phrase | None
    for _ in range(6):
        items = draw.place(draw.rivals(kind))
        if len(items) < 2:
            continue
        row, phrase = 0, None
        if absent:
            phrase = refer_to_nothing(rng, items, kind, draw.canvas)
        elif draw.unseen:
            phrase = Phrase(items[0].category, items[0].color)
            phrase = phrase if denotes(phrase, items, draw.canvas) == [0] else None
        else:
            order = list(range(len(items)))
            rng.shuffle(order)
            phrases = ((r, refer(rng, items, r, kind, draw.canvas)) for r in order)
            row, phrase = next(((r, p) for r, p in phrases if p is not None), (0, None))
        if phrase is None:
            continue
        scene = draw.paint(items, (phrase.category,))
        rows = [] if absent else [row]
        tags = (
            set(phrase.tags) | ({"absent"} if absent else set()) | ({"unseen-pair"} if draw.unseen else set())
        )
        return record(scene, (phrase.words,), _masks(scene, rows, phrase.words), sorted(tags), kind=kind)
    # A single object needs no more than its category.
    color, category = draw.unseen_pair() if draw.unseen else (None, draw.category())
    items = draw.place([draw.item(category, color)])
    scene = draw.paint(items)
    phrase = Phrase(category, items[0].color)
    tags = {"attribute"} | ({"unseen-pair"} if draw.unseen else set())
    return record(scene, (phrase.words,), _masks(scene, [0], phrase.words), sorted(tags), kind="attribute")


def _extent_refer_record(draw: Draw) -> Record:
    """The one object that a phrase of attributes means, whose size is given, among its like."""
    while True:
        first, *others = draw.rivals("attribute")
        if not draw.fits_extent(first.category):
            continue
        items = draw.around(draw.of_extent(first), others)
        # What is big among its like may be small beside this one: sizes are not said.
        phrases = [p for p in attribute_phrases(items[0]) if not p.size and denotes(p, items) == [0]]
        if phrases:
            break
    phrase = draw.rng.choice(phrases)
    scene = draw.paint(items, (phrase.category,))
    return record(scene, (phrase.words,), _masks(scene, [0], phrase.words), sorted(phrase.tags), kind="attribute")


def classify_record(draw: Draw) -> Record:
    """One object and two to four categories, mostly its own among them."""
    rng = draw.rng
    tags = []
    color: str | None = None
    if draw.unseen:
        color, category = draw.unseen_pair()
        tags.append("unseen-pair")
    else:
        category = draw.category()
    item = draw.item(category, color, "big")
    item = replace(item, length=rng.uniform(24, 40) if family(category) != "person" else rng.uniform(36, 54))
    pool = SHAPES if draw.level == 0 else CATEGORIES
    near = [c for c in pool if c != category and family(c) == family(category)]
    far = [c for c in pool if c != category and family(c) != family(category)]
    count = rng.randint(2, 4)
    none = not draw.unseen and draw.lacks(0.08)
    wrong: list[str] = []
    while len(wrong) < count - (not none):
        other = rng.choice(near if not far or draw.chance(0.5) else far)
        if other not in wrong:
            wrong.append(other)
        elif len(wrong) >= len(near) and not far:
            break
    names = wrong if none else [*wrong, category]
    rng.shuffle(names)
    subjects = tuple(with_article(name) for name in names)
    scene = draw.paint(draw.place([item]), names)
    truth = None if none else with_article(category)
    label = Label(truth, {s: float(s == truth) for s in subjects})
    target = (label, np.zeros_like(scene.masks[0]) if none else scene.masks[0])
    return record(scene, subjects, target, tags + (["absent"] if none else []), category=category)
