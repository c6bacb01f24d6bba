"""What a training run is: read from YAML, checked before anything is built.

Every field of the file is known here; a misspelt one is an error that names it.
"""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..datasets.readers.problems import POLICIES
from ..datasets.sources import Source
from ..datasets.synthetic import ABSENT_TASKS
from ..sampling.schedule import PREDICTIONS
from ..tasks import get_task
from ..utils.errors import UsageError
from .fields import check_fields
from .limits import check_limits

STAGES = ("vae", "generator", "marks", "instruct", "distill")
PRECISIONS = ("float32", "bfloat16")
DISTILLATIONS = ("guidance", "steps")


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the components a stage builds anew (those it is not given through `init`).

    vae_decoder_only: train the decoder of the autoencoder in `init` and leave its encoder, and so the latents
        that a UNet has learned, as they are.
    text_encoder_only: train the text encoder and leave the UNet in `init` as it is: new words for what it can do.
    """

    vae_channels: tuple[int, ...] = (32, 32, 64)
    vae_layers: int = 1
    unet_channels: tuple[int, ...] = (64, 96, 160)
    unet_layers: int = 1
    unet_attention: tuple[bool, ...] | None = None
    text_width: int = 128
    text_layers: int = 3
    vae_decoder_only: bool = False
    text_encoder_only: bool = False


@dataclass(frozen=True)
class DataConfig:
    """Which samples: a mixture over tasks, drawn as scenes, and sources; `pool` samples are made and encoded ahead.

    mixture: weights of the tasks drawn as scenes; left out, it is segmentation, or nothing where there are sources.
    sources: datasets on disk, each as a `Source` (all stages but vae).
    scenes_share: share of the samples that are scenes, where there are scenes and sources.
    on_broken: "skip" names records of sources that cannot be read and takes the next ones, "raise" stops at the first.
    level: the scenes' richness, 0 to 3, or several, dealt out evenly: plain shapes teach the words long
        before rich scenes do.
    patches: share of marked patches among the pictures an autoencoder sees (vae stage only).
    absent: of the scenes of tasks that can ask for what is not there, the share made to, beside those that
        do by chance (an eighth).
    zoom: of the scenes that are restored in tiles, the share seen twice as near, as where `Settings.upscale` is 2.
    wordings: ways each sample of the pool is asked for, of which a step sees one: the scene's own, and others of
        `tasks.wordings`.
    pool: number of distinct samples (all stages but vae, which makes every picture anew).
    workers: processes that make samples.
    encoding: "bfloat16" encodes the pool in half the time on CPUs that multiply such numbers, with latents off by
        .6 % of their deviation.
    """

    mixture: dict[str, float] = None  # type: ignore[assignment]  # never None after __post_init__
    level: int | tuple[int, ...] = 3
    size: int = 64
    seed: int = 0
    pool: int = 0
    patches: float = 0.0
    absent: float = 0.0
    zoom: float = 0.0
    wordings: int = 1
    workers: int = 2
    encoding: str = "float32"
    sources: tuple[Source, ...] = ()
    scenes_share: float = 0.5
    on_broken: str = "skip"

    def __post_init__(self) -> None:
        if self.on_broken not in POLICIES:
            raise UsageError(
                f"expected `data.on_broken` to be one of {', '.join(POLICIES)}, got {self.on_broken!r}"
            )
        if not isinstance(self.sources, tuple) or not all(isinstance(s, Source) for s in self.sources):
            raise UsageError(
                f"expected `data.sources` to be a list of mappings with `dataset` and `root`, got {self.sources!r}"
            )
        if self.mixture is None:
            object.__setattr__(self, "mixture", {} if self.sources else {"segment": 1.0})
        check_limits("data", self)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks of scenes and sources, each once."""
        return tuple(dict.fromkeys([*self.mixture, *(s.asked for s in self.sources)]))

    @property
    def levels(self) -> tuple[int, ...]:
        """The levels as a tuple."""
        return (self.level,) if isinstance(self.level, int) else self.level

    def level_of(self, seed: int) -> int:
        """The level of the scene of a seed."""
        return self.levels[seed % len(self.levels)]

    def lacks(self, task: str, seed: int) -> bool:
        """Whether the scene of a seed is made to ask for what is not there."""
        return task in ABSENT_TASKS and self._falls_to(seed, self.absent)

    def zooms(self, task: str, seed: int) -> bool:
        """Whether the scene of a seed is seen twice as near."""
        return get_task(task).tiled and self._falls_to(seed, self.zoom)

    def _falls_to(self, seed: int, share: float) -> bool:
        """Whether a seed is one of this share of its level's."""
        return (seed // len(self.levels)) % 1024 < 1024 * share


@dataclass(frozen=True)
class LossConfig:
    """The diffusion objective.

    last_step: share of PERCEPTION samples trained at the last timestep (one-evaluation answers).
    changed: extra weight of latent cells in which the answer differs from the source.
    area: samples weigh 1 / (share of the picture that the answer changes + area); None: all alike.
    absent: weight of PERCEPTION samples whose answer is the untouched picture. `changed` makes a missed mark
        dear and a needless one cheap; this makes them cost alike.
    drop_text, drop_image: the paper's condition dropout (never both).
    """

    prediction: str = "v_prediction"
    last_step: float = 0.5
    last_step_other: float = 0.0
    min_snr: float | None = None
    changed: float = 0.0
    area: float | None = None
    absent: float = 1.0
    drop_text: float = 0.075
    drop_image: float = 0.075
    kl: float = 1e-6


@dataclass(frozen=True)
class DistillConfig:
    """What a student learns from the model in `init`, its teacher (stage distill only).

    kind: "guidance": its one branch answers as the teacher's guided branches do, at any timestep; "steps": one
        of its `steps` goes as far as teacher_steps / steps of the teacher's DDIM steps, guided or not.
    guidance: the tasks to distil, each with the teacher's (text, image) scales, or null for its plain
        prediction. Samples of other tasks go on learning from the truth.
    share: of a step's samples, those of the tasks to distil (all, where the pool has no others).
    """

    kind: str = "guidance"
    guidance: dict[str, Any] = field(default_factory=dict)
    steps: int = 4
    teacher_steps: int = 20
    share: float = 0.5

    def __post_init__(self) -> None:
        if self.kind not in DISTILLATIONS:
            raise UsageError(
                f"expected `distill.kind` to be one of {', '.join(DISTILLATIONS)}, got {self.kind!r}"
            )
        check_limits("distill", self)
        if self.teacher_steps <= self.steps or self.teacher_steps % self.steps:
            raise UsageError(
                "expected `distill.teacher_steps` to be a larger multiple of `distill.steps`, "
                f"got {self.teacher_steps} and {self.steps}"
            )


@dataclass(frozen=True)
class TrainConfig:
    """One training run (one stage).

    init: the model it starts from: a folder, or a single-file checkpoint (`init.start_folder`).
    precision: "bfloat16" multiplies in half precision (stages generator, marks, instruct); weights, gradients and
        averages stay float32. Twice as fast on CPUs that multiply such numbers (AVX512_BF16, AMX).
    """

    stage: str
    output: str
    steps: int
    seed: int = 0
    init: str | None = None
    batch_size: int = 64
    optimizer: str = "adamw"
    learning_rate: float = 1e-4
    weight_decay: float = 0.01
    warmup: int = 100
    decay_fraction: float = 0.0
    gradient_clip: float = 0.0
    ema_decay: float = 0.9999
    validate_every: int = 500
    validate_samples: int = 64
    checkpoint_every: int = 500
    keep_checkpoints: int = 2
    precision: str = "float32"
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise UsageError(f"expected `stage` to be one of {', '.join(STAGES)}, got {self.stage!r}")
        if self.loss.prediction not in PREDICTIONS:
            raise UsageError(
                f"expected `prediction` to be one of {', '.join(PREDICTIONS)}, got {self.loss.prediction!r}"
            )
        for name, value in (("precision", self.precision), ("data.encoding", self.data.encoding)):
            if value not in PRECISIONS:
                raise UsageError(f"expected `{name}` to be one of {', '.join(PRECISIONS)}, got {value!r}")
        if self.precision != "float32" and self.stage in ("vae", "distill"):
            raise UsageError(f"expected `precision` float32 in stage {self.stage}, got {self.precision!r}")
        for part, values in (("", self), ("model", self.model), ("loss", self.loss)):
            check_limits(part, values)
        if self.loss.drop_text + self.loss.drop_image > 1.0:
            raise UsageError(
                "expected `loss.drop_text` + `loss.drop_image` to be at most 1: the two never happen together"
            )
        if not self.data.levels or not all(isinstance(n, int) and 0 <= n <= 3 for n in self.data.levels):
            raise UsageError(
                f"expected `data.level` to be 0 to 3, or a list of such, got {self.data.level!r}"
            )
        if self.stage == "distill" and not self.distill.guidance.keys() & set(self.data.tasks):
            raise UsageError(
                "expected `distill.guidance` to name at least one task of `data.mixture`, "
                f"got {', '.join(self.distill.guidance) or 'none'}"
            )
        if self.stage != "instruct" and (self.model.text_encoder_only or self.data.wordings > 1):
            raise UsageError(
                "expected `model.text_encoder_only` and `data.wordings` in stage instruct alone, got stage "
                f"{self.stage!r}: leave them out"
            )
        if self.stage != "vae" and not self.data.tasks:
            raise UsageError("expected `data.mixture` to name at least one task, got none")
        if self.stage == "vae" and self.data.sources:
            raise UsageError("expected no `data.sources` in stage vae, which draws scenes: leave them out")


def _build(kind: type, values: Any, where: str) -> Any:
    if not isinstance(values, dict):
        raise UsageError(
            f"expected a mapping at {where or 'the top of the config'}, got {type(values).__name__}"
        )
    known = {f.name: f for f in dataclasses.fields(kind)}
    unknown = sorted(set(values) - set(known), key=str)
    if unknown:
        near = difflib.get_close_matches(str(unknown[0]), known, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UsageError(f"unknown field {where}{unknown[0]!r}: {hint}known are {', '.join(known)}")
    nested = {"model": ModelConfig, "data": DataConfig, "loss": LossConfig, "distill": DistillConfig}
    out = {}
    for name, value in values.items():
        if name in nested and kind is TrainConfig:
            value = _build(nested[name], value, f"{name}.")
        elif name == "sources" and kind is DataConfig and isinstance(value, (list, tuple)):
            value = tuple(_build(Source, entry, f"data.sources[{n}].") for n, entry in enumerate(value))
        elif isinstance(value, list):
            value = tuple(value)
        out[name] = value
    missing = [
        n
        for n, f in known.items()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING and n not in out
    ]
    if missing:
        raise UsageError(f"missing field {where}{missing[0]!r}: add it to the config")
    check_fields(kind, out, where)
    return kind(**out)


def load_config(path: str | Path, overrides: tuple[str, ...] = ()) -> TrainConfig:
    """Read a YAML file; `overrides` are "name=value" with dots for nested fields ("data.pool=4096").

    ValueError for what is no YAML, an unknown, missing or wrong field; FileNotFoundError where there is no file.
    """

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"expected a training config, there is no file {path}: see training/configs/")
    values = _parsed(path.read_bytes(), str(path))
    for item in overrides:
        name, equals, text = item.partition("=")
        if not equals:
            raise UsageError(f"expected an override like steps=1000, got {item!r}")
        *parents, leaf = name.split(".")
        target = values
        for parent in parents:
            target = target.setdefault(parent, {}) if isinstance(target, dict) else target
        if not isinstance(target, dict):
            raise UsageError(f"expected a mapping where {item!r} changes a field, got {target!r} in {path}")
        target[leaf] = _parsed(text, item)
    config: TrainConfig = _build(TrainConfig, values, "")
    return config


def _parsed(text: str | bytes, what: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML in which a name stands once in a mapping: of two the first would be lost without a word."""

    def mapping(loader: Loader, node: yaml.MappingNode) -> Any:
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = next((name for name in names if names.count(name) > 1 and name != "<<"), None)
        if twice is not None:
            line = node.start_mark.line + 1
            raise UsageError(f"expected `{twice}` once in {what}, it stands there twice (mapping at line {line})")
        return loader.construct_mapping(node, deep=True)

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    try:
        return yaml.load(text, Loader)  # a SafeLoader
    except (RecursionError, yaml.YAMLError) as error:  # not a ValueError, and several lines long
        reason = " ".join(str(error).split())
        raise UsageError(f"expected YAML, {what} cannot be read: {reason}") from error


def to_dict(config: TrainConfig) -> dict[str, Any]:
    """The config as plain data, for checkpoints and model cards."""
    return dataclasses.asdict(config)
