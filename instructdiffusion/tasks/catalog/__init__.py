"""The tasks, a file each: what lies in this folder is a task of the model, and no other list names it."""

from __future__ import annotations

import importlib
import pkgutil

from ..task import Task


def load_tasks() -> dict[str, Task]:
    """Make one of every task that a module of this folder defines, by name, in the order they are listed in.

    Raises:
        ValueError: Where two tasks have one name.
    """
    tasks: list[Task] = []
    for entry in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{entry.name}")
        for member in vars(module).values():
            if isinstance(member, type) and issubclass(member, Task) and member.__module__ == module.__name__:
                tasks.append(member())
    tasks.sort(key=lambda task: (task.order, task.name))
    names = [task.name for task in tasks]
    if len(set(names)) < len(names):
        raise ValueError(f"expected tasks of different names in {__name__}, got {', '.join(sorted(names))}")
    return dict(zip(names, tasks))
