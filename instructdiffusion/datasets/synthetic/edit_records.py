"""Records of the task edit: which operation on which object, and words that name it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..records import Record
from . import edit_operations
from .compose import LARGE, LARGE_ONLY, Item
from .layout import Draw, describe, record
from .phrases import Phrase, refer, refer_to_nothing
from .vocabulary import ANIMALS, PERSONS, SHAPES, THINGS, colors_for, family


def edit_record(draw: Draw) -> Record:
    """A picture before and after one operation in words; one that names nothing there changes nothing.

    On a long canvas it is the operation of the square with the same seed, but for words that do not hold there: how
    near an edit comes depends more on what is edited than on the picture's shape.
    """
    draw = replace(draw, spread=draw.canvas.height != draw.canvas.width)
    rng = draw.rng
    kind = rng.choices(edit_operations.OPERATIONS, edit_operations.WEIGHTS)[0]
    if draw.unseen and kind in ("style", "background"):
        kind = "add"
    if draw.absent:
        kind = _NAMING[rng.randrange(len(_NAMING))]
    made: edit_operations.Edit | None = None
    tags: set[str] = {"unseen-pair"} if draw.unseen else set()
    for _ in range(6):
        made = _OPERATIONS[kind](draw, tags)
        if made is not None:
            break
    if made is None:
        tags &= {"unseen-pair"}
        made = (_add_edit if draw.unseen else _style_edit)(draw, tags)
    meta = {
        "kind": made.kind,
        "changed": made.changed,
        "target_caption": describe(made.after_items, made.after_background),
    }
    return record(made.before, (made.words,), made.after, sorted(tags), **meta)


def _add_edit(draw: Draw, tags: set[str]) -> edit_operations.Edit:
    category = draw.category()
    color = draw.rng.choice(colors_for(category))
    if draw.unseen:
        color, category = draw.unseen_pair()
    words, item = edit_operations.added(draw.rng, category, color, draw.canvas)
    before = draw.place(draw.crowd(draw.rng.randint(0, 3)), fixed=[item])
    return edit_operations.painted(words, "add", draw.backdrop([*before, item]), before, [*before, item])


def _named(draw: Draw, tags: set[str]) -> tuple[list[Item], Phrase, int] | None:
    """Items with a phrase for one of them; row -1 where the phrase names nothing that is there."""
    rng = draw.rng
    if draw.unseen:
        items = draw.place(draw.rivals("attribute"))
        if len(items) < 2:
            return None
        phrase = Phrase(items[0].category, items[0].color)
        return items, phrase, 0
    kind = draw.telling((70, 15, 15 if draw.level >= 3 else 0))
    crowd = draw.rivals(kind) if kind != "attribute" or draw.chance(0.5) else draw.crowd(rng.randint(1, 3))
    items = draw.place(crowd)
    if not items:
        return None
    tags.difference_update(("absent", "attribute", "position", "relation"))
    if draw.lacks(0.08):
        nothing = refer_to_nothing(rng, items, kind, draw.canvas)
        if nothing is None:
            return None
        tags.update(nothing.tags, ["absent"])
        return items, nothing, -1
    row = rng.randrange(len(items))
    reference = refer(rng, items, row, kind, draw.canvas)
    if reference is None:
        return None
    tags.update(reference.tags)
    return items, reference, row


def _remove_edit(draw: Draw, tags: set[str]) -> edit_operations.Edit | None:
    target = _named(draw, tags)
    if target is None:
        return None
    items, phrase, row = target
    words = draw.rng.choice(("remove {}", "remove {}", "erase {}", "delete {}", "take away {}")).format(
        phrase.words
    )
    after = [item for r, item in enumerate(items) if r != row]
    return edit_operations.painted(words, "remove", draw.backdrop(items, (phrase.category,)), items, after)


def _replace_edit(draw: Draw, tags: set[str]) -> edit_operations.Edit | None:
    target = _named(draw, tags)
    if target is None:
        return None
    items, phrase, row = target
    rng = draw.rng
    old = items[row if row >= 0 else 0]
    kin = {"shape": SHAPES + THINGS, "thing": SHAPES + THINGS, "animal": ANIMALS, "person": PERSONS}[
        family(old.category)
    ]
    if draw.level == 0:
        kin = SHAPES
    if old.length < LARGE:
        kin = tuple(c for c in kin if c not in LARGE_ONLY)
    category = rng.choice([c for c in kin if c != old.category])
    keeps = old.color in colors_for(category) and draw.chance(0.6)
    color = None if keeps else rng.choice(colors_for(category))
    tail, new = edit_operations.replacement(rng, old, category, color)
    words = rng.choice(
        ("replace {} with {}", "replace {} with {}", "turn {} into {}", "change {} into {}")
    ).format(phrase.words, tail)
    if row < 0:
        return edit_operations.painted(words, "replace", draw.backdrop(items, (phrase.category,)), items, items)
    others = [item for r, item in enumerate(items) if r != row]
    x1, y1, x2, y2 = new.box
    across, down = draw.canvas.units
    if x1 < 0 or y1 < 0 or x2 > across or y2 > down or any(_touch(new.box, item.box) for item in others):
        return None
    after = list(items)
    after[row] = new
    return edit_operations.painted(words, "replace", draw.backdrop([*items, new]), items, after)


def _touch(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _recolour_edit(draw: Draw, tags: set[str]) -> edit_operations.Edit | None:
    rng = draw.rng
    target = _named(draw, tags)
    if target is None:
        return None
    items, phrase, row = target
    category = phrase.category
    others = [c for c in colors_for(category) if c != (items[row].color if row >= 0 else phrase.color)]
    color = rng.choice(others)
    words = edit_operations.recolour_words(rng, phrase, color)
    if row < 0:
        return edit_operations.painted(words, "recolour", draw.backdrop(items, (phrase.category,)), items, items)
    after = list(items)
    after[row] = edit_operations.recoloured(items[row], color)
    return edit_operations.painted(words, "recolour", draw.backdrop([*items, after[row]]), items, after)


def _style_edit(draw: Draw, tags: set[str]) -> edit_operations.Edit:
    scene = draw.paint(draw.place(draw.crowd(draw.rng.randint(1, 3))))
    words, name, after = edit_operations.style(draw.rng, scene.picture)
    return edit_operations.Edit(words, f"style: {name}", scene, after, scene.items, scene.background)


def _background_edit(draw: Draw, tags: set[str]) -> edit_operations.Edit | None:
    items = draw.place(draw.crowd(draw.rng.randint(1, 3)))
    color = edit_operations.far_color(draw.rng, [item.body for item in items])
    if color is None:
        return None
    words = draw.rng.choice(
        ("make the background {}", "paint the background {}", "change the background to {}")
    ).format(color)
    return edit_operations.on_plain(words, draw.backdrop(items), items, color)


# Operations on something that the words name, and so may name in vain.
_NAMING = ("remove", "replace", "recolour")
_OPERATIONS: dict[str, Callable[[Draw, set[str]], edit_operations.Edit | None]] = {
    "add": _add_edit,
    "remove": _remove_edit,
    "replace": _replace_edit,
    "recolour": _recolour_edit,
    "style": _style_edit,
    "background": _background_edit,
}
