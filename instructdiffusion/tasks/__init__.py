"""The tasks: words in, a drawn answer, and the answer read back."""

from __future__ import annotations

from ..utils.errors import UsageError
from .catalog import load_tasks
from .instruction import Instruction
from .task import DECODERS, Task, check_decoder

TASKS: dict[str, Task] = load_tasks()


def get_task(name: str) -> Task:
    """The task of that name; ValueError lists the names there are."""
    try:
        return TASKS[name]
    except (KeyError, TypeError):
        raise UsageError(f"unknown task {name!r}: choose one of {', '.join(TASKS)}") from None


def tasks_of(*target_types: type) -> tuple[str, ...]:
    """The names of the tasks whose answers are of one of these types."""
    return tuple(name for name, task in TASKS.items() if task.target_type in target_types)


def answers_with_image(name: str) -> bool:
    """Whether a task's answer is an image, which the autoencoder alone bounds, and no reading of what was drawn."""
    return not get_task(name).mark


__all__ = ["DECODERS", "TASKS", "Instruction", "Task", "answers_with_image", "check_decoder", "get_task", "tasks_of"]
