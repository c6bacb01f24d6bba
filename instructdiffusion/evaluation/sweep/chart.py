"""Curve chart: small multiples, a panel a task, quality against UNet evaluations on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from .sweep import Curve, Point

SCALE = 2  # drawn this much larger than it is meant to be seen, for fine screens
WIDTH, HEIGHT = 330, 240  # a panel
LEFT, RIGHT, TOP, BOTTOM = 48, 12, 30, 34  # its margins
COLUMNS, LEGEND = 4, 26
INK, FAINT, GRID = "#222222", "#666666", "#e3e3e3"
# Colours that people with any colour vision tell apart (Okabe and Ito); branches differ in their marks.
COLORS = {
    "euler": "#0072b2",
    "dpmpp_2m": "#d55e00",
    "ddim": "#56b4e9",
    "unipc": "#009e73",
    "euler_ancestral": "#cc79a7",
    "heun": "#e69f00",
    "dpmpp_2m_sde": "#000000",
    "dpmpp_sde": "#999999",
    "lcm": "#f0e442",
}
OTHERS = ("#8c564b", "#5e4fa2", "#66c2a5")


def draw_curve(curve: Curve) -> np.ndarray:
    """The chart, uint8 [h, w, 3]; one white panel where nothing is measured.

    A line joins the points of a solver and a number of branches, at each number of steps the best over the
    guidance scales. Solvers that are one and the same there (DDIM and Euler) share a line. The ring is the
    chosen cell; the dashed line what counts as good as the best.
    """
    tasks = list(curve.choices)
    columns = max(1, min(COLUMNS, len(tasks)))
    rows = max(1, -(-len(tasks) // columns))
    size = columns * WIDTH * SCALE, (rows * HEIGHT + 2 * LEGEND) * SCALE
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    solvers = _solvers(curve)
    _legend(draw, solvers, sorted({p.cell.branches for p in curve.points}))
    for number, task in enumerate(tasks):
        left = number % columns * WIDTH * SCALE
        top = (number // columns * HEIGHT + 2 * LEGEND) * SCALE
        _Panel(draw, left, top, curve, task).draw(solvers)
    return np.asarray(image)


def _solvers(curve: Curve) -> dict[str, tuple[str, str]]:
    """solver -> (colour, name in the legend), without those that never differ from another one."""
    twins: dict[str, set[str]] = {}
    for p in curve.points:
        twins.setdefault(p.cell.solver, set()).add(
            p.cell.same.rpartition(f"-{p.cell.steps:04d}-{p.cell.branches}")[0] if p.cell.steps > 1 else ""
        )
    out: dict[str, tuple[str, str]] = {}
    spare = iter(OTHERS)
    for solver, measured_as in twins.items():
        others = measured_as - {""}
        if others and solver not in others and len(others) == 1 and (twin := next(iter(others))) in out:
            out[twin] = out[twin][0], f"{out[twin][1]}, {solver}"
            continue
        out[solver] = COLORS.get(solver) or next(spare, INK), solver
    return out


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * SCALE)


def _mark(draw: ImageDraw.ImageDraw, x: float, y: float, color: str, branches: int, r: float) -> None:
    """A disc for one branch, a square for two, a triangle for three."""
    if branches == 1:
        draw.ellipse((x - r, y - r, x + r, y + r), fill=color)
    elif branches == 2:
        draw.rectangle(
            (x - r * 0.9, y - r * 0.9, x + r * 0.9, y + r * 0.9), fill="white", outline=color, width=SCALE
        )
    else:
        draw.polygon([(x, y - r * 1.2), (x + r * 1.15, y + r), (x - r * 1.15, y + r)], fill=color)


def _legend(draw: ImageDraw.ImageDraw, solvers: dict[str, tuple[str, str]], branches: Sequence[int]) -> None:
    font, x, y = _font(12), 14 * SCALE, 13 * SCALE
    for color, name in solvers.values():
        draw.line((x, y, x + 20 * SCALE, y), fill=color, width=3 * SCALE)
        draw.text((x + 25 * SCALE, y), name, fill=INK, font=font, anchor="lm")
        x += int(draw.textlength(name, font)) + 45 * SCALE
    x, y = 14 * SCALE, y + LEGEND * SCALE - 4 * SCALE
    for count in branches:
        name = f"{count} branch{'es' * (count > 1)}"
        _mark(draw, x + 8 * SCALE, y, FAINT, count, 4 * SCALE)
        draw.text((x + 20 * SCALE, y), name, fill=INK, font=font, anchor="lm")
        x += int(draw.textlength(name, font)) + 40 * SCALE
    draw.ellipse((x, y - 7 * SCALE, x + 14 * SCALE, y + 7 * SCALE), outline=INK, width=SCALE)
    draw.text((x + 20 * SCALE, y), "chosen", fill=INK, font=font, anchor="lm")
    x += 80 * SCALE
    for dash in range(3):
        draw.line((x + dash * 9 * SCALE, y, x + (dash * 9 + 5) * SCALE, y), fill=FAINT, width=SCALE)
    draw.text((x + 32 * SCALE, y), "as good as the best", fill=INK, font=font, anchor="lm")


class _Panel:
    """One task: axes, lines, marks."""

    def __init__(self, draw: ImageDraw.ImageDraw, left: int, top: int, curve: Curve, task: str) -> None:
        self.pen, self.task = draw, task
        self.points, self.choice = curve.of(task), curve.choices[task]
        self.x0, self.x1 = left + LEFT * SCALE, left + (WIDTH - RIGHT) * SCALE
        self.y0, self.y1 = top + (HEIGHT - BOTTOM) * SCALE, top + TOP * SCALE
        values = [_value(p) for p in self.points]
        low, high = min(values), max(values)
        room = (high - low) * 0.06 or 0.05
        self.low, self.high = low - room, high + room
        self.most = max(2, max(p.cell.evaluations for p in self.points))

    def x(self, evaluations: int) -> float:
        return self.x0 + math.log(evaluations) / math.log(self.most) * (self.x1 - self.x0 - 8 * SCALE)

    def y(self, value: float) -> float:
        return self.y0 + (value - self.low) / (self.high - self.low) * (self.y1 - self.y0)

    def draw(self, solvers: dict[str, tuple[str, str]]) -> None:
        self._axes()
        for solver, (color, _) in solvers.items():
            for branches in (1, 2, 3):
                line = self._line(solver, branches)
                spots = [(self.x(p.cell.evaluations), self.y(_value(p))) for p in line]
                if len(spots) > 1:
                    self.pen.line(spots, fill=color, width=SCALE, joint="curve")
                for x, y in spots:
                    _mark(self.pen, x, y, color, branches, 2.8 * SCALE)
        chosen, r = self.choice.chosen, 6.5 * SCALE
        x, y = self.x(chosen.cell.evaluations), self.y(_value(chosen))
        self.pen.ellipse((x - r, y - r, x + r, y + r), outline=INK, width=SCALE)

    def _line(self, solver: str, branches: int) -> list[Point]:
        best: dict[int, Point] = {}
        for p in self.points:
            if p.cell.solver == solver and p.cell.branches == branches:
                other = best.get(p.cell.evaluations)
                if other is None or _value(p) > _value(other):
                    best[p.cell.evaluations] = p
        return [best[n] for n in sorted(best)]

    def _axes(self) -> None:
        from .sweep import NEAR_DB, NEAR_SHARE

        figure = self.choice.best.figure
        assert figure is not None
        pen, font, unit = self.pen, _font(10), " (dB)" if figure.unit == "dB" else ""
        title = f"{self.task}: {figure.metric}{unit}"
        pen.text((self.x0, self.y1 - 9 * SCALE), title, fill=INK, font=_font(12), anchor="ls")
        for value, label in _ticks(self.low, self.high):
            y = self.y(value)
            pen.line((self.x0, y, self.x1, y), fill=GRID, width=SCALE)
            pen.text((self.x0 - 5 * SCALE, y), label, fill=FAINT, font=font, anchor="rm")
        for count in (1, 3, 10, 30, 100, 300):
            if count <= self.most:
                x = self.x(count)
                pen.line((x, self.y0, x, self.y0 + 4 * SCALE), fill=FAINT, width=SCALE)
                pen.text((x, self.y0 + 7 * SCALE), str(count), fill=FAINT, font=font, anchor="mt")
        middle = (self.x0 + self.x1) / 2
        pen.text((middle, self.y0 + 20 * SCALE), "UNet evaluations", fill=FAINT, font=font, anchor="mt")
        pen.line((self.x0, self.y1, self.x0, self.y0, self.x1, self.y0), fill=FAINT, width=SCALE)
        best = _value(self.choice.best)
        y = self.y(best - (NEAR_DB if figure.unit == "dB" else NEAR_SHARE * abs(best)))
        x = float(self.x0)
        while x < self.x1:
            pen.line((x, y, min(x + 5 * SCALE, self.x1), y), fill=FAINT, width=SCALE)
            x += 9 * SCALE


def _value(point: Point) -> float:
    assert point.figure is not None
    return point.figure.value


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Three to six round numbers between low and high, as they are written."""
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough)
    digits = max(0, -math.floor(math.log10(step)) + (abs(step / power - 2.5) < 1e-9))
    first = math.ceil(low / step)
    values = [n * step for n in range(first, math.floor(high / step) + 1)]
    return [(v, f"{v + 0.0:.{digits}f}") for v in values]
