"""Pictures for people: overlays, marks, boxes, and contact sheets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..results import Boxes, Keypoints, Label, Masks, Result
from ..utils.interrupts import check_interrupt
from .colors import MARK_COLORS, Color, color_distances, color_named, far_colors
from .rasterize import as_float
from .strips import in_strips, strips

_SIDE = 384  # overlays of smaller pictures are enlarged to about this
_ORDER = ("red", "green", "blue", "yellow", "magenta", "cyan", "white", "gray", "black")
_NEAR = 0.45  # a colour nearer than this to what it is drawn on (`color_distances`) is not made out there
_PALETTE = tuple(color_named(name, MARK_COLORS) for name in _ORDER)


def as_bytes(picture: np.ndarray) -> np.ndarray:
    """The picture as uint8 [h, w, 3]; gray [h, w] and bool masks become RGB."""
    array = np.asarray(picture)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    elif array.dtype != np.uint8:
        values = array
        array = in_strips(
            lambda rows: np.rint(np.clip(values[rows], 0, 1) * 255).astype(np.uint8), values.shape
        )
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
    """uint8 picture with the mask (bool [h, w]) tinted, and its inner edge drawn in the full colour, lined within in
    black or white, so that it shows on any ground."""
    painted = as_bytes(picture).copy()
    if mask.shape != painted.shape[:2]:
        raise ValueError(f"a mask of {mask.shape} does not fit a picture of {painted.shape[:2]}: resize it")
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not len(rows):
        return painted
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    inside, part = mask[box], painted[box]
    width = max(1, round(max(mask.shape) / 800))
    inner = _shrunk(inside, width)
    core = _shrunk(inner, width)
    for lines in strips(inside.shape):
        own, tinted = as_float(part[lines]), inside[lines]
        own[tinted] += alpha * (color.array - own[tinted])
        own[inner[lines] & ~core[lines]] = np.float32(_contrast(color)) / 255
        own[tinted & ~inner[lines]] = color.array
        part[lines] = as_bytes(own)
    return painted


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
        spots_visible = [spot for spot, is_visible in zip(spots, visible, strict=True) if is_visible]
        free.extend((x - radius, y - radius, x + radius, y + radius) for x, y, _, _ in spots_visible)
        for x, y, color, _ in spots_visible:
            ring = _contrast(color)
            draw.ellipse((x - radius - 1, y - radius - 1, x + radius + 1, y + radius + 1), fill=ring)
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color.rgb)
        if names and max(image.size) >= 256:
            for x, y, color, name in spots_visible:
                _tag(draw, (x + radius + 3, y - 6), name, color, image.size, free)
    return np.asarray(image)


def draw_boxes(picture: np.ndarray, boxes: Boxes, colors: Sequence[Color] | None = None) -> np.ndarray:
    """uint8 picture with the frame of every box, and its label and score."""
    image = Image.fromarray(as_bytes(picture))
    draw = ImageDraw.Draw(image)
    width = max(1, round(max(image.size) / 150))
    free: list[tuple[float, float, float, float]] = []
    shades = _row_shades(
        colors, boxes.labels, np.asarray(image), lambda row: _frame(boxes.xyxy[row], image.size, 2 * width)
    )
    for box, color in zip(boxes.xyxy, shades, strict=True):
        x1, y1, x2, y2 = box.tolist()
        right, bottom = max(x1, x2 - 1), max(y1, y2 - 1)
        draw.rectangle((x1, y1, right, bottom), outline=color.rgb, width=width)
        if min(right - x1, bottom - y1) > 2 * width + 2:  # so that it shows on any ground
            inside = (x1 + width, y1 + width, right - width, bottom - width)
            draw.rectangle(inside, outline=_contrast(color), width=max(1, width // 3))
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
    there are several, which masks then say; a mask or box on ground of its colour has one far from that).
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
        resized = result.resize(h, w)
        shades = _row_shades(colors, resized.labels, large, resized.data.__getitem__)
        for mask, color in zip(resized.data, shades, strict=True):
            large = overlay_mask(large, mask, color)
        return _named_masks(large, resized, shades) if len(set(resized.labels)) > 1 else large
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


def _row_shades(
    colors: Sequence[Color] | None,
    labels: Sequence[str],
    picture: np.ndarray,
    region_of: Callable[[int], np.ndarray],
) -> list[Color]:
    """A colour a row, or a label where there are several labels and no colours; one that is far from what lies under
    and around the rows' regions (row -> bool [h, w]) of the picture."""
    if colors is not None:
        return _shades(colors, len(labels))
    names = list(dict.fromkeys(labels))
    keys = [names.index(label) for label in labels] if len(names) > 1 else list(range(len(labels)))
    shades: list[Color] = []
    for number, usual in enumerate(_shades(None, max(keys, default=-1) + 1)):
        region = np.zeros(picture.shape[:2], bool)
        for row, key in enumerate(keys):
            if key == number:
                check_interrupt()
                region |= region_of(row)
        shades.append(_visible(picture, region, usual, shades))
    return [shades[key] for key in keys]


