"""Discs back to points: where each colour's disc is, to a fraction of a pixel.

A disc covers a pixel by q, out = (1 - q) src + q color, so q = <d, u> / |u|^2 with d = out - src and
u = color - src. A model in doubt draws a disc as faintly as it is unlikely, so q is evidence at any strength: the
best place is where a disc-shaped window holds most of it. A disc that came out nearly opaque is then fitted to q
by least squares, leaving out what another mark may hide; of a faint one the centre of mass is taken.
"""

from __future__ import annotations

import numpy as np

from ..imaging.rasterize import as_float, disc_coverage
from ..imaging.strips import in_strips, strips, with_margin
from ..utils.interrupts import check_interrupt

_TELLS = 0.04  # squared RGB distance of a pixel from a colour below which the colour would not show on it
_LARGE = 2**21  # pixels beyond which a window goes over a picture strip by strip
_OPAQUE = 0.5  # score from which a disc's edge is sharp enough to be fitted


def find_discs(
    source: np.ndarray, edited: np.ndarray, colors: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Centres float32 [k, 2] (x, y) and scores float32 [k] in 0..1 of one disc a colour [k, 3].

    The score is how opaque the disc came out, the mean over its pixels, less where its colour does not explain
    what changed: about 1 for a clean disc, about 0 where there is none (its centre then means nothing). Parts hidden
    by other marks, beyond the picture's edge, or of the colour before count neither way, up to two thirds of the disc.
    """
    palette = np.asarray(colors, np.float32)
    h, w = source.shape[:2]
    q, left, share = (np.empty((len(palette), h, w), np.float32) for _ in range(3))
    tells, power = np.empty((len(palette), h, w), bool), np.empty((h, w), np.float32)
    for rows in strips((h, w * len(palette))):
        s = as_float(source[rows])
        d = as_float(edited[rows]) - s
        power[rows] = (d * d).sum(-1)
        u = palette[:, None, None] - s
        size = (u * u).sum(-1)
        q[:, rows] = np.clip((d * u).sum(-1) / (size + np.float32(0.01)), 0, 1)
        rest = d - q[:, rows, :, None] * u
        left[:, rows] = rest = (rest * rest).sum(-1)
        tells[:, rows] = size > _TELLS
        # Every pixel speaks for the colour that explains it best.
        share[:, rows] = q[:, rows] * (rest <= rest.min(0) + 1e-6) * tells[:, rows]
    reach = int(np.ceil(radius))
    span = np.arange(-reach, reach + 1)
    disc = disc_coverage(0.5, 0.5, radius, span, span)
    energy = _convolved(power, disc) + np.float32(1e-6)
    centres = np.zeros((len(palette), 2), np.float32)
    scores = np.zeros(len(palette), np.float32)
    for k in range(len(palette)):
        others = np.delete(share, k, axis=0)
        held = _held(share[k], others, tells[k], left[k], energy, disc)
        top = int(np.argmax(held))
        row, column = divmod(top, w)
        centre = _centroid(share[k], column + 0.5, row + 0.5, radius)
        if held.flat[top] >= _OPAQUE:
            centre = _fit(q[k], _unhidden(others, h, w) * tells[k], centre, radius)
        centres[k] = centre
        scores[k] = min(1.0, float(held.flat[top]))
    return centres, scores


def _held(
    share: np.ndarray,
    others: np.ndarray,
    tells: np.ndarray,
    left: np.ndarray,
    energy: np.ndarray,
    disc: np.ndarray,
) -> np.ndarray:
    """How much of a disc [n, n] around each pixel is of a colour, [h, w] in about 0..1."""
    area = float(disc.sum())

    def free(rows: slice) -> np.ndarray:
        part = others[:, rows]
        return tells[rows] * (np.float32(1) - (part.max(0) if len(part) else np.float32(0)))

    lost, own = _convolved(left, disc), _convolved(share, disc)
    room = _convolved(in_strips(free, share.shape), disc)

    def weighed(rows: slice) -> np.ndarray:
        explained = np.clip(2 - 2 * lost[rows] / energy[rows], 0, 1)
        return own[rows] / np.maximum(room[rows], area / 3) * explained

    return in_strips(weighed, share.shape)


def _convolved(plane: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """A plane [h, w] convolved with a kernel of odd sides; a large one in parts, the same but for rounding."""
    from scipy import signal

    check_interrupt()
    if plane.size <= _LARGE:
        return signal.convolve(plane, kernel, "same")
    margin, height = len(kernel) // 2, len(plane)

    def part(rows: slice) -> np.ndarray:
        wider, own = with_margin(rows, height, margin)
        return signal.convolve(plane[wider], kernel, "same")[own]

    return in_strips(part, plane.shape, max(_LARGE // 2, 2 * margin * plane.shape[1]))


def _window(x: float, y: float, reach: float, h: int, w: int) -> tuple[slice, slice]:
    rows = slice(max(0, int(y - reach)), min(h, int(y + reach) + 1))
    return rows, slice(max(0, int(x - reach)), min(w, int(x + reach) + 1))


def _centroid(weight: np.ndarray, x: float, y: float, radius: float) -> tuple[float, float]:
    """The centre of `weight` near (x, y): a mean shift that ignores what lies beyond the disc's reach."""
    h, w = weight.shape
    for _ in range(3):
        rows, columns = _window(x, y, radius + 1, h, w)
        ys, xs = np.arange(rows.start, rows.stop), np.arange(columns.start, columns.stop)
        part = weight[rows, columns] * disc_coverage(x, y, radius + 1, xs, ys)
        mass = float(part.sum())
        if mass <= 1e-6:
            break
        x, y = float((part.sum(0) * (xs + 0.5)).sum() / mass), float((part.sum(1) * (ys + 0.5)).sum() / mass)
    return x, y


def _unhidden(others: np.ndarray, h: int, w: int) -> np.ndarray:
    """Weights [h, w]: 0 on and beside pixels that another mark's colour took."""
    from scipy import ndimage

    if not len(others):
        return np.ones((h, w), np.float32)
    def free(rows: slice) -> np.ndarray:
        wider, own = with_margin(rows, h, 1)
        covered = ndimage.binary_dilation(others[:, wider].max(0) > 0.3, np.ones((3, 3), bool))[own]
        return (~covered).astype(np.float32)

    return in_strips(free, (h, w))


def _fit(q: np.ndarray, weight: np.ndarray, start: tuple[float, float], radius: float) -> tuple[float, float]:
    """The centre whose disc resembles q most, by Gauss-Newton; `start` where that wanders off.

    The disc's edge is first taken two pixels soft (a wider catch), then one as drawn.
    """
    h, w = q.shape
    x, y = start
    for turn in range(14):
        soft = np.float32(2.0 if turn < 5 else 1.0)
        rows, columns = _window(x, y, radius + 2, h, w)
        ys, xs = np.arange(rows.start, rows.stop) + 0.5, np.arange(columns.start, columns.stop) + 0.5
        if not len(ys) or not len(xs):
            return start
        dx, dy = xs[None] - x, ys[:, None] - y
        distance = np.maximum(np.sqrt(dx * dx + dy * dy), 1e-6)
        level = (radius - distance) / soft + 0.5
        trust = weight[rows, columns] * (distance < radius + 1.5)
        shape = np.clip(level, 0, 1)
        slope = ((level > 0) & (level < 1)) * trust / soft
        power = float((trust * shape * shape).sum())
        gain = min(max(float((trust * shape * q[rows, columns]).sum()) / max(power, 1e-6), 0.5), 1.0)
        gx, gy = slope * dx / distance, slope * dy / distance
        left = q[rows, columns] / gain - shape
        a, b, c = float((gx * gx).sum()) + 1e-3, float((gx * gy).sum()), float((gy * gy).sum()) + 1e-3
        p, r = float((gx * left).sum()), float((gy * left).sum())
        det = a * c - b * b
        if det < 1e-4:
            return start
        step_x, step_y = (c * p - b * r) / det, (a * r - b * p) / det
        length = max(1.0, 2 * np.hypot(step_x, step_y))  # half a pixel a turn at most
        x, y = x + step_x / length, y + step_y / length
        if turn > 5 and np.hypot(step_x, step_y) < 1e-3:
            break
    wandered = np.hypot(x - start[0], y - start[1]) > 1 + 0.7 * radius
    return start if wandered else (float(x), float(y))
