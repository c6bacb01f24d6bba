"""Pictures for people: overlays, marks, boxes, and contact sheets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .color import MARK_COLORS, Color, color_named
from .paint import as_float
from .results import Boxes, Keypoints, Label, Masks, Result

_SIDE = 384  # overlays of smaller pictures are enlarged to about this
_ORDER = ("red", "green", "blue", "yellow", "magenta", "cyan", "white", "gray", "black")
_PALETTE = tuple(color_named(name, MARK_COLORS) for name in _ORDER)


def as_bytes(picture: np.ndarray) -> np.ndarray:
    """The picture as uint8 [h, w, 3]; gray [h, w] and bool masks become RGB."""
    array = np.asarray(picture)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    elif array.dtype != np.uint8:
        array = np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)
    if array.ndim == 2:
        array = np.repeat(array[..., None], 3, 2)
    if array.ndim != 3 or array.shape[2] != 3:
        raise ValueError(f"a picture has shape [h, w, 3] or [h, w], got {list(array.shape)}")
    return array


def enlarged(picture: np.ndarray, side: int = _SIDE) -> np.ndarray:
    """The picture, its sides multiplied by the whole number that brings the longer one to about `side`."""
    h, w = picture.shape[:2]
    times = max(1, round(side / max(h, w)))
    if times == 1:
        return picture
    return np.asarray(Image.fromarray(picture).resize((w * times, h * times), Image.Resampling.BICUBIC))


def overlay_mask(picture: np.ndarray, mask: np.ndarray, color: Color, alpha: float = 0.5) -> np.ndarray:
    """uint8 picture with the mask (bool [h, w]) tinted, and its inner edge drawn in the full colour."""
    painted = as_float(as_bytes(picture)).copy()
    if mask.shape != painted.shape[:2]:
        raise ValueError(f"a mask of {mask.shape} does not fit a picture of {painted.shape[:2]}: resize it")
    painted[mask] += alpha * (color.array - painted[mask])
    inner = np.pad(mask, 1)
    edge = mask & ~(inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:])
    painted[edge] = color.array
    return as_bytes(painted)


def draw_points(
    picture: np.ndarray, points: Keypoints, colors: Sequence[Color] | None = None, names: bool = True
) -> np.ndarray:
    """uint8 picture with a ringed dot on every visible point, and its name beside it."""
    image = Image.fromarray(as_bytes(picture))
    draw = ImageDraw.Draw(image)
    radius = max(2.0, max(image.size) * 0.018)
    shades = _shades(colors, len(points.names))
    free: list[tuple[float, float, float, float]] = []
    for xy, visible in zip(points.xy, points.visible, strict=True):
        spots = [(float(x), float(y), c, n) for (x, y), c, n in zip(xy, shades, points.names, strict=True)]
        shown = [spot for spot, seen in zip(spots, visible, strict=True) if seen]
        free.extend((x - radius, y - radius, x + radius, y + radius) for x, y, _, _ in shown)
        for x, y, color, _ in shown:
            ring = _contrast(color)
            draw.ellipse((x - radius - 1, y - radius - 1, x + radius + 1, y + radius + 1), fill=ring)
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color.rgb)
        if names and max(image.size) >= 256:
            for x, y, color, name in shown:
                _tag(draw, (x + radius + 3, y - 6), name, color, image.size, free)
    return np.asarray(image)


def draw_boxes(picture: np.ndarray, boxes: Boxes, colors: Sequence[Color] | None = None) -> np.ndarray:
    """uint8 picture with the frame of every box, and its label and score."""
    image = Image.fromarray(as_bytes(picture))
    draw = ImageDraw.Draw(image)
    width = max(1, round(max(image.size) / 150))
    free: list[tuple[float, float, float, float]] = []
    shades = _row_shades(colors, boxes.labels)
    for box, color in zip(boxes.xyxy, shades, strict=True):
        x1, y1, x2, y2 = box.tolist()
        draw.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=color.rgb, width=width)
    if max(image.size) >= 256:
        for box, score, label, color in zip(boxes.xyxy, boxes.scores, boxes.labels, shades, strict=True):
            text = f"{label} {score:.2f}"
            _tag(draw, (float(box[0]), float(box[1]) - 15), text, color, image.size, free)
    return np.asarray(image)


def overlay(
    picture: np.ndarray, result: Result | np.ndarray, colors: Sequence[Color] | None = None, side: int = _SIDE
) -> np.ndarray:
    """The picture with the answer drawn on, uint8; small pictures are enlarged so that people can see.

    A picture as a result is shown as it is. `colors`: one a point, mask or box (None: a fixed order, by label where
    there are several, which masks then say).
    """
    if isinstance(result, np.ndarray):
        return enlarged(as_bytes(result), side)
    large = enlarged(as_bytes(picture), side)
    h, w = large.shape[:2]
    if isinstance(result, Label):
        text = (
            "none of these"
            if result.name is None
            else f"{result.name} {result.scores.get(result.name, 1.0):.2f}"
        )
        image = Image.fromarray(large)
        _tag(ImageDraw.Draw(image), (4, 4), text, _PALETTE[6], image.size, [])
        return np.asarray(image)
    if isinstance(result, Masks):
        shown = result.resize(h, w)
        shades = _row_shades(colors, shown.labels)
        for mask, color in zip(shown.data, shades, strict=True):
            large = overlay_mask(large, mask, color)
        return _named_masks(large, shown, shades) if len(set(shown.labels)) > 1 else large
    if isinstance(result, Keypoints):
        return draw_points(large, result.resize(h, w), colors)
    if isinstance(result, Boxes):
        return draw_boxes(large, result.resize(h, w), colors)
    raise TypeError(f"expected Masks, Keypoints, Boxes, Label or a picture, got {type(result).__name__}")


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray | None]],
    titles: Sequence[str] = (),
    row_labels: Sequence[str] = (),
    cell: int = 160,
) -> Image.Image:
    """Pictures in rows under column titles, with a label left of every row; RGB.

    Pictures are fitted into cells of `cell` pixels with their shape kept; None leaves a cell empty. Text is
    wrapped to its own column, and rows grow with it, so that nothing overlaps.
    """
    if cell < 32:
        raise ValueError(f"a cell needs at least 32 pixels to show anything, got {cell}")
    if row_labels and len(row_labels) != len(rows):
        raise ValueError(f"{len(rows)} rows need as many labels, got {len(row_labels)}")
    columns = max([len(row) for row in rows] + [len(titles)], default=0)
    if not columns:
        raise ValueError("a contact sheet needs at least one picture")
    gap = 8
    font: Any = ImageFont.load_default(13)
    line = sum(font.getmetrics()) + 2
    label_width = max(96, cell) if row_labels else 0
    heads = [_wrapped(title, cell, font) for title in titles]
    sides = [_wrapped(label, label_width - gap, font) for label in row_labels] or [[] for _ in rows]
    head_height = max((len(h) for h in heads), default=0) * line
    heights = [max(cell, len(side) * line) for side in sides]
    left = gap + label_width
    size = (left + columns * (cell + gap), gap + head_height + gap + sum(h + gap for h in heights))
    sheet = Image.new("RGB", size, (250, 250, 250))
    draw = ImageDraw.Draw(sheet)

    def write(lines: list[str], x: int, y: int) -> None:
        for number, text in enumerate(lines):
            draw.text((x, y + number * line), text, fill=(20, 20, 20), font=font)

    for column, lines in enumerate(heads):
        write(lines, left + column * (cell + gap), gap)
    y = gap + head_height + gap
    for row, lines, height in zip(rows, sides, heights, strict=True):
        write(lines, gap, y)
        for column, picture in enumerate(row):
            if picture is not None:
                tile = _fitted(as_bytes(picture), cell)
                x = left + column * (cell + gap)
                sheet.paste(tile, (x + (cell - tile.width) // 2, y + (cell - tile.height) // 2))
        y += height + gap
    return sheet


def _fitted(picture: np.ndarray, cell: int) -> Image.Image:
    h, w = picture.shape[:2]
    scale = cell / max(h, w)
    size = (max(1, round(w * scale)), max(1, round(h * scale)))
    return Image.fromarray(picture).resize(
        size, Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.LANCZOS
    )


def _wrapped(text: str, width: int, font: Any) -> list[str]:
    """Lines no wider than `width`; a word that is too long is broken."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        current = ""
        for word in paragraph.split():
            tried = f"{current} {word}".strip()
            if font.getlength(tried) <= width:
                current = tried
                continue
            if current:
                lines.append(current)
            while font.getlength(word) > width and len(word) > 1:
                cut = next(
                    n for n in range(len(word) - 1, 0, -1) if n == 1 or font.getlength(word[:n]) <= width
                )
                lines.append(word[:cut])
                word = word[cut:]
            current = word
        lines.append(current)
    return lines


