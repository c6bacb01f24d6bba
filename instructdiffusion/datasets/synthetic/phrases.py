"""Referring phrases: words for exactly one object of a scene, with a clear margin, or for none of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .canvas import SQUARE, Canvas
from .compose import Item
from .vocabulary import CATEGORIES, COLORS, GARMENTS, PERSONS, SHAPES, UNSEEN_PAIRS, colors_for, family

SIDES = ("leftmost", "rightmost", "topmost", "bottom")
RELATIONS = ("left of", "right of", "above", "below")
POSITION_MARGIN = 6.0  # units that a superlative is ahead of the next object
RELATION_MARGIN = 8.0  # units that centres are apart where "left of" is said
_TOWARD = {"left of": (-1, 0), "right of": (1, 0), "above": (0, -1), "below": (0, 1)}
_SIDE = {"leftmost": (-1, 0), "rightmost": (1, 0), "topmost": (0, -1), "bottom": (0, 1)}
_OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}


@dataclass(frozen=True)
class Phrase:
    """A description: a category with attributes ("" = not said), a superlative, a relation to another phrase."""

    category: str
    color: str = ""
    size: str = ""
    texture: str = ""
    side: str = ""
    relation: str = ""
    anchor: Phrase | None = None

    @property
    def words(self) -> str:
        """The phrase in English: "the small red star left of the circle"."""
        person = self.category in PERSONS
        lead = [w for w in (self.size, self.texture, "" if person else self.color, self.category) if w]
        if self.side in ("leftmost", "rightmost"):
            lead.insert(0, self.side)
        text = "the " + " ".join(lead)
        if person and self.color:
            text += f" in the {self.color} {GARMENTS[self.category]}"
        if self.side in ("topmost", "bottom"):
            text += " at the top" if self.side == "topmost" else " at the bottom"
        if self.anchor is not None:
            text += f" {self.relation} {self.anchor.words}"
        return text

    @property
    def tags(self) -> frozenset[str]:
        """What kinds of words it uses: attribute, position, relation."""
        kinds = {"attribute"} if self.color or self.size or self.texture else set()
        return frozenset(
            kinds | ({"position"} if self.side else set()) | ({"relation"} if self.anchor else set())
        )

    def fits(self, item: Item) -> bool:
        """Whether category and attributes hold for the item, whatever its place."""
        return (
            item.category == self.category
            and (not self.color or item.color == self.color)
            and (not self.size or item.size == self.size)
            and (not self.texture or item.texture == self.texture)
        )


def denotes(phrase: Phrase, items: Sequence[Item], canvas: Canvas = SQUARE) -> list[int] | None:
    """The rows a phrase means on a canvas, or None where a person could disagree (too close to call)."""
    rows = [row for row, item in enumerate(items) if phrase.fits(item)]
    if phrase.anchor is not None:
        anchors = denotes(phrase.anchor, items, canvas)
        if anchors is None or len(anchors) != 1:
            return None
        sure = []
        for row in rows:
            if row == anchors[0]:
                continue
            verdict = _stands(items[row], items[anchors[0]], phrase.relation)
            if verdict is None:
                return None
            if verdict:
                sure.append(row)
        rows = sure
    if phrase.side and rows:
        dx, dy = _SIDE[phrase.side]
        order = sorted(rows, key=lambda row: -(dx * items[row].x + dy * items[row].y))
        first = items[order[0]]
        # "at the top" is also said of the picture: what is topmost but low down is not there.
        if dy * (first.y - canvas.units[1] / 2) < 0:
            return None
        if len(order) > 1:
            second = items[order[1]]
            if dx * (first.x - second.x) + dy * (first.y - second.y) < POSITION_MARGIN:
                return None
        rows = order[:1]
    return rows


def _stands(item: Item, anchor: Item, relation: str) -> bool | None:
    """Whether `item` stands so to `anchor`; None where it is diagonal or too near to tell."""
    ux, uy = _TOWARD[relation]
    dx, dy = item.x - anchor.x, item.y - anchor.y
    ahead = ux * dx + uy * dy
    aside = abs(uy * dx) + abs(ux * dy)
    if ahead >= RELATION_MARGIN and aside <= ahead:
        return True
    if ahead <= 1.0 or (ahead < 4.0 and aside > 12.0):
        return False
    return None


def attribute_phrases(item: Item) -> list[Phrase]:
    """Every way to say an item with its attributes, shortest first."""
    sizes = ("",) if item.category in PERSONS else ("", item.size)
    textures = (
        ("", item.texture)
        if family(item.category) in ("shape", "thing") and item.texture != "plain"
        else ("",)
    )
    phrases = [
        Phrase(item.category, color=color, size=size, texture=texture)
        for color in ("", item.color)
        for size in sizes
        for texture in textures
    ]
    return sorted(phrases, key=lambda p: bool(p.color) + bool(p.size) + bool(p.texture))


def _minimal(phrases: list[Phrase]) -> list[Phrase]:
    """Those without a shorter one among them that says a part of the same words."""

    def within(a: Phrase, b: Phrase) -> bool:
        said = [(getattr(a, k), getattr(b, k)) for k in ("color", "size", "texture")]
        return any(x != y for x, y in said) and all(x in ("", y) for x, y in said)

    return [p for p in phrases if not any(within(q, p) for q in phrases)]


def refer(
    rng: random.Random, items: Sequence[Item], row: int, kind: str, canvas: Canvas = SQUARE
) -> Phrase | None:
    """A phrase that denotes exactly `items[row]`, of kind "attribute", "position" or "relation"; None: no way."""
    item = items[row]
    simple = attribute_phrases(item)
    if kind == "attribute":
        good = [p for p in simple if denotes(p, items, canvas) == [row]]
        if good and rng.random() < 0.75:
            good = _minimal(good)
        return rng.choice(good) if good else None
    if kind == "position":
        rivals = [(p, sum(p.fits(other) for other in items)) for p in simple]
        good = [
            replace(p, side=side)
            for p, count in rivals
            if count > 1
            for side in SIDES
            if denotes(replace(p, side=side), items, canvas) == [row]
        ]
        return rng.choice(_minimal(good)) if good else None
    if kind == "relation":
        good = []
        for other, anchor_item in enumerate(items):
            if other == row:
                continue
            anchors = _minimal([p for p in attribute_phrases(anchor_item) if denotes(p, items, canvas) == [other]])
            for anchor in anchors:
                for relation in RELATIONS:
                    said = [
                        Phrase(p.category, p.color, p.size, p.texture, "", relation, anchor) for p in simple
                    ]
                    good += _minimal([p for p in said if denotes(p, items, canvas) == [row]])
        # Best where the relation is what tells it from others that fit the rest of the words.
        telling = [p for p in good if denotes(replace(p, relation="", anchor=None), items, canvas) != [row]]
        good = telling or good
        return rng.choice(good) if good else None
    raise ValueError(f"expected 'attribute', 'position' or 'relation'; got {kind!r}")


def refer_to_nothing(
    rng: random.Random, items: Sequence[Item], kind: str, canvas: Canvas = SQUARE
) -> Phrase | None:
    """A phrase close to what is there that denotes nothing: one word or one relation is wrong."""
    item = rng.choice(list(items))
    good: list[Phrase] = []
    if kind == "relation":
        for row in range(len(items)):
            phrase = refer(rng, items, row, "relation", canvas)
            if phrase is not None:
                good.append(replace(phrase, relation=_OPPOSITE[phrase.relation]))
    else:
        colors = {other.color for other in items} | {rng.choice(colors_for(item.category))}
        categories = {other.category for other in items}
        side = rng.choice(SIDES) if kind == "position" else ""
        good += [Phrase(item.category, color=color, side=side) for color in sorted(colors)]
        good += [Phrase(category, color=item.color, side=side) for category in sorted(categories)]
        if item.category not in PERSONS and any(p.size != item.size for p in items):
            good.append(
                Phrase(item.category, item.color, "small" if item.size == "big" else "big", side=side)
            )
        if not side:  # and what is not there at all, in one word
            shapes = all(family(other.category) == "shape" for other in items)
            missing = [c for c in (SHAPES if shapes else CATEGORIES) if c not in categories]
            good += [Phrase(category) for category in rng.sample(missing, 2)]
        good = [p for p in good if plausible(p)]
    good = [p for p in good if denotes(p, items, canvas) == []]
    return rng.choice(good) if good else None


def plausible(phrase: Phrase) -> bool:
    """Whether training may say it: a colour the category can have, and no unseen pair."""
    if not phrase.color:
        return True
    return (
        phrase.color in COLORS
        and (phrase.color, phrase.category) not in UNSEEN_PAIRS
        and (phrase.color in colors_for(phrase.category))
    )
