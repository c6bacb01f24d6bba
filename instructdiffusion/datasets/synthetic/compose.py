"""Objects with words, where they stand, and the picture and visible masks they make together."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from .backgrounds import Background
from .canvas import SQUARE, Canvas, Size
from .faces import tones
from .figures import draw_figure
from .shapes import draw_shape
from .sprites import Drawing, Point, Sprite, rasterize
from .vocabulary import COLORS, GARMENTS, PERSONS, SIZES, THINGS, Rgb, colors_for, family

MARGIN = 1.5

# The longer side in units: (small, big). Figures need more room than shapes to be read.
LENGTHS = {
    "shape": ((12.5, 15.5), (23.0, 30.0)),
    "thing": ((15.0, 17.5), (25.0, 32.0)),
    "animal": ((19.0, 22.0), (31.0, 38.0)),
    "person": ((25.0, 28.0), (40.0, 48.0)),
}
# A hexagon shorter than this is a circle to the eye.
LARGE_ONLY, LARGE = ("hexagon",), 20.0


@dataclass(frozen=True)
class Item:
    """An object of a scene: the words that describe it, its drawing and its place (units, x right, y down)."""

    category: str
    color: str
    size: str  # "small" or "big"
    texture: str
    drawing: Drawing
    inks: dict[str, Rgb] = field(hash=False)
    length: float
    phase: int = 0
    x: float = 0.0
    y: float = 0.0
    mirror: bool = False

    @property
    def body(self) -> Rgb:
        """The RGB of what the colour word is about."""
        return self.inks["body"]

    @property
    def colors(self) -> tuple[Rgb, ...]:
        """The RGBs that a background must keep clear of: the body first, then other large parts."""
        parts = {
            "face": ("hair",),
            "fish": ("shade",),
            "boat": ("light",),
            "mushroom": ("light",),
            "house": ("roof",),
            "dog": ("far",),
            "cat": ("far",),
            "horse": ("far",),
        }
        others = ("skin", "trousers", "hair") if self.category in PERSONS else parts.get(self.category, ())
        return (self.body, *(self.inks[name] for name in others))

    @property
    def box(self) -> tuple[float, float, float, float]:
        """xyxy in units."""
        w, h = self.drawing.extent[0] * self.length / 2, self.drawing.extent[1] * self.length / 2
        return self.x - w, self.y - h, self.x + w, self.y + h

    def moved(self, x: float, y: float) -> Item:
        """The same object elsewhere."""
        return replace(self, x=x, y=y)

    def sprite(self, size: Size) -> Sprite | None:
        """What it looks like in a picture of that size in pixels; None where it lies outside."""
        k = Canvas.of(size).scale
        return rasterize(
            self.drawing, self.inks, (self.x * k, self.y * k), self.length * k, size, self.texture, self.phase
        )


def _mixed(rgb: Rgb, other: Rgb, part: float) -> Rgb:
    return tuple(round(a + part * (b - a)) for a, b in zip(rgb, other))  # type: ignore[return-value]


def inks_for(
    category: str, body: Rgb, rng: random.Random | None = None, garment: Rgb | None = None
) -> dict[str, Rgb]:
    """All inks of a category's drawing around the colour of its body; without `rng` the canonical ones.

    `named` is the exact colour that the body is a shade of (None: the body's own): it decides whether the
    others are darker or lighter, so that a slight shade never turns a red thing's stripes from dark to light.
    """
    garment = garment or body
    light = sum(garment) / 3 > 95
    inks: dict[str, Rgb] = {
        "body": body,
        "second": _mixed(body, (20, 20, 20), 0.6) if light else _mixed(body, (255, 255, 255), 0.55),
        "shade": _mixed(body, (10, 10, 10), 0.28) if light else _mixed(body, (255, 255, 255), 0.22),
        "dark": (25, 25, 28),
        "light": (250, 250, 250),
        "glass": (165, 215, 240),
        "wood": (110, 70, 40),
        "leaf": (60, 150, 60),
        "core": (250, 210, 60) if garment[2] > 110 or garment[1] < 150 else (120, 60, 30),
        "roof": (130, 60, 45) if light else (190, 90, 70),
    }
    kind = family(category)
    if kind == "animal":
        inks["nose"] = (30, 22, 22) if light else (215, 150, 150)
        inks["ear"] = _mixed(body, (10, 10, 10), 0.5) if light else _mixed(body, (255, 255, 255), 0.4)
        inks["hair"] = _mixed(body, (10, 10, 10), 0.65) if sum(garment) / 3 > 60 else (110, 100, 95)
        inks["legs"] = (235, 150, 40) if _apart(garment, (235, 150, 40)) > 90 else (60, 60, 70)
        # The legs on the far side, left and right told apart by them, are half as bright (or dark).
        inks["far"] = _mixed(body, (10, 10, 10), 0.5) if light else _mixed(body, (255, 255, 255), 0.5)
        inks["far legs"] = _mixed(
            inks["legs"], (10, 10, 10) if inks["legs"][0] > 200 else (255, 255, 255), 0.5
        )
    elif kind == "person":
        inks.update(tones(rng or random.Random(category)))
        trousers = [(40, 45, 90), (60, 60, 65), (105, 75, 50), (35, 35, 38), (165, 150, 120)]
        trousers = [t for t in trousers if _apart(t, body) > 80]
        inks["trousers"] = trousers[int(rng.random() * len(trousers))] if rng else trousers[0]
        inks["shoes"] = (55, 35, 30)
    return inks


def _apart(a: Rgb, b: Rgb) -> float:
    distance: float = ((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2) ** 0.5
    return distance


@lru_cache(maxsize=256)
def canonical_drawing(category: str, mirror: bool = False) -> Drawing:
    """The upright drawing of a category in its standing pose, looking left (right where `mirror`)."""
    if family(category) in ("shape", "thing"):
        return draw_shape(category, mirror=mirror)
    return draw_figure(category, None, mirror)


def make_item(
    rng: random.Random,
    category: str,
    color: str | None = None,
    size: str | None = None,
    texture: str = "plain",
    turn: float = 0.25,
) -> Item:
    """An object with random pose, shade and exact length; colour and size are drawn where left open.

    `turn` is the largest rotation of a shape in radians. A colour left open avoids the unseen pairs.
    """
    kind = family(category)
    color = color or rng.choice(colors_for(category))
    size = "big" if category in LARGE_ONLY else size or rng.choice(SIZES)
    mirror = rng.random() < 0.5
    if kind in ("animal", "person"):
        drawing = draw_figure(category, rng, mirror)
    elif category in THINGS and rng.random() < 0.5 or turn == 0 or category in ("circle", "ring"):
        drawing = canonical_drawing(category, mirror and category in ("car", "fish", "cup", "moon"))
    else:
        # A turned square is a diamond and a turned diamond a square: keep both near upright.
        limit = min(turn, 0.12) if category in ("square", "diamond", "cross", *THINGS) else turn
        drawing = draw_shape(category, rng.uniform(-limit, limit), mirror and category not in ("umbrella",))
    body: Rgb = tuple(min(255, max(0, round(c + rng.gauss(0, 6)))) for c in COLORS[color])  # type: ignore[assignment]
    low, high = LENGTHS[kind][0 if size == "small" else 1]
    return Item(
        category, color, size, texture if kind in ("shape", "thing") else "plain", drawing,
        inks_for(category, body, rng, COLORS[color]), rng.uniform(low, high), rng.randrange(64), mirror=mirror,
    )  # fmt: skip


def canonical_item(category: str, color: str, length: float, size: str = "", mirror: bool = False) -> Item:
    """The one drawing an edit's words stand for: upright, plain, exact colour, given length."""
    return Item(
        category, color, size, "plain", canonical_drawing(category, mirror), inks_for(category, COLORS[color]),
        length, mirror=mirror,
    )  # fmt: skip


def place(
    rng: random.Random,
    items: Sequence[Item],
    fixed: Sequence[Item] = (),
    gap: float = 1.0,
    tries: int = 40,
    canvas: Canvas = SQUARE,
) -> list[Item]:
    """Put items where their boxes keep `gap` units from one another and from `fixed`; drops what finds no room."""
    across, down = canvas.units
    boxes = [item.box for item in fixed]
    placed = []
    for item in items:
        w, h = item.drawing.extent[0] * item.length / 2, item.drawing.extent[1] * item.length / 2
        free_x, free_y = across - 2 * (w + MARGIN), down - 2 * (h + MARGIN)
        for _ in range(tries):
            x = w + MARGIN + rng.random() * max(free_x, 0.0)
            y = h + MARGIN + rng.random() * max(free_y, 0.0)
            a, b, c, d = x - w - gap, y - h - gap, x + w + gap, y + h + gap
            if all(c <= p or r <= a or d <= q or s <= b for p, q, r, s in boxes):
                placed.append(item.moved(x, y))
                boxes.append((x - w, y - h, x + w, y + h))
                break
    return placed


@dataclass(frozen=True)
class Scene:
    """A painted scene: uint8 picture, its items back to front, visible masks bool [n, h, w], joints in pixels."""

    picture: np.ndarray
    items: tuple[Item, ...]
    masks: np.ndarray
    joints: tuple[dict[str, Point], ...]
    background: str


def paint(back: Background, items: Sequence[Item]) -> Scene:
    """Paint items over the background, first to last; a mask holds what stays visible of its item."""
    size = back.pixels.shape[0], back.pixels.shape[1]
    canvas = back.pixels.copy()
    masks = np.zeros((len(items), *size), dtype=bool)
    joints: list[dict[str, Point]] = []
    for row, item in enumerate(items):
        sprite = item.sprite(size)
        joints.append(sprite.joints if sprite else {})
        if sprite is None:
            continue
        sprite.onto(canvas)
        h, w = sprite.cover.shape
        covered = sprite.cover >= 0.5
        masks[:row, sprite.y : sprite.y + h, sprite.x : sprite.x + w] &= ~covered
        masks[row, sprite.y : sprite.y + h, sprite.x : sprite.x + w] = covered
    picture = np.clip(canvas + 0.5, 0, 255).astype(np.uint8)
    return Scene(picture, tuple(items), masks, tuple(joints), back.words)


def noun_phrase(item: Item, size: bool = False, color: bool = True) -> str:
    """The item in words without an article: "small striped red star", "man in a red shirt"."""
    words = [item.size] if size and item.category not in PERSONS else []
    if item.texture != "plain":
        words.append(item.texture)
    if item.category in PERSONS:
        tail = f" in a {item.color} {GARMENTS[item.category]}" if color else ""
        return " ".join([*words, item.category]) + (tail.replace(" a orange", " an orange"))
    return " ".join([*words, *([item.color] if color else []), item.category])
