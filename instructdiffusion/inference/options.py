"""SamplingOptions: how a question is to be answered, validated once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import Any, TypedDict

import numpy as np

from ..imaging.resize import as_resize_mode
from ..sampling import Guidance, OnStep
from ..settings import Settings
from ..tasks import DECODERS
from ..utils.errors import UsageError
from ..utils.old_names import with_new_names
from .answer import Answer

# The options of the tasks' `decode` that are numbers: their kind, and what each is in words.
DECODE: dict[str, tuple[Any, str]] = {
    "threshold": (Real, "a share from 0 to 1, as 0.5"),
    "score": (Real, "a share from 0 to 1, as 0.5"),
    "min_area": (Real, "a number of pixels, as 9, or None for the task's own"),
    "max_boxes": (Integral, "a whole number, as 20"),
}
#: Keywords of `run` as they were called before.
OLD_KEYWORDS = {"fit": "resize_mode", "reuse": "cache_interval", "keep": "preserve_source", "zoom": "upscale"}
_OF_SETTINGS = (
    *("steps", "solver", "schedule", "guidance", "noise"),
    *("formula", "upscale", "compose", "scales", "windows"),
)


class SamplingKeywords(TypedDict, total=False):
    """The fields of `SamplingOptions`, as keywords of a call."""

    steps: int | None
    solver: str | None
    schedule: str | None
    guidance: tuple[float, float] | str | Guidance | None
    formula: str | None
    resolution: int | None
    resize_mode: str | None
    batch_size: int
    decode: Mapping[str, Any] | None
    decoder: str
    cache_interval: int
    adaptive: float | None
    preserve_source: bool
    upscale: float | None
    compose: str | None
    scales: Sequence[float] | None
    windows: int | None
    fit: str | None  # resize_mode, as it was called before
    reuse: int  # cache_interval
    keep: bool  # preserve_source
    zoom: float | None  # upscale


class RunOptions(SamplingKeywords, total=False):
    """What every call takes beside its question; see `pipeline.InstructDiffusion.run`."""

    noise: str | np.ndarray | Mapping[str, Any] | None
    seed: int | Sequence[int]
    options: SamplingOptions | None
    on_step: OnStep | None
    on_answer: Callable[[int, Answer], None] | None
    on_tile: Callable[[int, int], None] | None


@dataclass(frozen=True)
class SamplingOptions:
    """How a question is to be answered; what is None comes from the model's settings for its task.

    Args:
        steps: Rows of the plan (num_inference_steps in diffusers), 1 to 1000. 1 is one evaluation without guidance,
            unless that is given.
        solver: How a step is taken, one of `sampling.SOLVERS`.
        schedule: Where the steps lie between noise and image, one of `sampling.SPACINGS`.
        guidance: (text, image) scales, "none", or a function sigma -> branch weights.
        formula: What the two scales mean, "instructdiffusion" or "instructpix2pix", whose own checkpoint wants the
            latter (7.5, 1.5 there).
        noise: "seed" or "zero", what the run begins with.
        resolution: Side in pixels at which the model sees the image, or of its tiles; None for the one it was trained
            at. Beyond four times that a warning says that it takes long.
        resize_mode: "shortest_edge", "longest_edge", "stretch" or "authors" (`imaging.resize.model_size`); None for the
            model's own: the authors' for published checkpoints, "shortest_edge" for others.
        batch_size: Squares that go through at once. Where they do not fit into memory they are halved until they do,
            with a warning that says how many do.
        decode: Options of the task's `decode`.
        decoder: How masks are read, "closed" or "unet" (`light_unet`); other tasks have the closed form only.
        cache_interval: How many rows of the plan share the UNet's deep features (`sampling.DeepCache`): an
            approximation; 3 halves the work of a UNet of SD 1.5's size.
        adaptive: Branches of guidance are left out of an image's later rows once they differ from the full one by at
            most this share (`sampling.AdaptiveGuidance`), 0.05 say; None evaluates them all. Not together with
            cache_interval.
        preserve_source: What a task did not mean to change is the source's; False gives the model's own picture,
            decoded and brought to the source's size, as its authors show it.
        upscale: How many times as large an image that is worked on in tiles (denoise, deblur, dewatermark) is made
            first, 0.25 to 4; the answer has the image's own size, the tiles are about upscale^2 times as many. It means
            nothing to any other task, nor to a published checkpoint, which sees whole images.
        compose: How an edit is laid on its source, where that is preserved: by the "rules", or "learned"
            (`compositing.learned`); to tasks that draw marks it means nothing.
        scales: At how many times the resolution a task that perceives sees the image, 0.25 to 4: at the first of them,
            at each further one above 1 only where nothing was found yet, and at those below 1 to see large things whole
            (`Settings.scales`); (1,) looks once. Where noise is given the first is the only one.
        windows: At how many small squares that stand out in colour segment, detect and refer look by themselves where
            they found nothing, 0 to 16; None for the model's own, or for none where scales are given.

    Raises:
        ValueError: For a value beyond its range or an unknown name.
        TypeError: For a decode that is no mapping, or options in it that are no numbers.
    """

    steps: int | None = None
    solver: str | None = None
    schedule: str | None = None
    guidance: tuple[float, float] | str | Guidance | None = None
    formula: str | None = None
    noise: str | None = None
    resolution: int | None = None
    resize_mode: str | None = None
    batch_size: int = 16
    decode: Mapping[str, Any] | None = field(default=None, hash=False)
    decoder: str = "closed"
    cache_interval: int = 1
    adaptive: float | None = None
    preserve_source: bool = True
    upscale: float | None = None
    compose: str | None = None
    scales: Sequence[float] | None = None
    windows: int | None = None

    def __post_init__(self) -> None:
        _check_whole("batch_size is a whole number", self.batch_size)
        _check_whole("cache_interval is a whole number of rows", self.cache_interval)
        number = isinstance(self.adaptive, Real) and not isinstance(self.adaptive, bool)
        if self.adaptive is not None and not (number and 0 <= self.adaptive < float("inf")):
            raise UsageError(f"adaptive is a share of at least 0, or None for none; got {self.adaptive!r}")
        _check_decode(self.decode)
        if self.decoder not in DECODERS:
            raise UsageError(f"expected a decoder, one of {', '.join(DECODERS)}; got {self.decoder!r}")
        if self.resize_mode is not None:
            object.__setattr__(self, "resize_mode", as_resize_mode(self.resize_mode))
        self.settings(Settings())

    @classmethod
    def of(cls, options: SamplingOptions | None, keywords: Mapping[str, Any], stacklevel: int = 2) -> SamplingOptions:
        """Make the options of a call.

        Args:
            options: What the keywords change; None for the defaults.
            keywords: Fields by name; old names (`OLD_KEYWORDS`) give a DeprecationWarning.
            stacklevel: Of that warning, counted from the caller of this function.

        Raises:
            ValueError, TypeError: As the class does; TypeError for a keyword that there is not.
        """
        values = with_new_names(dict(keywords), OLD_KEYWORDS, stacklevel + 1)
        return cls(**values) if options is None else replace(options, **values) if values else options

    def settings(self, own: Settings) -> Settings:
        """Give a task's settings with what these options change.

        Args:
            own: The model's settings for the task.
        """
        return own.changed(**{name: getattr(self, name) for name in _OF_SETTINGS})

    @property
    def decode_keywords(self) -> dict[str, Any]:
        """Keywords of a task's `decode`: its options, and the decoder where it is not the closed form."""
        return {**(self.decode or {}), **({} if self.decoder == "closed" else {"decoder": self.decoder})}

    @property
    def spoken(self) -> dict[str, Any]:
        """Plain data of what an answer's settings say of these options; nothing of what is as it is by default."""
        said: dict[str, Any] = {}
        if self.cache_interval > 1:
            said["cache_interval"] = self.cache_interval
        if self.adaptive is not None:
            said["adaptive"] = self.adaptive
        if not self.preserve_source:
            said["preserve_source"] = False
        if self.decode_keywords.get("decoder", "closed") != "closed":
            said["decoder"] = str(self.decode_keywords["decoder"])
        return said


