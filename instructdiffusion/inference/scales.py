"""Scales: a question asked again with the picture seen larger or smaller, where the first look did not find the thing.

A model finds things of the sizes it was trained on: `tiny` those of a fifth to two thirds of the picture's short side.
Seen twice as large a small thing has such a size, seen half as large a big one. Where all this shows nothing, small
parts of the picture that stand out are looked at by themselves (`windows`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..results import Boxes, Keypoints, Label, Masks
from .backend import Backend
from .job import Drawing, Job
from .request import Request
from .windows import windowed_sketches

# Of the short side: what a look from further away counts for. Smaller things it sees worse than the first look does,
# larger ones that one sees in part or not at all (docs/sizes.md).
LARGE = 0.65
# What the first look must have found of such a thing, of the short side, where the words may mean several things: from
# further away several that stand together become one.
PART = 0.5
# What latents must differ by somewhere to be decoded. Where nothing was drawn `tiny`'s differ by 0.02 (95 of 100), a
# mark makes 0.27 and more; a model that is less exact has everything decoded, as without.
UNTOUCHED = 0.05


class Look(NamedTuple):
    """What a question's picture gave at one scale. extent: of the largest thing as a share of the short side, 0 where
    nothing was found, None where what was found has no extent (points, a category)."""

    sketch: Drawing
    extent: float | None

    def wants(self, scale: float, several: bool) -> bool:
        """Say whether a look at `scale` may count rather than this one; several: may the words mean several?"""
        if self.extent is None or self.extent == 0:
            return self.extent is not None
        return scale < 1 and (not several or self.extent >= PART)  # from nearer only where nothing was found

    def replaces(self, before: Look, scale: float, several: bool) -> bool:
        """Say whether this look, at `scale`, counts rather than the one before; several: may the words mean several?"""
        if self.extent is None or before.extent is None:
            return self.extent is None
        if scale > 1:
            return self.extent > 0
        return self.extent >= LARGE and (not several or before.extent == 0 or before.extent >= PART)


def scaled_sketches(
    job: Job, backend: Backend, requests: Sequence[Request]
) -> Iterator[tuple[int, np.ndarray, np.ndarray | None]]:
    """Draw every question at the first of its job's scales, and at each further one that may find more.

    Args:
        job: A job of a task that perceives; its settings' `scales` are gone through in their order.
        backend: What draws.
        questions: Those with noise of their own are drawn at the first scale alone, which is the noise's.

    Yields:
        (number of the request, edited, copy) as `Runner.sketches` does, each of the scale that counts.
    """
    if not job.looks_again:
        yield from job.draw_whole(backend, requests)
        return
    scales, several = job.settings.scales, job.task.several
    job = dataclasses.replace(job, untouched=UNTOUCHED)
    looks: dict[int, Look] = {}

    def wants_more(look: Look, place: int) -> bool:
        further = any(look.wants(scale, several) for scale in scales[place + 1 :])
        return further or (job.settings.windows > 0 and look.extent == 0)

    for place, scale in enumerate(scales):
        numbers = [n for n in range(len(requests)) if not place or (n in looks and looks[n].wants(scale, several))]
        try:
            for row, edited, copy in _job_at(job, scale).draw_whole(backend, [requests[n] for n in numbers]):
                number = numbers[row]
                request = requests[number]
                new = Look((edited, copy), _extent(job, request, edited, copy))
                if not place or new.replaces(looks[number], scale, several):
                    looks[number] = new
                own = request.has_noise
                if own or not wants_more(looks[number], place):
                    yield number, *looks.pop(number).sketch
        except MemoryError:
            if not place:
                raise  # a further look that memory is too small for is left out: the ones before stand
        done = [n for n, look in looks.items() if not wants_more(look, place)]
        for number in done:
            yield number, *looks.pop(number).sketch
    left = list(looks)
    try:
        near = windowed_sketches(job, backend, [requests[n] for n in left])
    except MemoryError:
        near = {}
    for row, number in enumerate(left):
        yield number, *near.get(row, looks[number].sketch)


def _job_at(job: Job, scale: float) -> Job:
    """The job at one scale; of larger pictures fewer go through at once."""
    options = job.options
    if scale > 1:
        options = dataclasses.replace(options, batch_size=max(1, int(options.batch_size / scale**2)))
    return dataclasses.replace(job, scale=scale, options=options)


def _extent(job: Job, request: Request, edited: np.ndarray, copy: np.ndarray | None) -> float | None:
    """`Look.extent` of a sketch."""
    assert copy is not None  # a task that perceives is read against it
    return extent(job.task.decode(copy, edited, request.instruction, **job.options.decode_keywords))


def extent(result: Any) -> float | None:
    """Measure the largest thing found.

    Args:
        result: What a task that perceives decodes.

    Returns:
        Its longer side as a share of the picture's short side; 0 where nothing is found; None for points and
        categories, which have no size.
    """
    if isinstance(result, Label):
        return 0.0 if result.name is None else None
    if isinstance(result, Keypoints):
        return None if result.visible.any() else 0.0
    sides = [0.0]
    if isinstance(result, Boxes):
        sides += [float(max(x1 - x0, y1 - y0)) for x0, y0, x1, y1 in result.xyxy]
    elif isinstance(result, Masks):
        for mask in result.data:
            sides += [float(np.ptp(np.flatnonzero(mask.any(axis))) + 1) for axis in (0, 1) if mask.any()]
    extent: float = max(sides) / min(result.canvas_size)
    return extent
