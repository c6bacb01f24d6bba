"""What a record is drawn from: the random choices of objects, places and backgrounds that a level allows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ..records import Record
from .backgrounds import Background, background
from .canvas import UNIT, Canvas, Size
from .compose import LARGE, LARGE_ONLY, LENGTHS, Item, Scene, make_item, noun_phrase, paint, place
from .vocabulary import (
    ANIMALS,
    PERSONS,
    SHAPES,
    TEXTURES,
    THINGS,
    UNSEEN_PAIRS,
    colors_for,
    family,
    listed,
    with_article,
)

TELLING = ("attribute", "position", "relation")  # what words can tell one object from the others by
# Their weights in a record made to ask for what is not there: a wrong relation is hardest to see, a position of what
# is not there easiest.
_ABSENT = (35, 5, 60)


@dataclass(frozen=True)
class Draw:
    """The random numbers, level, size and split of one record.

    unseen: it shows a pair that training never sees; absent: it asks for what is not there, where its task can.
    extent: it asks for one object whose longer side is that share of the picture's shorter one.
    spread: objects find their places in a square, and are moved apart as the canvas is longer: the random numbers that
        follow, and so what is asked, are the square's.
    """

    rng: random.Random
    level: int
    size: Size
    split: str
    unseen: bool
    absent: bool = False
    extent: float | None = None
    spread: bool = False

    @cached_property
    def canvas(self) -> Canvas:
        """What the record is laid out on."""
        return Canvas.of(self.size)

    def chance(self, probability: float) -> bool:
        """True with that probability, 0..1; one random number is spent."""
        return self.rng.random() < probability

    def lacks(self, probability: float) -> bool:
        """Whether the record asks for what is not there: with `probability` where that is left to chance."""
        rolled = self.chance(probability)  # in any case: a record asked for by force spends the same numbers
        return (rolled or self.absent) and not self.unseen

    def category(self) -> str:
        """A category that the level has."""
        if self.level == 0:
            return self.rng.choice(SHAPES)
        return self.rng.choice(self.rng.choices((SHAPES, THINGS, ANIMALS, PERSONS), (44, 22, 20, 14))[0])

    def texture(self) -> str:
        """A texture: "plain" at level 0, and mostly above it."""
        return self.rng.choice(TEXTURES[1:]) if self.level > 0 and self.chance(0.2) else "plain"

    def item(self, category: str | None = None, color: str | None = None, size: str | None = None) -> Item:
        """An object, not placed yet; what is left open is drawn."""
        return make_item(self.rng, category or self.category(), color, size, self.texture())

    def crowd(self, count: int, avoid: Sequence[str] = ()) -> list[Item]:
        """Random objects, at most two of them big, none of the categories to avoid."""
        items: list[Item] = []
        while len(items) < count:
            category = self.category()
            if category not in avoid:
                big = self.chance(0.5) and sum(item.size == "big" for item in items) < 2
                items.append(self.item(category, size="big" if big else "small"))
        return items

    def of_extent(self, item: Item) -> Item:
        """The object with its longer side as `extent` says, called small or big as its kind would be."""
        assert self.extent is not None
        length = self.extent * UNIT
        (_, small), (big, _) = LENGTHS[family(item.category)]
        return replace(item, length=length, size="small" if length < (small + big) / 2 else "big")

    def fits_extent(self, category: str) -> bool:
        """Whether a thing of the extent shows its category: a hexagon too short is a circle to the eye."""
        return category not in LARGE_ONLY or (self.extent or 0) * UNIT >= LARGE

    def around(self, first: Item, others: Sequence[Item]) -> list[Item]:
        """The first item where there is room for it, and clear of it the others that find some."""
        placed = place(self.rng, [first], canvas=self.canvas)
        return placed + place(self.rng, others, placed, canvas=self.canvas)

    def place(self, items: Sequence[Item], fixed: Sequence[Item] = (), tries: int = 40) -> list[Item]:
        """The items that find room; from level 2 now and then a little behind one another."""
        # A box reaches at most 1.2 units into another one: a tenth of the smallest object.
        gap = -1.2 if self.level >= 2 and self.chance(0.3) else 1.0
        if not self.spread:
            return place(self.rng, items, fixed, gap, tries, self.canvas)
        x, y = (length / UNIT for length in self.canvas.units)
        placed = place(self.rng, items, [item.moved(item.x / x, item.y / y) for item in fixed], gap, tries)
        return [item.moved(item.x * x, item.y * y) for item in placed]

    def backdrop(self, items: Sequence[Item], colors: Sequence[str] = ()) -> Background:
        """A background that the items stand out from; no photograph of their categories or of those asked for."""
        across, down = self.canvas.units
        boxes = [tuple(v / s for v, s in zip(item.box, (across, down, across, down))) for item in items]
        without = {*colors, *(item.category for item in items)}
        inks = [item.colors for item in items]
        return background(self.rng, self.level, self.size, inks, boxes, self.split, without)

    def paint(self, items: Sequence[Item], colors: Sequence[str] = ()) -> Scene:
        """The items before such a background."""
        return paint(self.backdrop(items, colors), items)

    def unseen_pair(self) -> tuple[str, str]:
        """A (colour, category) pair that training never sees."""
        return self.rng.choice(sorted(p for p in UNSEEN_PAIRS if self.level > 0 or p[1] in SHAPES))

    def telling(self, weights: tuple[int, int, int]) -> str:
        """One of `TELLING`, drawn with these weights; from level 3 with others where the record asks in vain."""
        vain = self.absent and self.level >= 3
        return self.rng.choices(TELLING, _ABSENT if vain else weights)[0]

    def rivals(self, kind: str) -> list[Item]:
        """Objects that share categories, colours and sizes, so that the words of a phrase matter."""
        rng = self.rng
        if self.unseen:
            color, category = self.unseen_pair()
            pool = [c for c in (SHAPES if self.level == 0 else SHAPES + THINGS) if color in colors_for(c)]
            other = rng.choice([c for c in pool if c != category])
            rival = rng.choice([c for c in colors_for(category) if c != color])
            return [
                self.item(category, color),
                self.item(category, rival, "small"),
                self.item(other, color, "small"),
            ]
        first = self.category()
        second = self.category()
        while second == first:
            second = rng.choice(SHAPES) if self.chance(0.5) else self.category()
        count = rng.randint(2, 4) if kind == "attribute" else rng.randint(3, 4)
        shared = [c for c in colors_for(first) if c in colors_for(second)]
        colors = (
            rng.sample(shared, 2) if self.chance(0.7) else [rng.choice(colors_for(first)), rng.choice(shared)]
        )
        textures = ["plain", self.texture() if self.chance(0.8) else "plain"]
        rivals = []
        for i in range(count):
            category = first if i == 0 or self.chance(0.6) else second
            crowded = category in ANIMALS + PERSONS and count > 2
            size = "small" if crowded or i > 0 and self.chance(0.65) else None
            fitting = [c for c in colors if c in colors_for(category)] or list(colors_for(category))
            rivals.append(make_item(rng, category, rng.choice(fitting), size, rng.choice(textures)))
        return rivals


def where(back: str) -> str:
    """The background as the end of a caption."""
    return f" with {with_article(back)}" if "sky" in back else f" on {with_article(back)}"


def describe(items: Sequence[Item], back: str) -> str:
    """A short plain description of a picture."""
    if not items:
        return with_article(back)
    return listed([with_article(noun_phrase(item, size=True)) for item in items]) + where(back)


def record(scene: Scene, subjects: tuple[str, ...], target: Any, tags: Sequence[str], **meta: Any) -> Record:
    """The record of a painted scene, captioned by what it shows."""
    return Record(
        scene.picture, subjects, target, describe(scene.items, scene.background), frozenset(tags), meta
    )
