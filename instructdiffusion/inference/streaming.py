"""Streams: pictures loaded when their batch comes, and let go once their answers have been taken."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..imaging.images import load_picture
from ..tasks import Instruction
from .answer import Answer
from .inputs import as_seeds

PIXELS = 2**24  # of the pictures that are loaded at once, unless a single one has more


def stream(
    run: Callable[..., Any], instruction: Any, images: Iterable[Any], options: dict[str, Any]
) -> Iterator[Answer]:
    """The answers of `InstructDiffusion.stream`; what is wrong for every picture is raised before any is loaded."""
    if isinstance(images, (str, os.PathLike)) or not isinstance(images, Iterable):
        raise TypeError(f"images is a list or an iterator of pictures, got {type(images).__name__}")
    noise = options.get("noise")
    if noise is not None and not isinstance(noise, str):
        raise TypeError('noise of a stream is "seed" or "zero": give run the pictures that have noise of their own')
    count = len(images) if isinstance(images, Sequence) else None
    if isinstance(images, Sequence):
        for path in images:
            if isinstance(path, (str, os.PathLike)) and not Path(path).exists():
                raise FileNotFoundError(f"there is no file {path}")
    questions: Sequence[Any] | None = None
    if not (isinstance(instruction, (str, Instruction)) or callable(instruction)):
        questions = list(instruction)
        if count is not None and len(questions) != count:
            raise ValueError(f"{count} pictures came with {len(questions)} instructions: give one a picture")
    seed = options.get("seed", 0)
    seeds = None if isinstance(seed, (int, np.integer)) else list(seed)
    if seeds is not None and count is not None:
        as_seeds(seeds, count)
    return _answers(run, instruction, questions, seeds, images, dict(options))


def _answers(
    run: Callable[..., Any],
    instruction: Any,
    instructions: Sequence[Any] | None,
    seeds: list[int] | None,
    images: Iterable[Any],
    options: dict[str, Any],
) -> Iterator[Answer]:
    on_answer = options.pop("on_answer", None)
    first = 0
    for pictures in _groups(images, int(options.get("batch_size", 16))):
        numbers = range(first, first + len(pictures))
        if seeds is not None:
            options["seed"] = [seeds[i] for i in numbers]
        if instructions is not None:
            questions = [instructions[i] for i in numbers]
        elif callable(instruction):
            questions = [instruction(picture) for picture in pictures]
        else:
            questions = [instruction] * len(pictures)
        answers: Any = run(questions, pictures, **options)
        pictures.clear()  # the answers hold their own
        answers.reverse()
        for number in numbers:
            answer = answers.pop()
            if on_answer is not None:
                on_answer(number, answer)
            yield answer
            del answer
        first += len(numbers)


def _groups(images: Iterable[Any], most: int) -> Iterator[list[np.ndarray]]:
    """Pictures, loaded, at most `most` and PIXELS of pixels at once."""
    group: list[np.ndarray] = []
    for image in images:
        picture = load_picture(image)
        pixels = sum(p.shape[0] * p.shape[1] for p in (*group, picture))
        if group and (len(group) >= max(1, most) or pixels > PIXELS):
            yield group
            group = []
        group.append(picture)
        del picture
    if group:
        yield group
