"""Filled half-transparent rectangles back to boxes, also where they overlap.

k boxes over one another leave (1 - a)^k of the picture, so the covered share M says how many there are:
k = log(1 - M) / log(1 - a). In a region whose k is not one plain rectangle, the rows and columns where k
steps cut it into cells, and the smallest set of rectangles that adds up to k on the cells is searched:
the first cell, in reading order, that is not yet accounted for must be a rectangle's upper left corner.
"""

from __future__ import annotations

import numpy as np

from ..imaging.rasterize import box_coverage, span_coverage
from ..imaging.strips import in_strips, strips
from ..utils.interrupts import check_interrupt
from .overlay import blend_fraction

_CUTS = 6  # steps up, and steps down, a region is cut at along one side, at most
_BOXES = 5  # rectangles searched for in one region
_BEAM = 24  # arrangements carried on in a search
_KEPT = 6  # arrangements that are compared pixel by pixel

_Rectangles = list[tuple[int, int, int, int]]  # top, left, bottom, right, in cells


def decode_boxes(
    source: np.ndarray,
    edited: np.ndarray,
    color: np.ndarray,
    *,
    alpha: float = 0.5,
    min_area: int | None = None,
    max_boxes: int = 20,
) -> tuple[np.ndarray, np.ndarray]:
    """(xyxy float32 [n, 4], scores float32 [n] in 0..1), the surest first, edges to a fraction of a pixel.

    The score is how evenly the rectangle is filled, to where its edges say it ends. min_area: pixels below
    which a region is noise (None: .15 % of the picture, at least 4).
    """
    from scipy import ndimage

    m, explained = blend_fraction(source, edited, color, 1.0)
    covered = in_strips(
        lambda rows: np.clip(m[rows], 0, 0.97) * np.clip(explained[rows] * 4 - 1.5, 0, 1), m.shape
    )
    h, w = covered.shape
    smallest = max(4, round(covered.size * 0.0015)) if min_area is None else min_area
    present = covered >= alpha / 2
    opened = ndimage.binary_opening(present, np.ones((2, 2), bool))  # a noisy pixel joins no two boxes
    check_interrupt()
    labels, count = ndimage.label(opened)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    regions: list[np.ndarray] = []
    framed = np.pad(covered, 1)  # a border to look at beyond every region
    for index in np.argsort(-sizes, kind="stable"):
        if sizes[index] < smallest or len(regions) >= max_boxes:
            break
        check_interrupt()
        regions.extend(_region_boxes(framed, np.pad(labels == index + 1, 1), alpha, smallest))
    if not regions:
        return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    boxes = np.stack(regions) - 1
    scores = np.array([_score(i, boxes, covered, alpha) for i in range(len(boxes))], np.float32)
    order = np.argsort(-scores, kind="stable")[:max_boxes]
    return np.clip(boxes[order], 0, [w, h, w, h]).astype(np.float32), scores[order]


def _region_boxes(covered: np.ndarray, region: np.ndarray, alpha: float, smallest: int) -> list[np.ndarray]:
    """The rectangles, at whole pixels, of one connected region."""
    from scipy import ndimage

    ys, xs = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    y0, y1, x0, x1 = int(ys[0]), int(ys[-1]) + 1, int(xs[0]), int(xs[-1]) + 1
    y0, x0, y1, x1 = y0 - 1, x0 - 1, y1 + 1, x1 + 1
    # The region with the soft pixels around it: refining needs to see where the edges end.
    share = np.where(ndimage.binary_dilation(region, np.ones((3, 3))), covered, 0)[y0:y1, x0:x1]
    corner = np.array([x0, y0, x0, y0], np.float32)
    count = np.log1p(-share) / np.log1p(-alpha)
    # Medians along a side calm the noise and leave the steps across it as they are, thin strips too.
    rows = _cuts(_medians(count), 0)
    columns = _cuts(_medians(count.T).T, 1)
    if len(rows) == 2 and len(columns) == 2:
        box = _trimmed(share, alpha, 0, 0)[None]
        return list(_refine(box, share, alpha) + corner)
    levels = np.array(
        [
            [np.median(count[t:b, le:r]) for le, r in zip(columns[:-1], columns[1:], strict=True)]
            for t, b in zip(rows[:-1], rows[1:], strict=True)
        ]
    )
    areas = np.outer(np.diff(rows), np.diff(columns)).astype(float)
    price = max(float(smallest), 0.03 * float(areas.sum()))
    best_cost, best = np.inf, [_trimmed(share, alpha, x0, y0)]
    for arrangement in _cover(levels, areas, price):
        check_interrupt()
        corners = [(columns[le], rows[t], columns[r], rows[b]) for t, le, b, r in arrangement]
        boxes = np.array(corners, np.float32)
        fine = _refine(boxes, share, alpha)
        through = np.ones_like(share)
        for box in fine:
            through *= 1 - alpha * box_coverage(box, *share.shape)
        cost = float(np.abs(1 - through - share).sum()) / alpha + price * len(boxes)
        if cost < best_cost:
            best_cost, best = cost, list(fine + corner)
    return best


