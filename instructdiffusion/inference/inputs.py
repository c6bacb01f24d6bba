"""Arguments: what a call gave, whatever its form, as one instruction, seed and noise a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..sampling import check_seeds
from ..tasks import Instruction, get_task
from ..tasks.understanding import understand


def as_instructions(instruction: Any) -> tuple[list[str | Instruction], bool]:
    """(words and instructions, each of which `as_instruction` takes; whether a single one came)."""
    single = isinstance(instruction, (str, Instruction))
    if not single and not isinstance(instruction, Sequence):
        raise TypeError(
            f"expected an instruction as words or Instruction, or a list, got {type(instruction).__name__}"
        )
    return [instruction] if single else list(instruction), single


def as_instruction(
    instruction: Any, task: str | None, picture: np.ndarray | None = None, verbatim: bool = False
) -> Instruction:
    """Words or an Instruction as one; words are understood (`tasks.understanding`), as `task` where it is named.

    picture: what colors are chosen to stand out from. verbatim: words without a task are an edit.
    ValueError for empty words, words that the task cannot answer, or where `task` is not the instruction's own;
    TypeError for anything else.
    """
    if isinstance(instruction, Instruction):
        if task not in (None, instruction.task):
            raise ValueError(
                f"the instruction is one of task {instruction.task!r}, but task={task!r} was asked for"
            )
        get_task(instruction.task)
        return instruction
    if not isinstance(instruction, str):
        raise TypeError(f"an instruction is words or an Instruction, got {type(instruction).__name__}")
    return understand(instruction, picture, task=task, verbatim=verbatim)


def paired(
    pictures: list[np.ndarray], texts: list[str | Instruction], one_picture: bool, one_text: bool
) -> tuple[list[np.ndarray], list[str | Instruction]]:
    """One instruction a picture; a single one of either is used for all of the other."""
    if one_text and not one_picture:
        return pictures, texts * len(pictures)
    if one_picture and not one_text:
        return pictures * len(texts), texts
    if len(pictures) != len(texts):
        raise ValueError(f"{len(pictures)} pictures came with {len(texts)} instructions: give one a picture")
    return pictures, texts


def as_seeds(seed: int | Sequence[int], count: int) -> list[int]:
    """A seed a picture, from one for all or one each; ValueError / TypeError as `sampling.check_seeds`."""
    seeds = check_seeds(seed) if count else ()
    if isinstance(seed, (int, np.integer)):
        return list(seeds) * count
    if len(seeds) != count:
        raise ValueError(f"expected one seed, or one a picture ({count}), got {len(seeds)}")
    return list(seeds)


def split_noise(noise: Any) -> tuple[Any, Sequence[Any] | None]:
    """(initial, steps) of what `run` takes as noise; None for what comes from the seed."""
    if not isinstance(noise, Mapping):
        return noise, None
    unknown = sorted(set(map(str, noise)) - {"initial", "steps"})
    if unknown:
        raise ValueError(f"noise has 'initial' and 'steps', got {unknown[0]!r}")
    steps = noise.get("steps")
    if isinstance(steps, (str, Mapping)) or not (steps is None or hasattr(steps, "__len__")):
        raise TypeError(f"noise 'steps' is a list of unit noise, one a row that adds noise, got {steps!r}")
    return noise.get("initial"), steps


def as_steps(steps: Sequence[Any] | None, count: int) -> list[tuple[Any, ...] | None]:
    """The fresh noise of every picture, a tensor a row that adds noise; None where the seed gives it."""
    if steps is None:
        return [None] * count
    rows = [as_starts(row, count) for row in steps]
    return [tuple(row[i] for row in rows) for i in range(count)]


def as_starts(noise: Any, count: int) -> list[Any]:
    """Unit noise [c, h, w] for all, or [n, c, h, w] one a picture, as tensors."""
    import torch

    try:
        tensor = torch.as_tensor(noise, dtype=torch.float32).cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"noise is unit noise as an array or tensor, got {type(noise).__name__}: {error}"
        ) from None
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError("noise has NaN or infinite values")
    if tensor.ndim == 3:
        return [tensor] * count
    if tensor.ndim != 4 or len(tensor) != count:
        raise ValueError(f"noise must be [c, h, w] or [{count}, c, h, w], got {list(tensor.shape)}")
    return list(tensor)
