"""What inputs stand for that may be left to the task: "task's own" among choices, 0 among numbers."""

from __future__ import annotations

from typing import Any

from ..instructdiffusion.imaging.resize import content_size, model_size
from ..instructdiffusion.sampling import Guidance, none
from ..instructdiffusion.settings import FORMULAS, SCALE_RANGE, Settings
from ..instructdiffusion.tasks import get_task

OWN = "task's own"
NATIVE = "none"  # a picture is seen at its own size


SCALES: dict[str, tuple[float, ...]] = {  # as the input says them
    "1": (1,), "1, 2": (1, 2), "1, 0.5": (1, 0.5), "1, 0.5, 2": (1, 0.5, 2), "1, 0.5, 2, 3": (1, 0.5, 2, 3),
}  # fmt: skip


def chosen(value: Any) -> Any:
    """The value of an input; None, which keeps the task's own, for `OWN` and for 0."""
    return None if value == OWN or value == 0 else value


def valid_zoom(zoom: float | None) -> bool | str:
    """True, or what is wrong with an input `zoom`; 0 is the task's own, None a linked input, not known yet."""
    if not zoom or SCALE_RANGE[0] <= zoom <= SCALE_RANGE[1]:
        return True
    return f"`zoom`: expected {SCALE_RANGE[0]:g} to {SCALE_RANGE[1]:g}, or 0 for the task's own, got {zoom:g}"


def check_resolution(resolution: int, resize_mode: str) -> None:
    """ValueError for an input `resolution` that nothing would be made of."""
    if resolution and resize_mode == NATIVE:
        raise ValueError(
            f"`resolution`: {resolution} means nothing while `resize_mode` is {NATIVE!r}: choose {OWN!r} there, or 0"
        )


def model_sizes(
    size: tuple[int, int], resolution: int, multiple: int, resize_mode: str
) -> tuple[tuple[int, int], tuple[int, int]]:
    """(what of it is the picture, what the model sees) of a picture of `size`, all (height, width).

    With `NATIVE` the picture keeps its size. What is more than the picture lies on its right and below it. ValueError
    names the input, and the nearest value that is right.
    """
    if resize_mode == NATIVE:
        height, width = (-(-side // multiple) * multiple for side in size)
        return size, (height, width)
    shape = resolution, multiple, resize_mode
    try:
        return content_size(size, *shape), model_size(size, *shape)
    except ValueError as error:
        raise ValueError(f"`resolution`: {error}") from None


def branch_weights(
    task: str, own: Settings, guidance: str, scales: tuple[float, float], formula: str
) -> Guidance:
    """The guidance that InstructGuider's inputs stand for, as a function sigma -> weights over the branches.

    own: the model's settings for the task. guidance: "none", "scales" (then those count) or "task": the model's own
    scales where it has some for this formula, else what the task recommends. formula: `OWN`, or a name of `FORMULAS`.
    ValueError for scales that are not finite.
    """
    if guidance == "none":
        return none()
    meant = own.formula if formula == OWN else formula
    if guidance == "task":
        known = own.guidance if meant == own.formula else None
        scales = get_task(task).guidance if known is None or callable(known) else known
    return FORMULAS[meant](*scales)
