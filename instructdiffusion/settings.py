"""Settings: how the model is asked; defaults of a task, of a model's own file, and what a call changes."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .knowledge import FILE as FILE
from .sampling import (
    SOLVERS,
    SPACINGS,
    Guidance,
    Plan,
    Schedule,
    instructdiffusion,
    instructpix2pix,
    make_plan,
    none,
)
from .tasks import TASKS, Task
from .utils.errors import UsageError
from .utils.old_names import accept_old_keywords, old_attribute, with_new_names

NOISES = ("seed", "zero")
COMPOSERS = ("rules", "learned")
SCALE_RANGE = (0.25, 4)  # the least and the most, of scales too
MOST_WINDOWS = 16
OLD_NAMES = {"zoom": "upscale"}  # of fields and keys, one release ago
#: What a pair of scales (text, image) means, by name; see `sampling.guidance`.
FORMULAS: dict[str, Callable[[float, float], Guidance]] = {
    "instructdiffusion": instructdiffusion,
    "instructpix2pix": instructpix2pix,
}


@dataclass(frozen=True)
class Settings:
    """How a plan is made. guidance: (text, image) scales, None for the plain conditional prediction, or a
    function sigma -> branch weights. noise: "seed" starts from the seed's Gaussian noise, "zero" from none.
    formula: what the two scales mean, "instructdiffusion" or "instructpix2pix" (`sampling.guidance`).
    upscale: .25 to 4, how many times as large a picture that is worked on in tiles (`job.is_tiled`) is made first;
    the answer comes back at the picture's own size. Larger loses less to the autoencoder and takes about upscale^2
    times as long, smaller shows a tile more of the picture. To pictures that the model sees whole it means nothing.
    compose: how an edit is laid on its source, by the "rules" of the task, or as the small network of `learned` has
    "learned" it from `tiny`: that for tasks that have one (`Task.has_compositor`) alone.
    scales: .25 to 4, at how many times the resolution a task that perceives sees the picture: at the first, and in turn
    at each further one. Above 1 that is asked where nothing was found yet. Below 1 the picture is seen smaller within
    its canvas, where what was found may be a part, and that answer counts where it has something large (`scales`).
    windows: 0 to 16, how many small squares of the picture that stand out in colour are looked at by themselves where
    a task that finds masks or boxes found nothing at all scales (`windows`).
    """

    steps: int = 20
    solver: str = "dpmpp_2m"
    schedule: str = "trailing"
    guidance: tuple[float, float] | Callable[[float], Any] | None = None
    noise: str = "seed"
    formula: str = "instructdiffusion"
    upscale: float = 1.0
    compose: str = "rules"
    scales: tuple[float, ...] = (1.0,)
    windows: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or not 1 <= self.steps <= 1000:
            raise UsageError(f"steps is a whole number from 1 to 1000, got {self.steps!r}")
        choices = (("solver", tuple(SOLVERS)), ("schedule", tuple(SPACINGS)), ("noise", NOISES))
        for name, known in (*choices, ("formula", tuple(FORMULAS)), ("compose", COMPOSERS)):
            if getattr(self, name) not in known:
                raise UsageError(f"unknown {name} {getattr(self, name)!r}: choose one of {', '.join(known)}")
        if self.guidance is not None and not callable(self.guidance):
            object.__setattr__(self, "guidance", _scales(self.guidance))
        number = isinstance(self.upscale, (int, float)) and not isinstance(self.upscale, bool)
        if not number or not SCALE_RANGE[0] <= self.upscale <= SCALE_RANGE[1]:
            raise UsageError(f"upscale is a number from {SCALE_RANGE[0]} to {SCALE_RANGE[1]}, got {self.upscale!r}")
        object.__setattr__(self, "upscale", float(self.upscale))
        object.__setattr__(self, "scales", _checked_scales(self.scales))
        whole = isinstance(self.windows, int) and not isinstance(self.windows, bool)
        if not whole or not 0 <= self.windows <= MOST_WINDOWS:
            raise UsageError(f"windows is a whole number from 0 to {MOST_WINDOWS}, got {self.windows!r}")

    zoom = old_attribute("zoom", "upscale")

    def plan(self, schedule: Schedule) -> Plan:
        """Make the plan of a run.

        Args:
            schedule: The model's noise levels.
        """
        return make_plan(schedule.sigmas(self.schedule, self.steps), self.solver, self.guide(), schedule)

    def guide(self) -> Guidance:
        """The guidance as the function the plan asks."""
        if self.guidance is None:
            return none()
        return self.guidance if callable(self.guidance) else FORMULAS[self.formula](*self.guidance)

    @accept_old_keywords(**OLD_NAMES)
    def changed(self, **values: Any) -> Settings:
        """These settings with what is not None replaced; guidance "none" switches guidance off.

        A number of steps brings what suits it along, unless that is given too: where many steps become
        one, a single evaluation without guidance (euler); where one becomes many, dpmpp_2m. Scales
        that are given are all there is: no windows, unless those are given too.
        """
        changes = {name: value for name, value in values.items() if value is not None}
        if "scales" in changes:
            changes = {"windows": 0, **changes}
        steps = changes.get("steps", self.steps)
        if steps == 1 and self.steps > 1:
            changes = {"solver": "euler", "guidance": "none", **changes}
        elif steps != 1 and self.steps == 1:
            changes = {"solver": "dpmpp_2m", **changes}
        if isinstance(changes.get("guidance"), str):
            if changes["guidance"] != "none":
                raise UsageError(f'guidance is two finite numbers or "none", got {changes["guidance"]!r}')
            changes["guidance"] = None
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; formula, upscale, compose, scales and windows only where they are no defaults, which
        older data leave unsaid."""
        values = dataclasses.asdict(self)
        unsaid = {"formula": "instructdiffusion", "upscale": 1.0, "compose": "rules", "scales": (1.0,), "windows": 0}
        values = {name: value for name, value in values.items() if name not in unsaid or value != unsaid[name]}
        if "scales" in values:
            values["scales"] = list(self.scales)
        values["guidance"] = str(self.guidance) if callable(self.guidance) else self.guidance
        return values