def _visible(picture: np.ndarray, region: np.ndarray, usual: Color, others: Sequence[Color]) -> Color:
    """The usual colour, or where the region or what is around it is near that, the farthest that no other has."""
    from scipy import ndimage

    step = max(1, max(region.shape) // 512)
    if region[::step, ::step].any():
        picture, region = picture[::step, ::step], region[::step, ::step]
    reach = max(2, max(region.shape) // 64)
    sides = [np.flatnonzero(region.any(axis)) for axis in (1, 0)]
    if len(sides[0]):  # what lies farther from it does not count
        near_it = tuple(slice(max(0, side[0] - reach), side[-1] + 1 + reach) for side in sides)
        picture, region = picture[near_it], region[near_it]
    around = ndimage.binary_dilation(region, iterations=reach) & ~region
    places = [place for place in (region, around) if place.any()]
    near = any(color_distances(picture, place, [usual])[0] < _NEAR for place in places)
    if not near and usual not in others:
        return usual
    left = [color for color in _PALETTE if color not in others] or list(_PALETTE)
    return far_colors(picture, region | around, left)[0]


def _frame(box: np.ndarray, size: tuple[int, int], width: int) -> np.ndarray:
    """The pixels at the four sides of a box, bool [h, w]; size: (w, h)."""
    frame = np.zeros((size[1], size[0]), bool)
    x1, y1, x2, y2 = (max(0, round(v)) for v in box.tolist())
    frame[y1:y2, x1:x2] = True
    frame[y1 + width : max(0, y2 - width), x1 + width : max(0, x2 - width)] = False
    return frame


def _shrunk(mask: np.ndarray, width: int) -> np.ndarray:
    """The mask without the pixels at its edge, so many times."""
    for _ in range(width):
        check_interrupt()
        near = np.pad(mask, 1)
        mask = near[:-2, 1:-1] & near[2:, 1:-1]
        mask &= near[1:-1, :-2]
        mask &= near[1:-1, 2:]
        mask &= near[1:-1, 1:-1]
    return mask


def _named_masks(picture: np.ndarray, masks: Masks, shades: Sequence[Color]) -> np.ndarray:
    """The picture with the label of every mask at its top."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    occupied: list[tuple[float, float, float, float]] = []
    if max(image.size) >= 256:
        for box, label, color in zip(masks.boxes().xyxy, masks.labels, shades, strict=True):
            _tag(draw, (float(box[0]), float(box[1])), label, color, image.size, occupied)
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
    occupied: list[tuple[float, float, float, float]],
) -> None:
    """Text on a plate of the colour, inside the picture, moved down until it covers no other tag or mark.

    `taken` grows by the plate. A tag without room is left out rather than written over another.
    """
    font: Any = ImageFont.load_default(12)
    width, height = font.getlength(text) + 4, sum(font.getmetrics())
    x = min(max(0.0, place[0]), max(0.0, size[0] - width - 1))
    start = min(max(0.0, place[1]), max(0.0, size[1] - height - 1))
    for shift in range(0, size[1], 4):
        check_interrupt()
        for y in (start + shift, start - shift):
            plate = (x, y, x + width, y + height)
            inside = 0 <= y <= size[1] - height
            clear = all(
                plate[2] <= o[0] or plate[0] >= o[2] or plate[3] <= o[1] or plate[1] >= o[3] for o in occupied
            )
            if inside and clear:
                occupied.append(plate)
                draw.rectangle(plate, fill=color.rgb)
                draw.text((x + 2, y), text, fill=_contrast(color), font=font)
                return
