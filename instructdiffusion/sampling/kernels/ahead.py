"""The fused step compiled ahead of time, on any machine: what the GPU would run, without a GPU.

    python -m instructdiffusion.sampling.kernels.ahead

prints registers, spills and the widths of loads and stores for each architecture and dtype. Needs triton (its
wheel brings ptxas), and a process without TRITON_INTERPRET.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..plan import StepCoefs

#: Compute capabilities that the kernel is checked for: Ampere, Hopper, Blackwell (GeForce).
ARCHITECTURES: tuple[int, ...] = (80, 90, 120)

_DTYPES = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16", torch.uint8: "u8"}
_ACCESS = re.compile(r"\b(ld|st)\.global(?:\.[\w:]+?)*?(?:\.(v[248]))?\.b(8|16|32|64|128)\b")


@dataclass(frozen=True)
class Compiled:
    """What came out for one architecture. loads and stores count instructions by their width in bytes.

    spilled: bytes of registers spilled to memory, stores and loads together; stack: bytes of stack frame.
    """

    architecture: int
    registers: int
    spilled: int
    stack: int
    loads: Counter[int]
    stores: Counter[int]
    ptx: str


def compile_step(architecture: int, **variant: Any) -> Compiled:
    """The step as `fused` would launch it on `example(**variant)`, compiled for sm_<architecture>.

    Raises RuntimeError in a process where triton was imported under TRITON_INTERPRET.
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from . import fused

    if fused.INTERPRETED:
        raise RuntimeError("triton was imported with TRITON_INTERPRET set; compile in a process without it")
    arguments = example(**variant)
    constants = {p.name for p in fused.step_kernel.params if p.is_constexpr}
    plain = {p.name for p in fused.step_kernel.params if p.do_not_specialize}
    signature: dict[str, str] = {}
    constexprs: dict[str, Any] = {}
    hints: dict[tuple[int], list[list[Any]]] = {}
    for position, name in enumerate(fused.step_kernel.arg_names):  # by the rules of triton's own launcher
        value = arguments[name]
        whole = isinstance(value, int) and not isinstance(value, bool)
        if name in constants or value is None or (whole and value == 1 and name not in plain):
            signature[name], constexprs[name] = "constexpr", value
            continue
        signature[name] = _type(value)
        address = value.data_ptr() if isinstance(value, torch.Tensor) else value
        if not isinstance(address, float) and address % 16 == 0 and name not in plain:
            hints[(position,)] = [["tt.divisibility", 16]]
    source = ASTSource(fused.step_kernel, signature, constexprs, hints)
    target = GPUTarget("cuda", architecture, 32)
    ptx = str(triton.compile(source, target=target, options=dict(fused.OPTIONS)).asm["ptx"])
    return Compiled(architecture, *_resources(ptx, architecture), *_accesses(ptx), ptx)


def example(
    *,
    branches: int = 3,
    dtype: torch.dtype = torch.float16,
    shape: Sequence[int] = (1, 4, 64, 64),
    channels_last: bool = False,
    in_place: bool = False,
    past: int = 1,
    saved: bool = True,
    noise: bool = True,
) -> dict[str, Any]:
    """The kernel's arguments by name for one step on latents of `shape` [b, c, h, w].

    branches, past: how many predictions and earlier denoised latents it reads; saved, noise: whether it reads
    those. dtype: that of the predictions and of the UNet's input, which has twice the channels and takes the
    next input in its first half. in_place: the variant for CUDA graphs.
    """
    from . import fused

    b, c, h, w = shape
    form = torch.channels_last if channels_last else torch.contiguous_format

    def latents(n: int = b, channels: int = c, of: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.empty(n, channels, h, w, dtype=of).to(memory_format=form)

    coefs = StepCoefs((0.5,) * branches, 0.5, 0.5, 0.5, (0.5,) * (past + 1), 0.5, 0.5, 0.5)
    x = latents()
    history = [latents() for _ in range(past)]
    outputs = (x, history[0] if history else latents()) if in_place else (latents(), latents())
    return fused.arguments(
        x,
        latents(branches * b, of=dtype).unflatten(0, (branches, b)),
        fused.scalars(coefs),
        history,
        latents() if saved else None,
        latents() if noise else None,
        outputs,
        latents(branches * b, 2 * c, dtype)[:, :c].unflatten(0, (branches, b)),
        torch.ones(b, dtype=torch.bool),
        table_row=torch.empty(len(fused.SCALARS) + 2) if in_place else None,
    )


def _type(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return "*" + _DTYPES[value.dtype]
    if isinstance(value, int):
        return "i32" if -(2**31) <= value < 2**31 else "i64"
    return "fp32"


def _resources(ptx: str, architecture: int) -> tuple[int, int, int]:
    """(registers, spilled bytes, stack bytes) that ptxas reports."""
    from triton.backends.nvidia.compiler import get_ptxas, sm_arch_from_capability

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "step.ptx"
        source.write_text(ptx, encoding="utf-8")
        target = f"--gpu-name={sm_arch_from_capability(architecture)}"
        command = [get_ptxas(architecture).path, "-v", target, str(source), "-o", str(source) + ".cubin"]
        report = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    stack, stores, loads = _numbers(
        r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill", report
    )
    (registers,) = _numbers(r"Used (\d+) registers", report)
    return registers, stores + loads, stack


def _numbers(pattern: str, report: str) -> tuple[int, ...]:
    match = re.search(pattern, report)
    if match is None:
        raise RuntimeError(f"ptxas reports in a form that is not known here:\n{report}")
    return tuple(map(int, match.groups()))


def _accesses(ptx: str) -> tuple[Counter[int], Counter[int]]:
    counts: dict[str, Counter[int]] = {"ld": Counter(), "st": Counter()}
    for kind, vector, bits in _ACCESS.findall(ptx):
        counts[kind][int(bits) // 8 * int(vector[1:] or 1)] += 1
    return counts["ld"], counts["st"]


def main() -> None:
    """Print the table."""

    def widths(counts: Counter[int]) -> str:
        return " ".join(f"{n}x{width}B" for width, n in sorted(counts.items(), reverse=True))

    import triton

    print(f"the fused step on [1, 4, 64, 64], 3 branches, triton {triton.__version__}")
    print(f"{'sm':>4} {'dtype':>9} {'variant':>9} {'registers':>9} {'spilled':>7}  loads; stores")
    for architecture in ARCHITECTURES:
        for dtype in (torch.float32, torch.float16, torch.bfloat16):
            for in_place in (False, True):
                made = compile_step(architecture, dtype=dtype, in_place=in_place)
                name, variant = str(dtype).removeprefix("torch."), "in place" if in_place else "apart"
                print(
                    f"{architecture:>4} {name:>9} {variant:>9} {made.registers:>9} {made.spilled:>7}  "
                    f"{widths(made.loads)}; {widths(made.stores)}"
                )


if __name__ == "__main__":
    main()
