"""Speed: the same model, its networks laid out or compiled for the machine it runs on."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any

import torch

from .components import Components

PARTS = ("unet", "vae")
# The torch from which on compiled kernels are called from C++: younger than its compiler, and not run with older ones.
WRAPPED_SINCE = (2, 13)


def speed_up(
    components: Components,
    *,
    channels_last: bool = False,
    compiled: bool = False,
    backend: str = "inductor",
    parts: Sequence[str] = PARTS,
) -> Components:
    """The components with a UNet and an autoencoder that answer the same but for rounding, and perhaps sooner.

        model = InstructDiffusion(speed_up(load_components("tiny"), channels_last=True, parts=["vae"]))

    channels_last: the weights, and so what is computed, lie channel by channel a pixel; done to the networks that
    were given, in place. compiled: torch.compile with `backend`, at the first call for a number of pictures and
    branches (a minute or so), which asks for what `compiling.why_not_compiled` checks; of the autoencoder its encoder
    and decoder. Neither pays everywhere: `python -m tests.benchmarks.sampling --compile` measures both on the machine
    at hand. parts: which networks are meant, some of PARTS. The text encoder is not among them: it reads a text once.
    Saving takes the model as it was before compiling. ValueError for an unknown part.
    """
    if unknown := sorted(set(parts) - set(PARTS)):
        raise ValueError(f"expected parts out of {', '.join(PARTS)}; got {unknown[0]!r}")
    fast: dict[str, Any] = {name: getattr(components, name) for name in parts}
    if channels_last:
        fast = {name: part.to(memory_format=torch.channels_last) for name, part in fast.items()}
    if compiled:
        if "unet" in fast:
            fast["unet"] = _compiled(fast["unet"], backend)
        if "vae" in fast:
            fast["vae"] = _compiled_vae(fast["vae"], backend)
    return dataclasses.replace(components, **fast)


def slow_at_bfloat16() -> bool:
    """Whether the CPU has no instructions for bfloat16: on such a one, encoding in it took 75 times as long."""
    return torch.backends.cpu.get_cpu_capability() == "AVX2"


def before_compiling(components: Components) -> Components:
    """The components with the networks that were compiled (`speed_up`, torch.compile), of the same weights."""
    plain = {name: _plain(getattr(components, name)) for name in (*PARTS, "text_encoder")}
    halves = {name: _plain(half) for name, half in plain["vae"]._modules.items()}
    if any(half is not plain["vae"]._modules[name] for name, half in halves.items()):
        plain["vae"] = copy.copy(plain["vae"])
        plain["vae"]._modules = halves
    return dataclasses.replace(components, **plain)


def _plain(module: Any) -> Any:
    """What torch.compile wrapped."""
    return getattr(module, "_orig_mod", module)


def _compiled(part: Any, backend: str) -> Any:
    """A network, compiled; on a CPU its kernels are called from C++, which saves 4 % of `tiny`'s UNet."""
    on_cpu = next(part.parameters()).device.type == "cpu"
    wrapped = backend == "inductor" and on_cpu and _torch_release() >= WRAPPED_SINCE
    return torch.compile(part, backend=backend, options={"cpp_wrapper": True} if wrapped else None)


def _torch_release() -> tuple[int, int]:
    """(major, minor) of the torch that is installed."""
    major, minor = torch.__version__.split(".")[:2]
    return int(major), int(minor)


def _compiled_vae(vae: Any, backend: str) -> Any:
    """An autoencoder of the same weights with compiled halves; `vae` itself stays as it is."""
    fast = copy.copy(vae)
    halves = {name: _compiled(getattr(vae, name), backend) for name in ("encoder", "decoder")}
    fast._modules = {**vae._modules, **halves}
    fast._state_dict_hooks = vae._state_dict_hooks.copy()
    fast._register_state_dict_hook(_plain_names)
    return fast


def _plain_names(module: Any, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    """Weights are called as before compiling, so that they can be saved and loaded anywhere."""
    for key in [key for key in state if "._orig_mod." in key]:
        state[key.replace("._orig_mod.", ".")] = state.pop(key)