Settings.__init__ = accept_old_keywords(**OLD_NAMES)(Settings.__init__)  # type: ignore[method-assign]


def task_settings(task: Task, published: bool = False) -> Settings:
    """What a task asks for by itself: perception one evaluation without guidance, the others 20 steps.

    published: of a published checkpoint, which has not learned to answer in one evaluation: as its authors ask it,
    100 steps of Euler ancestral over all timesteps with the task's guidance (cientgu/InstructDiffusion).
    """
    guidance = None if task.guidance == (0.5, 0.5) else task.guidance
    if published:
        return Settings(steps=100, solver="euler_ancestral", schedule="native", guidance=guidance)
    return Settings(steps=1, solver="euler") if task.perception else Settings(guidance=guidance)


def read_settings(folder: str | Path | None, published: bool = False) -> dict[str, Settings]:
    """Settings of every task: those of the model's own instructdiffusion.json over the task's (`task_settings`).

    A published folder that diffusers wrote as an InstructPix2Pix pipeline (timbrooks/instruct-pix2pix, and what was
    trained like it) is asked by that paper's formula of guidance, with its scales of 7.5 and 1.5.
    The file: {"defaults": {task: {"steps", "solver", "schedule", "guidance": [text, image] or null, "noise",
    "formula", "upscale", "compose", "scales": [factors]}}}; every name may be left out. ValueError names the file
    and what
    is wrong in it.
    """
    settings = {name: task_settings(task, published) for name, task in TASKS.items()}
    if folder is None:
        return settings
    if published and _is_pix2pix(Path(folder)):
        settings = {n: s.changed(formula="instructpix2pix", guidance=(7.5, 1.5)) for n, s in settings.items()}
    path = Path(folder) / FILE
    if not path.is_file():
        return settings
    try:
        defaults = json.loads(path.read_text(encoding="utf-8")).get("defaults", {})
        if not isinstance(defaults, Mapping):
            raise ValueError("'defaults' must be an object, task by task")
        for name, values in defaults.items():
            settings[name] = _merged(name, values, settings)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} cannot be used: {error}") from error
    return settings


def _is_pix2pix(folder: Path) -> bool:
    """Whether a folder's index says that it is an InstructPix2Pix pipeline and that diffusers wrote it, not we."""
    path = folder / "model_index.json"
    index = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return (
        "_diffusers_version" in index and index.get("_class_name") == "StableDiffusionInstructPix2PixPipeline"
    )


def _merged(name: str, values: Any, settings: Mapping[str, Settings]) -> Settings:
    if name not in settings:
        raise ValueError(f"unknown task {name!r}: known are {', '.join(settings)}")
    known = [field.name for field in dataclasses.fields(Settings)]
    if not isinstance(values, Mapping):
        raise ValueError(f"task {name!r} needs an object of settings, got {values!r}")
    values = with_new_names(dict(values), OLD_NAMES)
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(f"task {name!r} has an unknown setting {unknown[0]!r}: known are {', '.join(known)}")
    if values.get("compose") == "learned" and not TASKS[name].has_compositor:
        learned = " and ".join(sorted(name for name, task in TASKS.items() if task.has_compositor))
        raise ValueError(f"compose 'learned' is for {learned}: leave {name!r} at 'rules'")
    return dataclasses.replace(settings[name], **values)


def _checked_scales(value: Any) -> tuple[float, ...]:
    numbers = tuple(value) if isinstance(value, (list, tuple)) else ()
    plain = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in numbers)
    if not numbers or not plain or any(not SCALE_RANGE[0] <= v <= SCALE_RANGE[1] for v in numbers):
        raise UsageError(f"scales are numbers from {SCALE_RANGE[0]} to {SCALE_RANGE[1]}, as (1, 2), got {value!r}")
    if len(set(numbers)) < len(numbers):
        raise UsageError(f"expected every scale once, got {value!r}")
    return tuple(float(v) for v in numbers)


def _scales(value: Any) -> tuple[float, float]:
    numbers = value if isinstance(value, (list, tuple)) else ()
    plain = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in numbers)
    try:
        finite = plain and all(math.isfinite(v) for v in numbers)
    except OverflowError:
        raise UsageError("guidance is two finite numbers (text, image), got one beyond any float") from None
    if len(numbers) != 2 or not finite:
        raise UsageError(f"guidance is two finite numbers (text, image), got {value!r}")
    return float(numbers[0]), float(numbers[1])