def _shades(colors: Sequence[Color] | None, count: int) -> list[Color]:
    shades = list(colors) if colors else list(_PALETTE)
    return [shades[i % len(shades)] for i in range(count)]


def _row_shades(colors: Sequence[Color] | None, labels: Sequence[str]) -> list[Color]:
    """A colour a row, or a label where there are several labels and no colours."""
    names = list(dict.fromkeys(labels))
    if colors is not None or len(names) < 2:
        return _shades(colors, len(labels))
    shades = _shades(None, len(names))
    return [shades[names.index(label)] for label in labels]


def _named_masks(picture: np.ndarray, masks: Masks, shades: Sequence[Color]) -> np.ndarray:
    """The picture with the label of every mask at its top."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    taken: list[tuple[float, float, float, float]] = []
    if max(image.size) >= 256:
        for box, label, color in zip(masks.boxes().xyxy, masks.labels, shades, strict=True):
            _tag(draw, (float(box[0]), float(box[1])), label, color, image.size, taken)
    return np.asarray(image)


def _contrast(color: Color) -> tuple[int, int, int]:
    """Black or white, whichever stands out against the colour."""
    r, g, b = color.rgb
    return (0, 0, 0) if 0.3 * r + 0.59 * g + 0.11 * b > 110 else (255, 255, 255)


def _tag(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    color: Color,
    size: tuple[int, int],
    taken: list[tuple[float, float, float, float]],
) -> None:
    """Text on a plate of the colour, inside the picture, moved down until it covers no other tag or mark.

    `taken` grows by the plate. A tag without room is left out rather than written over another.
    """
    font: Any = ImageFont.load_default(12)
    width, height = font.getlength(text) + 4, sum(font.getmetrics())
    x = min(max(0.0, place[0]), max(0.0, size[0] - width - 1))
    start = min(max(0.0, place[1]), max(0.0, size[1] - height - 1))
    for shift in range(0, size[1], 4):
        for y in (start + shift, start - shift):
            plate = (x, y, x + width, y + height)
            inside = 0 <= y <= size[1] - height
            clear = all(
                plate[2] <= o[0] or plate[0] >= o[2] or plate[3] <= o[1] or plate[1] >= o[3] for o in taken
            )
            if inside and clear:
                taken.append(plate)
                draw.rectangle(plate, fill=color.rgb)
                draw.text((x + 2, y), text, fill=_contrast(color), font=font)
                return
