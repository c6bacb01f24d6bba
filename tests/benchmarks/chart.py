"""The benchmark as a picture: a bar a contender, milliseconds on a logarithmic axis, a panel a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SCALE = 2  # drawn this much larger than it is meant to be seen, for fine screens
BARS, VALUES = 380, 150  # the columns of bars and of numbers; that of names is as wide as the longest
BAR, GAP, HEAD = 13, 6, 34
INK, FAINT = "#222222", "#666666"
COLORS = {"authors": "#d55e00", "diffusers": "#e69f00", "ours": "#0072b2"}  # Okabe and Ito


def draw_rows(results: Sequence[dict[str, Any]]) -> np.ndarray:
    """The chart, uint8 [h, w, 3]. The thin line on a bar is the spread between the quartiles."""
    height = sum(HEAD + (BAR + GAP) * len(found["rows"]) + GAP for found in results)
    font = _font(10)
    left = 20 * SCALE + max(round(font.getlength(row["name"])) for found in results for row in found["rows"])
    image = Image.new("RGB", (left + (BARS + VALUES) * SCALE, height * SCALE), "white")
    draw, top = ImageDraw.Draw(image), 0
    for found in results:
        _panel(draw, found, top, left)
        top += HEAD + (BAR + GAP) * len(found["rows"]) + GAP
    return np.asarray(image)


def _panel(draw: ImageDraw.ImageDraw, found: dict[str, Any], top: int, left: int) -> None:
    rows = found["rows"]
    times = [1000 * row["median"] for row in rows]
    low = math.log(min(times) / 2)
    high = math.log(1000 * max(row["quartiles"][1] for row in rows))
    right = left + BARS * SCALE

    def x(milliseconds: float) -> float:
        share = (math.log(milliseconds) - low) / (high - low)
        return left + min(max(share, 0.0), 1.0) * (right - left)

    title = f"{found['model']}, {found['picture'][0]} px: milliseconds a picture, logarithmic"
    draw.text((10 * SCALE, (top + HEAD / 2) * SCALE), title, fill=INK, font=_font(13), anchor="lm")
    for number, (row, time) in enumerate(zip(rows, times, strict=True)):
        y = (top + HEAD + number * (BAR + GAP)) * SCALE
        middle = y + BAR * SCALE / 2
        draw.text((left - 8 * SCALE, middle), row["name"], fill=INK, font=_font(10), anchor="rm")
        draw.rectangle((left, y, x(time), y + BAR * SCALE), fill=COLORS[row["group"]])
        ends = [x(1000 * seconds) for seconds in row["quartiles"]]
        draw.line((ends[0], middle, ends[1], middle), fill=INK, width=SCALE)
        label = f"{time:,.1f} ms, {rows[0]['median'] / row['median']:.1f} x"
        # Beyond the thin line: a label on it cannot be read.
        draw.text((ends[1] + 6 * SCALE, middle), label, fill=FAINT, font=_font(10), anchor="lm")


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * SCALE)
