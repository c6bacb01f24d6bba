"""Located sketches: on long canvases a spatial phrase is asked in parts, and the thing it means told by its place.

"The dog left of the tree" is asked as it is, and beside it "the dog" and "the tree"; of the dogs that were drawn the
one that stands so is kept, so that the answer is one drawing as ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from scipy.ndimage import binary_dilation

from ..imaging.resize import content_size
from ..results import Masks
from ..tasks import get_task
from ..tasks.spatial import SpatialPhrase, candidates, largest_part
from .backend import Backend
from .job import Job
from .request import Request
from .scales import scaled_sketches

LONG = 1.2  # long side to short from which a canvas is no square to a model
EDGE = 2  # pixels around a thing that its drawing's soft edge takes

Sketch = tuple[int, np.ndarray, "np.ndarray | None"]


def located_sketches(job: Job, backend: Backend, requests: Sequence[Request]) -> Iterator[Sketch]:
    """Draw every question; those with spatial phrases on long canvases in parts.

    Args:
        job: A job of a task that perceives.
        backend: What draws.
        questions: Those with noise of their own are drawn as they are.

    Yields:
        (number of the request, edited, copy) as `Runner.sketches` does.
    """
    phrases = {n: phrase for n, q in enumerate(requests) if (phrase := spatial_phrase(job, q)) is not None}
    kinds = _parts(job, backend, requests, {n: p.noun for n, p in phrases.items()}, job.task.kind_task)
    anchors = _parts(job, backend, requests, {n: p.anchor for n, p in phrases.items() if p.anchor}, job.task.name)
    for number, edited, copy in scaled_sketches(job, backend, requests):
        if number not in phrases or copy is None:
            yield number, edited, copy
            continue
        request = requests[number]
        whole = job.task.decode(copy, edited, request.instruction, **job.options.decode_keywords)
        yield number, *_located(phrases[number], whole, (edited, copy), kinds[number], anchors.get(number))


def spatial_phrase(job: Job, request: Request) -> SpatialPhrase | None:
    """The spatial phrase of a question that is asked in parts; None where it is asked as it is."""
    if request.has_noise or job.resize_mode != "shortest_edge":
        return None
    height, width = content_size(request.image.shape[:2], job.resolution, 1, job.resize_mode)
    if max(height, width) < LONG * min(height, width):
        return None
    return job.task.spatial_phrase(request.instruction)


def _parts(
    job: Job, backend: Backend, requests: Sequence[Request], subjects: dict[int, str], task: str
) -> dict[int, tuple[np.ndarray, np.ndarray, Masks]]:
    """Request number -> (edited, copy, masks) of a part of its phrase, asked as a question of `task`."""
    if not subjects:
        return {}
    numbers = list(subjects)
    kind_task = get_task(task)
    instructions = [kind_task.instruct(subjects[n], requests[n].instruction.colors) for n in numbers]
    singles = [replace(requests[n], instruction=i) for n, i in zip(numbers, instructions, strict=True)]
    settings = replace(job.settings, scales=job.settings.scales[:1])
    part = replace(job, task=kind_task, settings=settings)
    drawings: dict[int, tuple[np.ndarray, np.ndarray, Masks]] = {}
    for row, edited, copy in scaled_sketches(part, backend, singles):
        assert copy is not None  # a task that perceives is read against it
        masks = kind_task.decode(copy, edited, instructions[row], **job.options.decode_keywords)
        drawings[numbers[row]] = edited, copy, masks
    return drawings


def _located(
    phrase: SpatialPhrase,
    whole: Masks,
    sketch: tuple[np.ndarray, np.ndarray],
    kind: tuple[np.ndarray, np.ndarray, Masks],
    anchor: tuple[np.ndarray, np.ndarray, Masks] | None,
) -> tuple[np.ndarray, np.ndarray]:
    """(edited, copy) with what the phrase means and nothing else."""
    edited, copy, regions = kind
    size = copy.shape[:2]
    seen_from = None
    if anchor is not None:
        seen_from = largest_part(_resized(anchor[2], size).union())
        if not seen_from.any():
            return sketch  # seen from nothing: the whole phrase's own answer stands
    pointed_out = _resized(whole, size).union()
    things = candidates(list(regions.data), pointed_out)
    one = any(thing is pointed_out for thing in things)
    number = phrase.choose(things, seen_from, 0 if one else None)
    if number is None:
        return copy, copy
    if things[number] is pointed_out:
        return sketch
    near = binary_dilation(things[number], iterations=EDGE)
    for other, thing in enumerate(things):
        if other != number:
            near &= ~thing
    if (things[number] & pointed_out).sum() > 0.5 * things[number].sum():
        edited, copy = sketch  # one of several that the whole phrase pointed out, in a look of its own size
        rows, columns = (np.arange(n) * m // n for n, m in zip(copy.shape[:2], size, strict=True))
        near = near[np.ix_(rows, columns)]
    return np.where(near[:, :, None], edited, copy), copy


def _resized(masks: Masks, size: tuple[int, int]) -> Masks:
    """Masks at another size."""
    return masks if masks.canvas_size == size else masks.resize(*size)
