"""Limits: what the numbers of a training config may be, each by its field's name."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..utils.errors import UsageError


class Limit(NamedTuple):
    """From `low` to `high`, where there is one; `above`: `low` itself is too little."""

    low: float
    high: float | None = None
    above: bool = False

    def fits(self, value: float) -> bool:
        """Whether a number lies within."""
        enough = value > self.low if self.above else value >= self.low
        return enough and (self.high is None or value <= self.high)

    def __str__(self) -> str:
        if self.high is not None and self.above:
            return f"above {self.low:g} and at most {self.high:g}"
        if self.high is not None:
            return f"between {self.low:g} and {self.high:g}"
        return f"above {self.low:g}" if self.above else f"to be at least {self.low:g}"


_COUNT, _NONE_OR_MORE, _SHARE, _POSITIVE = Limit(1), Limit(0), Limit(0, 1), Limit(0, above=True)
LIMITS: dict[str, dict[str, Limit]] = {  # by the part of the config, "" its top
    "": {
        "steps": _COUNT, "seed": _NONE_OR_MORE, "batch_size": _COUNT, "learning_rate": _POSITIVE,
        "weight_decay": _NONE_OR_MORE, "warmup": _NONE_OR_MORE, "decay_fraction": _SHARE,
        "gradient_clip": _NONE_OR_MORE, "ema_decay": _SHARE, "validate_every": _COUNT, "validate_samples": _COUNT,
        "checkpoint_every": _COUNT, "keep_checkpoints": _COUNT,
    },
    "model": {
        "vae_channels": _COUNT, "vae_layers": _COUNT, "unet_channels": _COUNT, "unet_layers": _COUNT,
        "text_width": _COUNT, "text_layers": _COUNT,
    },
    "data": {
        "size": Limit(8), "seed": _NONE_OR_MORE, "pool": _NONE_OR_MORE, "patches": _SHARE, "absent": _SHARE,
        "zoom": _SHARE, "scenes_share": _SHARE, "wordings": _COUNT, "workers": _NONE_OR_MORE,
    },
    "loss": {
        "last_step": _SHARE, "last_step_other": _SHARE, "min_snr": _POSITIVE, "changed": _NONE_OR_MORE,
        "area": _POSITIVE, "absent": _NONE_OR_MORE, "drop_text": _SHARE, "drop_image": _SHARE, "kl": _NONE_OR_MORE,
    },
    "distill": {"share": Limit(0, 1, above=True), "steps": _COUNT, "teacher_steps": _COUNT},
}  # fmt: skip


def check_limits(part: str, values: Any) -> None:
    """Refuse a part of a config with a number beyond its limits.

    Args:
        part: A key of `LIMITS`.
        values: The part's dataclass. None is no number; of a list every number counts.

    Raises:
        UsageError: Naming the field.
    """
    where = f"{part}." if part else ""
    for name, limit in LIMITS[part].items():
        value = getattr(values, name)
        numbers = value if isinstance(value, tuple) else () if value is None else (value,)
        if not all(limit.fits(number) for number in numbers) or value == ():
            hint = ": leave it out for none" if name in ("area", "min_snr") else ""
            raise UsageError(f"expected `{where}{name}` {limit}, got {value}{hint}")