def _medians(field: np.ndarray) -> np.ndarray:
    """The median of five values of a row around each."""
    from scipy import ndimage

    out = np.empty(field.shape, field.dtype)
    for rows in strips(field.shape, 2**19):
        out[rows] = ndimage.median_filter(field[rows], (1, 5), mode="nearest")
    return out


def _trimmed(share: np.ndarray, alpha: float, x0: int, y0: int) -> np.ndarray:
    """The box of the rows and columns that are filled over at least a third of the region's length."""
    filled = share >= alpha / 2
    ys = np.flatnonzero(filled.mean(1) >= 1 / 3)
    xs = np.flatnonzero(filled.mean(0) >= 1 / 3)
    if not len(xs) or not len(ys):
        return np.array([x0, y0, x0 + share.shape[1], y0 + share.shape[0]], np.float32)
    return np.array([x0 + xs[0], y0 + ys[0], x0 + xs[-1] + 1, y0 + ys[-1] + 1], np.float32)


def _cuts(count: np.ndarray, axis: int) -> np.ndarray:
    """Places along `axis` where k steps, the ends included.

    The strength of a step is summed along it, so a box's straight side stands out from ragged noise. A
    soft side spreads its step over two places, of which one is taken; a step up and a step down may be
    neighbours, for they bound a strip.
    """
    length, along = count.shape[axis], count.shape[1 - axis]
    steps = np.diff(count, axis=axis)
    chosen: list[int] = []
    for sign in (1, -1):
        steep = np.where(sign * steps > 0.25, np.minimum(sign * steps, 1), 0).sum(1 - axis)
        padded = np.pad(steep, 1)
        pairs = steep + np.maximum(padded[2:], padded[:-2])
        places: list[int] = []
        for place in np.lexsort((-steep, -np.round(pairs, 3))):
            if pairs[place] < max(2.0, 0.06 * along) or len(places) >= _CUTS:
                break
            cut = int(place) + 1
            if 4 <= cut <= length - 4 and all(abs(cut - other) >= 2 for other in places):
                places.append(cut)
        chosen.extend(places)
    return np.array([1, *sorted(set(chosen)), length - 1])


