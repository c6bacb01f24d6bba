"""Runner: requests put through a backend, and what was drawn for them read back, at the images' own sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ..compositing.rules import join_drawings
from ..imaging.resize import resize_field, resize_picture
from ..results import Boxes, Keypoints, Masks
from ..utils.interrupts import check_interrupt
from ..utils.old_names import old_members
from .answer import Answer
from .backend import Backend
from .job import Drawing, Job
from .located import located_sketches
from .request import Request
from .tiles import tiled_sketches


class Runner:
    """Puts the requests of a job through a backend.

    Args:
        job: How they are to be answered.
        backend: What draws.
    """

    def __init__(self, job: Job, backend: Backend) -> None:
        self.job, self.backend = job, backend

    def answers(self, requests: Sequence[Request]) -> Iterator[tuple[int, Answer]]:
        """(number of the request, its answer), in the order in which they become ready."""
        for number, drawings in self._drawings(requests):
            yield number, self._answer(requests[number], drawings)

    def edits(self, requests: Sequence[Request]) -> Iterator[tuple[int, np.ndarray]]:
        """(number of the request, what the model drew: uint8 at the picture's own size), nothing read back."""
        for number, drawings in self._drawings(requests):
            yield number, self._whole(requests[number], *_joined(drawings))

    def _drawings(self, requests: Sequence[Request]) -> Iterator[tuple[int, list[Drawing]]]:
        """(number of the request, a drawing for each of what the model was asked for it: several subjects have one
        each, as if each had been asked alone)."""
        parts = [self.job.task.questions(q.instruction) for q in requests]
        pairs = [(i, k) for i, p in enumerate(parts) for k in range(len(p))]
        rounds = [pairs]
        if getattr(self.backend, "one_text", False):  # all requests of a batch must have one text
            rounds = [[a for a in pairs if a[1] == k] for k in range(max(map(len, parts), default=0))]
        drawings: dict[int, dict[int, Drawing]] = {}
        for places in rounds:
            singles = [replace(self._part(requests[i]), instruction=parts[i][k]) for i, k in places]
            for number, edited, copy in self.sketches(singles):
                i, k = places[number]
                drawings.setdefault(i, {})[k] = (edited, copy)
                if len(drawings[i]) == len(parts[i]):
                    done = drawings.pop(i)
                    yield i, [done[k] for k in range(len(parts[i]))]

    def _window(self, request: Request) -> tuple[slice, slice] | None:
        """(rows, columns) of the square of a request's image that the model is shown; None where that is all of it.

        Models that have only seen squares know where "on the left" is in those.
        """
        height, width = request.image.shape[:2]
        if self.job.resize_mode != "shortest_edge" or height == width:
            return None
        corner = self.job.task.window(request.instruction, (height, width))
        if corner is None:
            return None
        (y, x), side = corner, min(height, width)
        return slice(y, y + side), slice(x, x + side)

    def _part(self, request: Request) -> Request:
        """The request on what of its image the model is shown."""
        window = self._window(request)
        return request if window is None else replace(request, image=request.image[window])

    def _whole(self, request: Request, edited: np.ndarray, copy: np.ndarray | None) -> np.ndarray:
        """The edit of a whole picture from that of the part that the model was shown; the rest is the source."""
        window = self._window(request)
        if window is None:
            return self.job.compose(request.image, edited, copy)
        whole = request.image.copy()
        whole[window] = self.job.compose(request.image[window], edited, copy)
        return whole

    def sketches(self, requests: Sequence[Request]) -> Iterator[tuple[int, np.ndarray, np.ndarray | None]]:
        """(number of the request, what the model drew, the autoencoder's copy of the source, or None where none is
        needed): float32 [h, w, 3] in 0..1 at the size at which the model saw the picture, nothing laid on the source.
        """
        if self.job.is_tiled:
            return tiled_sketches(self.job, self.backend, requests)
        if self.job.task.perception and self.job.looks_again:
            return located_sketches(self.job, self.backend, requests)
        return self.job.draw_whole(self.backend, requests)

    def _answer(self, request: Request, drawings: Sequence[Drawing]) -> Answer:
        source, instruction = request.image, request.instruction
        settings = {
            **self.job.settings.to_dict(),
            "seed": request.seed,
            "resolution": self.job.resolution,
            **self.job.options.spoken,
        }
        check_interrupt()
        if not self.job.task.perception:
            picture = self._whole(request, *_joined(drawings))
            result = self.job.task.decode(source, picture, instruction, **self.job.options.decode_keywords)
            return Answer(instruction, result, result, source, settings, self.job.knowledge)
        # Masks come back along the edges of the picture itself.
        options = {**self.job.options.decode_keywords, **self.job.task.decode_options(guide=source)}
        results = []
        for part, (edited, copy) in zip(self.job.task.questions(instruction), drawings, strict=True):
            reference = copy if copy is not None else resize_picture(source, edited.shape[:2]) / np.float32(255)
            check_interrupt()
            result = self.job.task.decode(reference, edited, part, **options)
            check_interrupt()
            if isinstance(result, (Boxes, Keypoints, Masks)) and result.canvas_size != source.shape[:2]:
                result = result.resize(*source.shape[:2])
            results.append(result)
        # What was drawn is small, and a part of its batch, which is let go.
        edited, copy = _joined(drawings)
        compose: Any = partial(self.job.compose, source, edited.copy(), None if copy is None else copy.copy())
        result = self.job.task.join(results, instruction)
        return Answer(instruction, result, compose, source, settings, self.job.knowledge)


__getattr__ = old_members(__name__, Job=lambda: Job, Question=lambda: Request)


def _joined(drawings: Sequence[Drawing]) -> Drawing:
    """The drawings of several subjects as one, at the largest of their sizes."""
    if len(drawings) == 1:
        return drawings[0]
    largest, copy = max(drawings, key=lambda d: d[0].size)
    if copy is None:
        return largest, None
    changes = [edited - (copy if other is None else other) for edited, other in drawings]
    return join_drawings(copy, [copy + resize_field(c, copy.shape[:2]) for c in changes]), copy