@dataclass(frozen=True)
class Callbacks:
    """What is called while questions are answered.

    Args:
        on_step: on_step(i, x, denoised) after every row of the plan; may raise to stop.
        on_answer: on_answer(number, answer) as soon as an answer is ready.
        on_tile: on_tile(done, tiles) before the first and after each batch of tiles, of tasks that run at the image's
            own size.

    Raises:
        TypeError: For one that cannot be called.
    """

    on_step: OnStep | None = None
    on_answer: Callable[[int, Answer], None] | None = None
    on_tile: Callable[[int, int], None] | None = None

    def __post_init__(self) -> None:
        for name, function in self.__dict__.items():
            if not (function is None or callable(function)):
                raise TypeError(f"{name} is a function, or None for none; got {function!r}")


def _check_whole(meaning: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"{meaning} of at least 1, got {value!r}")


def _check_decode(decode: Any) -> None:
    if not (decode is None or isinstance(decode, Mapping)):
        raise TypeError(f"decode is a dict of options, as {{'min_area': 9}}, got {decode!r}")
    for name, (kind, meaning) in DECODE.items():
        value = (decode or {}).get(name)
        if value is None and (decode is None or name not in decode or name == "min_area"):
            continue
        if not isinstance(value, kind) or isinstance(value, (bool, np.bool_)):
            raise TypeError(f"decode option {name} is {meaning}, got {value!r}")
