"""Edits with an exact result: the words, the picture before and the picture after."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .backgrounds import CLEAR, Background, plain
from .canvas import SQUARE, Canvas
from .compose import LARGE_ONLY, MARGIN, Item, Scene, canonical_item, inks_for, paint
from .phrases import Phrase
from .vocabulary import COLORS, GARMENTS, PERSONS, Rgb, family, with_article

OPERATIONS = ("add", "remove", "replace", "recolour", "style", "background")
WEIGHTS = (24, 20, 20, 18, 12, 6)
PLACES: dict[str, tuple[float, float]] = {
    "on the left": (0.2, 0.5),
    "on the right": (0.8, 0.5),
    "at the top": (0.5, 0.2),
    "at the bottom": (0.5, 0.8),
    "in the middle": (0.5, 0.5),
    "in the top left corner": (0.2, 0.2),
    "in the top right corner": (0.8, 0.2),
    "in the bottom left corner": (0.2, 0.8),
    "in the bottom right corner": (0.8, 0.8),
}
# The longer side that "small", no word and "big" stand for, in units.
ADDED_LENGTHS = {
    "shape": {"small": 14.0, "": 20.0, "big": 27.0},
    "thing": {"small": 16.0, "": 22.0, "big": 29.0},
    "animal": {"small": 20.0, "": 26.0, "big": 33.0},
    "person": {"small": 26.0, "": 34.0, "big": 44.0},
}


@dataclass(frozen=True)
class Edit:
    """What is asked in words and both pictures; `changed` bool [h, w] is where they differ."""

    words: str
    kind: str
    before: Scene
    after: np.ndarray
    after_items: tuple[Item, ...]
    after_background: str

    @property
    def changed(self) -> np.ndarray:
        """Where the two pictures differ, bool [h, w]."""
        return (self.before.picture != self.after).any(2)


def _described(category: str, color: str, size: str = "") -> str:
    if category in PERSONS:
        return with_article(f"{size} {category}".strip()) + f" in {with_article(color)} {GARMENTS[category]}"
    return with_article(" ".join(w for w in (size, color, category) if w))


def added(rng: random.Random, category: str, color: str, canvas: Canvas = SQUARE) -> tuple[str, Item]:
    """Words that add an object, and the object as these words alone determine it."""
    size = rng.choice(("", "", "small", "big") if category not in LARGE_ONLY else ("", "", "big"))
    words, (fx, fy) = rng.choice(list(PLACES.items()))
    item = canonical_item(category, color, ADDED_LENGTHS[family(category)][size], size)
    w, h = (e * item.length / 2 + MARGIN for e in item.drawing.extent)
    across, down = canvas.units
    x, y = min(max(fx * across, w), across - w), min(max(fy * down, h), down - h)
    verb = rng.choice(("add", "add", "draw", "put"))
    return f"{verb} {_described(category, color, size)} {words}", item.moved(x, y)


def replacement(rng: random.Random, old: Item, category: str, color: str | None) -> tuple[str, Item]:
    """The tail of the words ("with a green star") and the new object: same centre, length and facing.

    Without a colour in the words it keeps the old one's colour; a person keeps skin, hair and shown trousers.
    """
    inks = inks_for(category, COLORS[color] if color else old.body, garment=COLORS[color or old.color])
    if category in PERSONS and old.category in PERSONS:
        # A woman's picture shows no trousers that a man or child in her place could keep.
        same = ("skin", "hair", "lips", "blush", *(("trousers",) if old.category != "woman" else ()))
        inks.update({k: old.inks[k] for k in same})
    # Only figures have a facing worth keeping; a shape or thing comes upright.
    new = canonical_item(
        category, color or old.color, old.length, old.size, old.mirror and family(category) == "animal"
    )
    new = replace(new, inks=inks).moved(old.x, old.y)
    words = _described(category, color) if color else with_article(category)
    return words, new


def recoloured(old: Item, color: str) -> Item:
    """The same object in another colour; what is not its body (skin, wheels, trunk) stays."""
    inks = inks_for(old.category, COLORS[color])
    same = {
        k: v
        for k, v in old.inks.items()
        if k in ("skin", "hair", "lips", "blush", "ears", "trousers", "shoes", "roof", "core")
    }
    if family(old.category) == "animal":
        same = {}
    return replace(old, color=color, inks={**inks, **same})


def _gray(picture: np.ndarray) -> np.ndarray:
    return np.repeat((picture @ np.float32([0.299, 0.587, 0.114]))[..., None], 3, 2)


STYLES: dict[str, tuple[tuple[str, ...], Callable[[np.ndarray], np.ndarray]]] = {
    "gray": (("make it gray", "turn it black and white", "take the colors away"), _gray),
    "sepia": (
        ("make it sepia", "make it look like an old photo"),
        lambda p: _gray(p) * np.float32([1.05, 0.85, 0.62]) + np.float32([18, 10, 0]),
    ),
    "invert": (("invert the colors", "make it a negative"), lambda p: 255 - p),
    "brighter": (("make it brighter", "make it lighter"), lambda p: 255 - (255 - p) * np.float32(0.6)),
    "darker": (("make it darker", "turn the light down"), lambda p: p * np.float32(0.55)),
    "warmer": (("make it warmer",), lambda p: p * np.float32([1.0, 0.86, 0.66]) + np.float32([30, 8, 0])),
    "colder": (
        ("make it colder", "make it cooler"),
        lambda p: p * np.float32([0.66, 0.86, 1.0]) + np.float32([0, 8, 30]),
    ),
}


def style(rng: random.Random, picture: np.ndarray) -> tuple[str, str, np.ndarray]:
    """Words, name and result of a change to the whole picture (uint8)."""
    name = rng.choice(list(STYLES))
    words, change = STYLES[name]
    after = np.clip(change(picture.astype(np.float32)) + 0.5, 0, 255).astype(np.uint8)
    return rng.choice(words), name, after


def far_color(rng: random.Random, bodies: Sequence[Rgb]) -> str | None:
    """The name of a colour that all the bodies stand out from, or None."""
    names = [
        n
        for n, c in COLORS.items()
        if all(sum((a - b) ** 2 for a, b in zip(c, body)) > CLEAR**2 for body in bodies)
    ]
    return rng.choice(names) if names else None


def recolour_words(rng: random.Random, phrase: Phrase, color: str) -> str:
    """ "make the star yellow" and its like."""
    if phrase.category in PERSONS:
        return f"give {phrase.words} {with_article(color)} {GARMENTS[phrase.category]}"
    return rng.choice(("make {} {}", "paint {} {}", "color {} {}", "turn {} {}", "change {} to {}")).format(
        phrase.words, color
    )


def painted(words: str, kind: str, back: Background, before: Sequence[Item], after: Sequence[Item]) -> Edit:
    """The edit that leads from one list of items to another on the same background."""
    first, second = paint(back, before), paint(back, after)
    return Edit(words, kind, first, second.picture, second.items, second.background)


def on_plain(words: str, back: Background, items: Sequence[Item], color: str) -> Edit:
    """The edit that puts the same items before one plain colour."""
    second = paint(plain(COLORS[color], (back.pixels.shape[0], back.pixels.shape[1])), items)
    return Edit(words, "background", paint(back, items), second.picture, second.items, second.background)
