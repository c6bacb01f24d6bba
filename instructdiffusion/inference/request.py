"""Request: a validated question, an instruction on an image with what to answer it with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from ..imaging.images import load_pictures
from ..sampling import Plan
from ..tasks import Instruction, check_decoder, get_task
from .inputs import as_instruction, as_instructions, as_seeds, as_starts, as_steps, paired, split_noise
from .options import SamplingOptions


@dataclass(frozen=True)
class Request:
    """An instruction on an image uint8 [h, w, 3] with the seed of its noise.

    Args:
        instruction: What is asked.
        image: uint8 [h, w, 3].
        seed: Of the noise.
        initial_noise: Unit noise [c, h, w] at latent size to begin with (in tiles: that of the image as enlarged and
            padded; of what is added to a long image: that of the square drawn in, `Task.window`); None for the seed's.
        step_noise: The same for each row that adds noise; None for what the seed gives. All requests of a run have it,
            or none.
        options: How it is to be answered.
    """

    instruction: Instruction
    image: np.ndarray
    seed: int = 0
    initial_noise: Tensor | None = None
    step_noise: tuple[Tensor, ...] | None = None
    options: SamplingOptions = field(default_factory=SamplingOptions)

    @property
    def has_noise(self) -> bool:
        """Whether it came with noise of its own."""
        return self.initial_noise is not None or self.step_noise is not None


def make_requests(
    instruction: Any,
    image: Any,
    options: SamplingOptions,
    *,
    task: str | None = None,
    seed: int | Sequence[int] = 0,
    noise: Any = None,
    verbatim: bool = False,
    check_text: Callable[[str], None] | None = None,
) -> tuple[list[Request], bool]:
    """Make the requests of a call, everything that can be wrong with it checked.

    Args:
        instruction: Words, an `Instruction`, or a list of them.
        image: An image in any form (`imaging.images.load_picture`), or a list of them.
        options: How they are to be answered.
        task: The task of words where it is known.
        seed: One for all, or one an image.
        noise: Unit noise [c, h, w] or [n, c, h, w], {"initial": such noise, "steps": a list of it}, or None.
        verbatim: Whether words without a task are an edit whatever they say.
        check_text: Raises ValueError for a text that the model cannot read.

    Returns:
        (a request an image, whether a single one was asked for).

    Raises:
        ValueError, TypeError, FileNotFoundError: For what cannot be answered.
    """
    images, one_image = load_pictures(image)
    instruction_list, one_text = as_instructions(instruction)
    images, instruction_list = paired(images, instruction_list, one_image, one_text)
    instructions = [as_instruction(a, task, i, verbatim) for a, i in zip(instruction_list, images, strict=True)]
    for one in dict.fromkeys(instructions):
        check_instruction(one, options, check_text)
    initial, fresh = split_noise(noise)
    count = len(instructions)
    starts = [None] * count if initial is None else as_starts(initial, count)
    fields = zip(instructions, images, as_seeds(seed, count), starts, as_steps(fresh, count), strict=True)
    return [Request(*values, options) for values in fields], one_image and one_text


def check_instruction(
    instruction: Instruction, options: SamplingOptions, check_text: Callable[[str], None] | None = None
) -> None:
    """Refuse what cannot be answered whatever the image.

    Args:
        instruction: What is asked.
        options: How it is to be answered.
        check_text: Raises ValueError for a text that the model cannot read.

    Raises:
        ValueError: For a decoder that the task does not have, and for texts that `check_text` refuses.
    """
    task = get_task(instruction.task)
    check_decoder(task, options.decoder)
    for question in task.questions(instruction):
        if check_text is not None:
            check_text(question.text)


def check_step_noise(plan: Plan, requests: Sequence[Request]) -> None:
    """Refuse requests with too little noise of their own.

    Args:
        plan: The plan of their run.
        requests: What is asked.

    Raises:
        ValueError: Where the plan adds noise in more rows than a request has noise for.
    """
    for request in requests:
        if request.step_noise is not None and len(request.step_noise) < plan.draws:
            raise ValueError(
                f"this run adds noise in {plan.draws} rows ({plan.title}); noise has {len(request.step_noise)} steps"
            )
