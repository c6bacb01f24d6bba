"""Asking: how a model is asked for a task, as plain data that says which answers are alike."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..settings import Settings
from ..tasks import TASKS, check_decoder, get_task
from ..utils.errors import UsageError


def asked_settings(model: Any, task: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """How the task will be asked, as plain data, with the UNet evaluations that an answer costs.

    changes: steps, solver, schedule, guidance, upscale, scales; what is None comes from the model's settings.
    """
    known = getattr(model, "settings", None)
    if known is None:
        return {**{k: v for k, v in changes.items() if v is not None}, "evaluations": None}
    settings = known[task].changed(**changes)
    plan = settings.plan(model.schedule)
    plain = {**settings.to_dict(), "evaluations": plan.evaluations}
    if settings.compose == "learned" and get_task(task).has_compositor:
        from ..compositing.learned import compositor_hash

        plain["compositor"] = compositor_hash()
    return plain


def decoder_of(task: str, decoder: str) -> str:
    """The decoder that `task` is read with where `decoder` is wanted: what has no masks is read in closed form."""
    return decoder if decoder in get_task(task).decoders else "closed"


def check_readable(tasks: Sequence[str], decoder: str) -> None:
    """ValueError for an unknown decoder, and where none of the tasks has answers that it reads."""
    if not any(decoder in get_task(name).decoders for name in tasks):
        check_decoder(get_task(tasks[0]), decoder)


def upscale_of(task: str, upscale: float | None) -> float | None:
    """The upscale that `task` is asked with where `upscale` is wanted: None, the model's own, for what is not tiled."""
    return upscale if get_task(task).tiled else None


def scales_of(task: str, scales: Sequence[float] | None) -> Sequence[float] | None:
    """The scales that `task` is asked with where `scales` are wanted: None, its own, where it draws no marks."""
    return scales if get_task(task).perception else None


def check_upscale(tasks: Sequence[str], upscale: float | None) -> None:
    """ValueError for an upscale beyond its range, or one that means nothing to any task; None is the model's."""
    if upscale is None:
        return
    Settings(upscale=upscale)
    if not any(get_task(name).tiled for name in tasks):
        tiled = ", ".join(name for name, task in TASKS.items() if task.tiled)
        raise UsageError(f"an upscale is for {tiled}, and means nothing to {', '.join(tasks)}: leave it out")


def decoder_settings(decoder: str) -> dict[str, str]:
    """What says how answers were read: the decoder, and of the light U-Net the hash of its weights.

    Raises what `decoding.light_unet.load_refiner` does where those cannot be had.
    """
    if decoder == "closed":
        return {"decoder": decoder}
    from ..decoding.light_unet import refiner_hash

    return {"decoder": decoder, "refiner": refiner_hash()}


def settings_hash(settings: Mapping[str, Any]) -> str:
    """SHA-256 (first 12 hex digits) of settings: answers under one name were made alike."""
    text = json.dumps(dict(settings), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def in_order(entries: Mapping[str, Mapping[str, Any]], units: set[int]) -> list[dict[str, Any]]:
    """The answered entries of a journal that belong to `units`, in the order of the questions."""
    answered = [dict(e) for e in entries.values() if "row" in e and e["unit"] in units]
    return sorted(answered, key=lambda e: (e["unit"], e["n"]))


def problems(entries: Mapping[str, Mapping[str, Any]], units: set[int]) -> list[str]:
    """What went wrong with units that are not whole yet, in their order."""
    rows = in_order(entries, units)
    count: dict[int, int] = {}
    for entry in rows:
        count[entry["unit"]] = count.get(entry["unit"], 0) + 1
    whole = {e["unit"] for e in rows if count[e["unit"]] == e["of"]}
    bad = [e for e in entries.values() if "problem" in e and e["unit"] in units - whole]
    return [str(e["problem"]) for e in sorted(bad, key=lambda e: e["unit"])]
