"""What a run that goes on must have in common with its checkpoint, and what a launch may ask of a run."""

from __future__ import annotations

import json
from typing import Any

from ..models.optimization import slow_at_bfloat16
from ..utils.errors import UsageError
from .config import TrainConfig, to_dict

# What a resumed run may have changed: where things lie and how often it looks; the samples it sees, the
# loss and the optimiser must be the checkpoint's. Steps and decay are the schedule, which may be cut short.
_FREE = frozenset(
    "output init keep_checkpoints checkpoint_every validate_every validate_samples data.workers "
    "data.on_broken".split()
)
_SCHEDULE = frozenset({"steps", "decay_fraction"})


def check_resumed(saved: dict[str, Any], config: TrainConfig, name: str) -> list[str]:
    """Lines to tell about a schedule other than that of checkpoint `name`, whose config `saved` is.

    ValueError names the first field that must not differ and does. A field the checkpoint does not know,
    because it is older, is not compared.
    """
    before, now = _flat(saved), _flat(json.loads(json.dumps(to_dict(config))))
    differences = []
    for field in now:
        if field in _FREE or field not in before or before[field] == now[field]:
            continue
        if field not in _SCHEDULE:
            raise UsageError(
                f"{name} is of {field} {before[field]!r}, the config says {now[field]!r}: resume with the "
                "checkpoint's value, or start anew in another output"
            )
        differences.append(f"note: `{field}` was {before[field]} in {name}, and is {now[field]} from here on")
    return differences


def check_begun(saved: dict[str, Any], now: dict[str, Any], name: str) -> list[str]:
    """A line where checkpoint `name` (its state `saved`) is of another `device` or number of `processes` than `now`.

    It may go on there, but not to the last bit: devices round otherwise, and each process draws noise of its own.
    ValueError where the weights that it does not hold (`untrained`) are others. What an older checkpoint does not
    say is not compared.
    """
    if saved.get("untrained", now["untrained"]) != now["untrained"]:
        raise UsageError(
            f"{name} was trained beside other weights than `init` holds now (of the autoencoder or a teacher, which "
            "checkpoints leave out): set `init` to the model that the run began with, or start anew in another output"
        )
    differ = [k for k in ("device", "processes") if saved.get(k, now[k]) != now[k]]
    return [
        f"note: `{key}` was {saved[key]} in {name}, and is {now[key]} from here on: the weights will not be those of "
        "an unbroken run to the last bit"
        for key in differ
    ]


def check_precision(config: TrainConfig, device: str) -> list[str]:
    """A line where bfloat16 is asked of a CPU that is slow at it."""
    halved = [
        f"--set {name}=float32"
        for name, value in (("precision", config.precision), ("data.encoding", config.data.encoding))
        if value == "bfloat16"
    ]
    if not halved or device != "cpu" or not slow_at_bfloat16():
        return []
    return [
        f"note: this CPU has no instructions for bfloat16 and is tens of times slower at it: {' '.join(halved)}"
    ]


def _flat(config: dict[str, Any]) -> dict[str, Any]:
    """Nested fields by dotted names; a mixture keeps its order, in which samples are dealt out."""
    out: dict[str, Any] = {}
    for name, value in config.items():
        if name in ("model", "data", "loss", "distill"):
            out |= {f"{name}.{key}": v for key, v in value.items()}
        else:
            out[name] = value
    if isinstance(out.get("data.mixture"), dict):
        out["data.mixture"] = list(out["data.mixture"].items())
    return out


def check_launch(accelerator: Any, config: TrainConfig) -> None:
    """Refuse what a launch asks for (accelerate's options, environment and config) and this loop would not do.

    Raises:
        UsageError: More processes than samples a step, gradient accumulation, or a mixed precision of accelerate's.
    """
    if config.batch_size < accelerator.num_processes:
        raise UsageError(
            f"expected `batch_size` to be at least the number of processes, {accelerator.num_processes}, "
            f"got {config.batch_size}"
        )
    count = accelerator.gradient_accumulation_steps
    if count != 1:
        raise UsageError(
            f"expected no gradient accumulation, accelerate says {count} steps, which are not supported yet: leave out "
            "--gradient_accumulation_steps (ACCELERATE_GRADIENT_ACCUMULATION_STEPS) and set `batch_size`"
        )
    if accelerator.mixed_precision not in (None, "no"):
        raise UsageError(
            f"expected the precision in the config, accelerate says {accelerator.mixed_precision}: leave out "
            "--mixed_precision (ACCELERATE_MIXED_PRECISION) and set `precision`"
        )