def _cover(levels: np.ndarray, areas: np.ndarray, price: float) -> list[_Rectangles]:
    """Sets of rectangles (top, left, bottom, right) in cells whose sum is nearest to `levels`, the best first.

    Ranks by sum of areas |levels - sum| + price x number, over a beam search that places one more rectangle
    a round at the first cell still open.
    """
    covers: list[tuple[float, _Rectangles]] = []
    beam: list[tuple[float, np.ndarray, np.ndarray, _Rectangles]] = [
        (float((np.abs(levels) * areas).sum()), np.rint(np.clip(levels, 0, 4)), levels, [])
    ]
    for count in range(1, _BOXES + 1):
        options = []
        for error, rest, exact, picked in beam:
            # The first open cell, and the second, should the first be a soft edge.
            for top, left in np.argwhere(rest > 0)[:2].tolist():
                part = (slice(top, None), slice(left, None))
                # For every rectangle with this corner at once: how far it is wrong, and what it leaves.
                wrong = (areas * (rest < 1))[part].cumsum(0).cumsum(1)
                whole = areas[part].cumsum(0).cumsum(1)
                change = ((np.abs(exact - 1) - np.abs(exact)) * areas)[part].cumsum(0).cumsum(1)
                for down, right in np.argwhere((wrong <= 0.25 * whole) & (change < 0)).tolist():
                    box = (top, left, top + down + 1, left + right + 1)
                    options.append((error + change[down, right], rest, exact, [*picked, box]))
        options.sort(key=lambda o: o[0])
        beam = []
        states = set()
        for error, rest, exact, picked in options:
            if len(beam) >= _BEAM:
                break
            key = tuple(sorted(picked))
            if key in states:
                continue
            states.add(key)
            top, left, bottom, right = picked[-1]
            inside = np.zeros_like(rest)
            inside[top:bottom, left:right] = 1
            less = rest - inside
            less[:top] = np.minimum(less[:top], 0)  # cells passed over are settled
            less[top, :left] = np.minimum(less[top, :left], 0)
            beam.append((error, less, exact - inside, picked))
        covers.extend((error + price * count, picked) for error, _, _, picked in beam[:_KEPT])
        if not beam or min(f[0] for f in covers) <= price * (count + 1):
            break  # one more rectangle costs more than all that is left
    covers.sort(key=lambda f: f[0])
    return [picked for _, picked in covers[:_KEPT]]


def _refine(boxes: np.ndarray, covered: np.ndarray, alpha: float, turns: int = 8) -> np.ndarray:
    """Edges to a fraction of a pixel: all sides of all boxes together, by damped least squares on the share.

    The share is 1 - product of (1 - a c_i). Derivatives are differences over a pixel either way, which reach
    an edge that is off by a pixel or two; edges move by at most one pixel a turn.
    """
    h, w = covered.shape
    fine = boxes.astype(np.float64)
    best, best_cost = fine.copy(), np.inf
    for turn in range(turns + 1):
        check_interrupt()
        spans = [(span_coverage(b[1], b[3], h), span_coverage(b[0], b[2], w)) for b in fine]
        through = [1 - alpha * np.outer(*span) for span in spans]
        left = covered - (1 - np.prod(through, axis=0))
        cost = float((left * left).sum())
        if cost < best_cost * (1 - 1e-4):
            best, best_cost = fine.copy(), cost
        elif turn > 2:
            break
        if turn == turns:
            break
        reach = 1.0 if turn < 3 else 0.5
        slopes = np.empty((4 * len(fine), h * w), np.float32)
        for i, box in enumerate(fine):
            check_interrupt()
            rest = alpha * np.prod([t for j, t in enumerate(through) if j != i], axis=0)
            for side in range(4):
                low, high = box.copy(), box.copy()
                low[side] -= reach
                high[side] += reach
                axis = side % 2
                size = w if axis == 0 else h
                spans_of = [span_coverage(b[axis], b[axis + 2], size) for b in (low, high)]
                step = (spans_of[1] - spans_of[0]) / (2 * reach)
                outer = np.outer(spans[i][0], step) if axis == 0 else np.outer(step, spans[i][1])
                slopes[4 * i + side] = (outer * rest).ravel()
        normal = (slopes @ slopes.T).astype(np.float64)
        normal += np.diag(0.02 * np.diag(normal) + 1e-3)
        move = np.linalg.solve(normal, (slopes @ left.ravel()).astype(np.float64)).reshape(-1, 4)
        fine = fine + np.clip(move, -1, 1)
        fine[:, 2:] = np.maximum(fine[:, 2:], fine[:, :2] + 1)
        fine = np.clip(fine, 0, [w, h, w, h])
    return best.astype(np.float32)


def _score(index: int, boxes: np.ndarray, covered: np.ndarray, alpha: float) -> float:
    """How much of what the boxes predict is there: 1 - |share - predicted| / alpha, a mean over this box."""
    h, w = covered.shape
    check_interrupt()
    through = np.ones_like(covered)
    for box in boxes:
        through *= 1 - alpha * box_coverage(box, h, w)
        check_interrupt()
    own = box_coverage(boxes[index], h, w)
    area = float(own.sum())
    if area < 1e-3:
        return 0.0
    error = np.minimum(np.abs(covered - (1 - through)) / alpha, 1)
    return float(np.clip(1 - (error * own).sum() / area, 0, 1))
