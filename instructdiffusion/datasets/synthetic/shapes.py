"""Plain shapes and a few everyday things, as drawings."""

from __future__ import annotations

import math

from .sprites import HOLE, Drawing, Part, Point, ellipse, limb

_BOX = [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]


def _polar(n: int, radii: tuple[float, ...], start: float = -math.pi / 2) -> list[Point]:
    return [
        (
            radii[i % len(radii)] * math.cos(start + 2 * math.pi * i / n),
            radii[i % len(radii)] * math.sin(start + 2 * math.pi * i / n),
        )
        for i in range(n)
    ]


def _heart() -> list[Point]:
    curve = []
    for i in range(32):
        t = 2 * math.pi * i / 32
        x = math.sin(t) ** 3
        y = (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 16
        curve.append((x, -y))
    return curve


def _rect(x1: float, y1: float, x2: float, y2: float) -> list[Point]:
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


def _dome(rx: float, ry: float, y: float = 0.0) -> list[Point]:
    """The upper half of an ellipse, from left to right."""
    turns = [math.pi * (1 + i / 12) for i in range(13)]
    return [(rx * math.cos(t), y + ry * math.sin(t)) for t in turns]


_CROSS = [
    (-0.17, -0.5), (0.17, -0.5), (0.17, -0.17), (0.5, -0.17), (0.5, 0.17), (0.17, 0.17),
    (0.17, 0.5), (-0.17, 0.5), (-0.17, 0.17), (-0.5, 0.17), (-0.5, -0.17), (-0.17, -0.17),
]  # fmt: skip

PARTS: dict[str, tuple[Part, ...]] = {
    "circle": ((ellipse(0, 0, 0.5), "body"),),
    "square": ((_BOX, "body"),),
    "triangle": (([(0.0, -0.5), (0.55, 0.45), (-0.55, 0.45)], "body"),),
    "star": ((_polar(10, (0.55, 0.24)), "body"),),
    "heart": ((_heart(), "body"),),
    "diamond": (([(0.0, -0.55), (0.36, 0.0), (0.0, 0.55), (-0.36, 0.0)], "body"),),
    "cross": ((_CROSS, "body"),),
    "ring": ((ellipse(0, 0, 0.5), "body"), (ellipse(0, 0, 0.26), HOLE)),
    "moon": ((ellipse(0, 0, 0.5), "body"), (ellipse(0.26, -0.06, 0.42), HOLE)),
    "hexagon": ((_polar(6, (0.5,), 0.0), "body"),),
    "house": (
        (_rect(-0.4, -0.08, 0.4, 0.5), "body"),
        ([(-0.52, -0.06), (0.0, -0.5), (0.52, -0.06)], "roof"),
        (_rect(-0.3, 0.1, -0.1, 0.28), "glass"),
        (_rect(0.06, 0.12, 0.26, 0.5), "dark"),
    ),
    "tree": (
        (_rect(-0.08, 0.1, 0.08, 0.55), "wood"),
        (ellipse(0, -0.22, 0.36, 0.3), "body"),
        (ellipse(-0.2, 0.0, 0.24, 0.2), "body"),
        (ellipse(0.2, 0.0, 0.24, 0.2), "body"),
    ),
    "car": (
        ([(-0.28, -0.04), (-0.16, -0.26), (0.16, -0.26), (0.3, -0.04)], "body"),
        ([(-0.5, -0.06), (0.44, -0.06), (0.52, 0.04), (0.52, 0.17), (-0.5, 0.17)], "body"),
        ([(-0.2, -0.06), (-0.12, -0.2), (-0.02, -0.2), (-0.02, -0.06)], "glass"),
        ([(0.03, -0.06), (0.03, -0.2), (0.13, -0.2), (0.21, -0.06)], "glass"),
        (ellipse(-0.27, 0.17, 0.12), "dark"),
        (ellipse(0.28, 0.17, 0.12), "dark"),
    ),
    "fish": (
        ([(0.2, 0.0), (0.52, -0.25), (0.46, 0.0), (0.52, 0.25)], "shade"),
        ([(-0.05, -0.2), (0.12, -0.34), (0.16, -0.1)], "shade"),
        (ellipse(-0.1, 0, 0.4, 0.24), "body"),
        (ellipse(-0.3, -0.06, 0.065), "light"),
        (ellipse(-0.31, -0.06, 0.035), "dark"),
    ),
    "apple": (
        (limb((0.0, -0.25), (0.06, -0.5), 0.08), "wood"),
        (ellipse(0.2, -0.42, 0.16, 0.08, -0.5), "leaf"),
        (ellipse(-0.17, 0.08, 0.3, 0.38), "body"),
        (ellipse(0.17, 0.08, 0.3, 0.38), "body"),
    ),
    "boat": (
        (_rect(-0.03, -0.5, 0.04, 0.2), "wood"),
        ([(0.06, -0.46), (0.42, 0.12), (0.06, 0.12)], "light"),
        ([(-0.05, -0.36), (-0.05, 0.12), (-0.36, 0.12)], "light"),
        ([(-0.52, 0.18), (0.52, 0.18), (0.32, 0.46), (-0.34, 0.46)], "body"),
    ),
    "mushroom": (
        ([(-0.15, 0.0), (0.15, 0.0), (0.2, 0.5), (-0.2, 0.5)], "light"),
        (_dome(0.5, 0.52, 0.05), "body"),
    ),
    "umbrella": (
        (limb((0.0, -0.1), (0.0, 0.4), 0.07), "wood"),
        (limb((0.0, 0.42), (0.15, 0.44), 0.08), "wood"),
        (
            _dome(0.52, 0.5)
            + [(0.26, -0.08), (0.17, 0.0), (0.0, -0.08), (-0.17, 0.0), (-0.26, -0.08)],
            "body",
        ),
    ),
    "cup": (
        (ellipse(0.36, 0.0, 0.2, 0.22), "shade"),
        (ellipse(0.36, 0.0, 0.1, 0.12), HOLE),
        ([(-0.42, -0.38), (0.34, -0.38), (0.26, 0.42), (-0.34, 0.42)], "body"),
    ),
    "flower": (
        (limb((0.0, 0.0), (0.03, 0.6), 0.08), "leaf"),
        (ellipse(0.16, 0.4, 0.16, 0.07, -0.5), "leaf"),
        *((ellipse(x, y - 0.15, 0.16), "body") for x, y in _polar(6, (0.23,), 0.0)),
        (ellipse(0, -0.15, 0.13), "core"),
    ),
}  # fmt: skip


def draw_shape(category: str, angle: float = 0.0, mirror: bool = False) -> Drawing:
    """The drawing of a shape or thing, turned by `angle` radians; KeyError for a category it does not know."""
    return Drawing.of(PARTS[category], angle=angle, mirror=mirror)
