"""A drawing made of inked polygons, and the sprite it becomes on a pixel grid."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from .canvas import UNIT, Canvas, Size
from .vocabulary import Rgb

SUPERSAMPLING = 3
HOLE = "hole"
_COVERED = [0] + [255] * 255
_CIRCLE = [(math.cos(2 * math.pi * i / 24), math.sin(2 * math.pi * i / 24)) for i in range(24)]

Point = tuple[float, float]
Part = tuple[Sequence[Point], str]


def ellipse(cx: float, cy: float, rx: float, ry: float | None = None, angle: float = 0.0) -> list[Point]:
    """A 24-gon in place of an ellipse with centre (cx, cy), half axes rx, ry and a turn in radians."""
    ry = rx if ry is None else ry
    c, s = math.cos(angle), math.sin(angle)
    return [(cx + rx * u * c - ry * v * s, cy + rx * u * s + ry * v * c) for u, v in _CIRCLE]


def limb(a: Point, b: Point, width: float, end_width: float | None = None) -> list[Point]:
    """A bar with round ends from a to b, `width` wide at a and `end_width` (the same) at b."""
    ra, rb = width / 2, (width if end_width is None else end_width) / 2
    t = math.atan2(b[1] - a[1], b[0] - a[0])
    turns = [math.pi / 2 + math.pi * i / 6 for i in range(7)]
    return [(a[0] + ra * math.cos(t + u), a[1] + ra * math.sin(t + u)) for u in turns] + [
        (b[0] - rb * math.cos(t + u), b[1] - rb * math.sin(t + u)) for u in turns
    ]


def reach(a: Point, length: float, angle: float) -> Point:
    """The point `length` from a in direction `angle`: radians from straight down, positive to the right."""
    return a[0] + length * math.sin(angle), a[1] + length * math.cos(angle)


@dataclass(frozen=True)
class Drawing:
    """Polygons with named inks and named joints, centred at 0 and 1 unit long on the longer side (y down)."""

    points: np.ndarray  # [n, 2]: all polygons, one after the other
    spans: tuple[tuple[int, int, str], ...]  # (first point, end, ink) of every polygon, back to front
    joint_names: tuple[str, ...]
    joint_points: np.ndarray  # [k, 2]
    extent: Point  # width and height; the larger one is 1

    @staticmethod
    def of(
        parts: Sequence[Part],
        joints: Mapping[str, Point] | None = None,
        angle: float = 0.0,
        mirror: bool = False,
    ) -> Drawing:
        """The drawing of these parts (any units), turned by `angle` radians, mirrored left to right first."""
        spans: list[tuple[int, int, str]] = []
        flat: list[Point] = []
        start = 0
        for polygon, ink in parts:
            spans.append((start, start + len(polygon), ink))
            flat.extend(polygon)
            start += len(polygon)
        names = tuple(joints or ())
        flat.extend((joints or {}).values())
        points = np.array(flat, dtype=np.float64)
        if mirror:
            points[:, 0] *= -1
        if angle:
            c, s = math.cos(angle), math.sin(angle)
            points = points @ np.array([[c, s], [-s, c]])
        inked = np.concatenate([points[a:b] for a, b, ink in spans if ink != HOLE])
        low, high = inked.min(0), inked.max(0)
        unit = float((high - low).max())
        points = (points - (low + high) / 2) / unit
        width, height = (high - low) / unit
        return Drawing(points[:start], tuple(spans), names, points[start:], (float(width), float(height)))


@dataclass(frozen=True)
class Sprite:
    """A drawing on the pixel grid, cropped to its box inside the picture."""

    x: int
    y: int
    cover: np.ndarray  # float32 [h, w], 0..1
    paint: np.ndarray  # float32 [h, w, 3], 0..255, already multiplied by cover
    joints: dict[str, Point]  # in pixels of the picture

    def onto(self, picture: np.ndarray) -> None:
        """Paint over `picture` (float32 [h, w, 3], 0..255), in place."""
        h, w = self.cover.shape
        window = picture[self.y : self.y + h, self.x : self.x + w]
        window *= 1 - self.cover[..., None]
        window += self.paint


@lru_cache(maxsize=32)
def _pattern(texture: str, period: int, phase: int) -> np.ndarray:
    """bool [384, 384]: where the second ink of a texture goes, on the supersampled grid."""
    y, x = np.mgrid[:384, :384]
    if texture == "striped":
        return (x + y // 2 + phase) % period < period * 0.42
    if texture == "dotted":
        u, v = (
            (x + phase) % period - period / 2,
            (y + (x + phase) // period % 2 * (period // 2)) % period - period / 2,
        )
        return u * u + v * v < (0.33 * period) ** 2
    raise ValueError(f"expected the texture 'striped' or 'dotted'; got {texture!r}")


def rasterize(
    drawing: Drawing,
    inks: Mapping[str, Rgb],
    center: Point,
    length: float,
    size: Size,
    texture: str = "plain",
    phase: int = 0,
) -> Sprite | None:
    """Draw at `center` with the longer side `length` pixels in a picture of that size; None if all is outside.

    `inks` maps ink names to RGB; with a texture, "second" is laid over "body" in a pattern.
    """
    canvas = Canvas.of(size)
    points = drawing.points * length + center
    low, high = np.floor(points.min(0)).astype(int), np.ceil(points.max(0)).astype(int)
    x1, y1, x2, y2 = (
        max(int(low[0]), 0),
        max(int(low[1]), 0),
        min(int(high[0]), canvas.width),
        min(int(high[1]), canvas.height),
    )
    if x2 <= x1 or y2 <= y1:
        return None
    k = SUPERSAMPLING
    flat = ((points - (x1, y1)) * k - 0.5).ravel().tolist()
    image = Image.new("L", ((x2 - x1) * k, (y2 - y1) * k))
    draw = ImageDraw.Draw(image)
    index: dict[str, int] = {HOLE: 0}
    palette = [0, 0, 0]
    for first, end, ink in drawing.spans:
        if ink not in index:
            index[ink] = len(index)
            palette.extend(inks[ink])
        draw.polygon(flat[2 * first : 2 * end], fill=index[ink])
    if texture != "plain" and "body" in index:
        pixels = np.array(image)
        period = max(6, round(k * canvas.short / UNIT * 4.6))
        pattern = np.tile(
            _pattern(texture, period, phase % period), (1 + pixels.shape[0] // 384, 1 + pixels.shape[1] // 384)
        )
        pixels[(pixels == index["body"]) & pattern[: pixels.shape[0], : pixels.shape[1]]] = len(index)
        palette.extend(inks["second"])
        image = Image.fromarray(pixels)
    cover = np.asarray(image.point(_COVERED).reduce(k), dtype=np.float32) / 255
    image.putpalette(palette)
    paint = np.asarray(image.convert("RGB").reduce(k), dtype=np.float32)
    joints = drawing.joint_points * length + center
    return Sprite(
        x1, y1, cover, paint, {n: (float(p[0]), float(p[1])) for n, p in zip(drawing.joint_names, joints)}
    )
