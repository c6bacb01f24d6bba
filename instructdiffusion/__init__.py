"""Follow an instruction on a picture and read the drawn answer.

    from instructdiffusion import InstructDiffusion
    model = InstructDiffusion.from_pretrained("tiny")
    model.segment("photo.png", "the red star").result      # Masks

Names are loaded when they are first used: importing the package imports neither torch nor diffusers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .moved import install as _install

if TYPE_CHECKING:
    from . import results
    from .pipeline import InstructDiffusion
    from .tasks import TASKS, Instruction

__version__ = "0.1.0"
__all__ = ["TASKS", "Instruction", "InstructDiffusion", "__version__", "results"]

# public name -> (module, attribute); an empty attribute stands for the module itself
_HOMES = {
    "InstructDiffusion": ("pipeline", "InstructDiffusion"),
    "Instruction": ("tasks", "Instruction"),
    "TASKS": ("tasks", "TASKS"),
    "results": ("results", ""),
}

_install(__name__)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module_name, attribute = _HOMES[name]
    module = import_module(f".{module_name}", __name__)
    value = getattr(module, attribute) if attribute else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
