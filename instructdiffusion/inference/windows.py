"""Windows: a question asked again of small squares of its picture, seen nearer, where the whole showed nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..imaging.resize import LONGEST, resize_field, resize_picture
from ..imaging.standouts import Window, standout_windows
from ..results import Boxes, Masks
from .backend import Backend
from .job import Drawing, Job
from .request import Request

# Of the resolution: the side at which a window is seen. It shows less of a picture than the model was trained with.
SIDE = 0.75
FINEST = 4  # times the resolution: the short side at which what windows show is put together
EDGE = 1.0  # pixels: what reaches so near to a window's side goes on beyond it
# Alone 0.7 would be needed: of 80 scenes without the thing six had finds, at 0.53 to 0.75 and 0.87.
SURE = 0.55
ENLARGED = 2  # times: a window of fewer pixels has nothing to show that the whole picture does not
# A find is looked at once more in a window of its own, so many times as long as the thing, in which the model must show
# it again: what is not there is seldom seen twice.
AROUND, AGAIN, SAME = 3.0, 0.5, 0.4  # times its longer side; score; IoU of the boxes
MARGIN = 2  # pixels around a thing within which its drawing ends


class Find(NamedTuple):
    """A thing that a window shows. box: x0, y0, x1, y1 in the window's pixels as the model saw it, side x side."""

    score: float
    box: tuple[float, float, float, float]
    window: Window
    drawing: Drawing

    def place(self) -> tuple[float, float, float, float]:
        """The box in pixels of the picture."""
        near = self.window.side / self.drawing[0].shape[0]
        x0, y0, x1, y1 = (c * near for c in self.box)
        return x0 + self.window.x, y0 + self.window.y, x1 + self.window.x, y1 + self.window.y


def windowed_sketches(job: Job, backend: Backend, requests: Sequence[Request]) -> dict[int, Drawing]:
    """Ask every question again in windows of its picture that stand out.

    Args:
        job: A job of a task that perceives; its settings' `windows` says how many windows a picture has at most.
        backend: What draws.
        questions: Those that nothing was found for.

    Returns:
        number of the request -> (edited, copy) as `Runner.sketches` gives them, of those for which a window shows
        something whole.
    """
    multiple = backend.multiple
    side = max(multiple, round(job.resolution * SIDE / multiple) * multiple)
    near = dataclasses.replace(job, scale=1.0, resolution=side)
    windows = [
        (n, window)
        for n, request in enumerate(requests)
        if job.task.shows_alone(request.instruction)
        for window in standout_windows(request.image, job.settings.windows)
        if window.side * ENLARGED >= side
    ]
    finds: dict[int, list[Find]] = {}
    for row, find in _shown(near, backend, requests, windows):
        if find.score >= SURE and min(find.box[:2]) >= EDGE and max(find.box[2:]) <= len(find.drawing[0]) - EDGE:
            finds.setdefault(windows[row][0], []).append(find)
    sure = _seen_again(dataclasses.replace(job, scale=1.0), backend, requests, finds)
    return {n: _joined(job, requests[n], some) for n, some in sure.items()}


def _shown(
    job: Job, backend: Backend, requests: Sequence[Request], windows: Sequence[tuple[int, Window]]
) -> Iterator[tuple[int, Find]]:
    """(row, find) of everything that windows show; windows: (number of the request, a window of its picture)."""
    parts = [
        dataclasses.replace(requests[n], image=requests[n].image[w.y : w.y + w.side, w.x : w.x + w.side])
        for n, w in windows
    ]
    for row, edited, copy in job.draw_whole(backend, parts):
        result = job.task.decode(copy, edited, parts[row].instruction, **job.options.decode_keywords)
        for score, box in _things(result):
            yield row, Find(score, box, windows[row][1], (edited, copy))


def _seen_again(
    job: Job, backend: Backend, requests: Sequence[Request], finds: dict[int, list[Find]]
) -> dict[int, list[Find]]:
    """The finds that another look at their places shows, too."""
    claims = [(n, find) for n, some in finds.items() for find in some]
    squares = [(n, _around(find.place(), requests[n].image.shape[:2])) for n, find in claims]
    again: dict[int, list[Find]] = {}
    for row, find in _shown(job, backend, requests, squares):
        again.setdefault(row, []).append(find)
    sure: dict[int, list[Find]] = {}
    for row, (n, find) in enumerate(claims):
        looks = again.get(row, ())
        if any(one.score >= AGAIN and _overlap(one.place(), find.place()) >= SAME for one in looks):
            sure.setdefault(n, []).append(find)
    return sure


def _around(box: tuple[float, float, float, float], size: tuple[int, int]) -> Window:
    """The square around a thing's box within a picture of `size` (height, width)."""
    x0, y0, x1, y1 = box
    side = max(1, min(*size, round(AROUND * max(x1 - x0, y1 - y0))))
    x = min(max(0, round((x0 + x1 - side) / 2)), size[1] - side)
    y = min(max(0, round((y0 + y1 - side) / 2)), size[0] - side)
    return Window(y=y, x=x, side=side)


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Intersection over union of two boxes."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(0.0, width) * max(0.0, height)
    return both / max(1e-9, (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def _things(result: Masks | Boxes) -> list[tuple[float, tuple[float, float, float, float]]]:
    """(score, box) of everything that a result shows."""
    if isinstance(result, Boxes):
        corners = (map(float, row) for row in result.xyxy)
        return [(float(s), (x0, y0, x1, y1)) for s, (x0, y0, x1, y1) in zip(result.scores, corners, strict=True)]
    things = []
    for score, mask in zip(result.scores, result.data, strict=True):
        ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        things.append((float(score), (float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1))))
    return things


def _joined(job: Job, request: Request, finds: Sequence[Find]) -> Drawing:
    """The drawings of things, the surest first and one where they overlap, on the whole picture."""
    height, width = request.image.shape[:2]
    scale = max(job.resolution, min(FINEST * job.resolution, height, width)) / min(height, width)
    scale = min(scale, LONGEST * FINEST * job.resolution / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    copy = resize_picture(request.image, size) / np.float32(255)
    edited, joined_finds = copy.copy(), list[Find]()
    for find in sorted(finds, key=lambda f: -f.score):
        if any(_meet(find, other) for other in joined_finds) or (joined_finds and not job.task.several):
            continue
        joined_finds.append(find)
        after, before = find.drawing
        assert before is not None
        x0, y0, x1, y1 = (round(c) for c in find.box)
        own = np.zeros(after.shape[:2], bool)
        own[max(0, y0 - MARGIN) : y1 + MARGIN, max(0, x0 - MARGIN) : x1 + MARGIN] = True
        top, left, side = (max(0, round(c * scale)) for c in find.window)
        change = resize_field(np.where(own[..., None], after - before, 0), (max(1, side), max(1, side)))
        part = edited[top : top + side, left : left + side]
        part += change[: part.shape[0], : part.shape[1]]
    return np.clip(edited, 0, 1), copy


def _meet(one: Find, other: Find) -> bool:
    """Say whether two windows show the same thing, or things that overlap."""
    a, b = one.place(), other.place()
    if one.window == other.window:
        return False
    return max(a[0], b[0]) < min(a[2], b[2]) and max(a[1], b[1]) < min(a[3], b[3])
