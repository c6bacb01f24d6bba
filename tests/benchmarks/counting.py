"""What a contender does outside the UNet: operations, bytes, host syncs, evaluations and time, by watching it run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# Reading a value back, or deciding on the host by one: what makes a program wait for its device.
SYNCS = {"_local_scalar_dense", "equal", "nonzero", "masked_select", "is_nonzero"}
NO_KERNEL = {
    "empty",
    "empty_like",
    "empty_strided",
    "new_empty",
    "new_empty_strided",
    "resize_",
    "lift_fresh",
}
NO_KERNEL |= {"detach", "_unsafe_view"}


@dataclass(frozen=True)
class Step:
    """A step outside the UNet: operations that launch work, bytes they read and write, waits for the device.

    launches, waits: of a CUDA device, as its profiler saw them: kernels, copies and graphs that the host launched,
    and times it waited; None elsewhere. What is replayed as a graph is one operation and one launch, UNet included.
    """

    ops: float
    bytes: float
    syncs: float
    launches: float | None = None
    waits: float | None = None


class OpCounter(TorchDispatchMode):
    """Counts what reaches the device while it is on and not inside `paused`. Views and allocations do no work."""

    def __init__(self) -> None:
        super().__init__()
        self.ops = self.bytes = self.syncs = 0
        self.paused = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if not self.paused and name not in NO_KERNEL and not _is_view(func):
            if name in SYNCS:
                self.syncs += 1
            else:
                self.ops += 1
                self.bytes += sum(map(_size, tree_leaves((args, kwargs, out))))
        return out


def _is_view(func: Any) -> bool:
    """Whether an operation's result is a view of an argument that it does not write."""
    returns = func._schema.returns
    return bool(returns) and all(r.alias_info is not None and not r.alias_info.is_write for r in returns)


def _size(value: Any) -> int:
    """Bytes behind a tensor; a value that is expanded lies in memory once."""
    if not isinstance(value, Tensor):
        return 0
    count = 1
    for size, stride in zip(value.shape, value.stride(), strict=True):
        count *= size if stride else 1
    return count * value.element_size()


class Recorder:
    """In the place of the fused kernel: counts its launches and the bytes behind its pointers."""

    def __init__(self, kernel: Any = None) -> None:
        self.kernel, self.launches, self.bytes = kernel, 0, 0

    def __getitem__(self, grid: Any) -> Callable[..., None]:
        def launch(**named: Any) -> None:
            self.launches += 1
            self.bytes += sum(_size(v) for k, v in named.items() if k.endswith("_ptr"))
            if self.kernel is not None:
                self.kernel[grid](**named)

        return launch


@contextmanager
def recorded_launches(run: bool) -> Iterator[Recorder]:
    """Inside, launches of the fused kernel are counted, and run if `run`. Nothing is counted without triton."""
    try:
        from instructdiffusion.sampling.kernels import fused
    except ImportError:
        yield Recorder()
        return
    kernel = fused.step_kernel
    recorder = Recorder(kernel if run else None)
    fused.step_kernel = recorder  # type: ignore[assignment]
    try:
        yield recorder
    finally:
        fused.step_kernel = kernel


@contextmanager
def idle(unet: Any) -> Iterator[None]:
    """Inside, the UNet predicts zeros: what surrounds it is counted, and that does not depend on its answer."""
    channels = unet.config.out_channels
    zeros: dict[torch.Size, Tensor] = {}  # kept, so that a device has nothing to do for them

    def forward(sample: Tensor, *_: Any, **__: Any) -> tuple[Tensor]:
        if sample.shape not in zeros:
            zeros[sample.shape] = sample.new_zeros(len(sample), channels, *sample.shape[2:])
        return (zeros[sample.shape],)

    before = vars(unet).get("forward")  # a compiled UNet has one of its own
    unet.forward = forward
    try:
        yield
    finally:
        if before is None:
            del unet.forward
        else:
            unet.forward = before


@contextmanager
def replays(sync: Callable[[], None] = lambda: None) -> Iterator[list[float]]:
    """Inside, the seconds of every CUDA graph's replay are listed; they are whole if `sync` waits for the device."""
    spent: list[float] = []
    original = torch.cuda.CUDAGraph.replay

    def replay(graph: Any) -> None:
        sync()
        start = time.perf_counter()
        original(graph)
        sync()
        spent.append(time.perf_counter() - start)

    torch.cuda.CUDAGraph.replay = replay  # type: ignore[method-assign]
    try:
        yield spent
    finally:
        torch.cuda.CUDAGraph.replay = original  # type: ignore[method-assign]


LAUNCHES = {
    "cudaLaunchKernel",
    "cudaLaunchKernelExC",
    "cuLaunchKernel",
    "cuLaunchKernelEx",
    "cudaGraphLaunch",
}
LAUNCHES |= {"cudaMemcpyAsync", "cudaMemsetAsync", "cudaMemcpy2DAsync"}
WAITS = {"cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy"}


def launched(draw: Callable[[int], Any], few: int = 4, many: int = 6) -> tuple[float | None, float | None]:
    """(launches, waits) a step of draw(steps) as torch's profiler saw them; None where it saw no launch at all."""
    from torch.profiler import ProfilerActivity, profile

    def totals(steps: int) -> tuple[int, int]:
        torch.cuda.synchronize()
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
            draw(steps)
        torch.cuda.synchronize()
        names = [event.name for event in seen.events() or ()]
        return sum(n in LAUNCHES for n in names), sum(n in WAITS for n in names)

    draw(many)  # what is only done the first time
    first, second = totals(few), totals(many)
    if not second[0]:
        return None, None
    return (second[0] - first[0]) / (many - few), (second[1] - first[1]) / (many - few)


def count_step(draw: Callable[[int], Any], unet: Any, device: str = "cpu", graphed: bool = False) -> Step:
    """The step outside the UNet: a run of 6 steps less one of 4, so that what happens once a run cancels.

    graphed: the steps are replayed as CUDA graphs, in which nothing is told apart.
    """

    def totals(steps: int) -> tuple[int, int, int]:
        counter = OpCounter()
        if graphed:  # hooks on the UNet would not be called
            with replays() as seen, counter:
                draw(steps)
            return counter.ops + len(seen), counter.bytes, counter.syncs
        before = unet.register_forward_pre_hook(lambda *_: setattr(counter, "paused", True))
        after = unet.register_forward_hook(lambda *_: setattr(counter, "paused", False))
        try:
            with recorded_launches(run=device != "cpu") as recorder, counter:
                draw(steps)
        finally:
            before.remove()
            after.remove()
        return counter.ops + recorder.launches, counter.bytes + recorder.bytes, counter.syncs

    few, many = totals(4), totals(6)
    return Step(*((b - a) / 2 for a, b in zip(few, many, strict=True)))


def fused_step(
    solver: str = "euler", side: int = 64, branches: int = 3, dtype: torch.dtype = torch.float16
) -> Step | None:
    """The fused step at side x side x 4, counted at its launch, not carried out; None without triton.

    It is launched as `sample` does it for the solver: dpmpp_2m also reads its last denoised latents and keeps the new.
    """
    from instructdiffusion.sampling import Schedule, instructdiffusion, make_plan

    try:
        from instructdiffusion.sampling.kernels import fused
    except ImportError:
        return None
    schedule = Schedule.scaled_linear()
    plan = make_plan(schedule.sigmas("trailing", 10), solver, instructdiffusion(5, 1.25), schedule)
    coefs = plan.coefs("epsilon")[3]
    x = torch.zeros(1, 4, side, side)
    history = tuple(torch.zeros_like(x) for _ in range(plan.history - 1))
    predictions, batch = torch.zeros(2, branches, 1, 4, side, side, dtype=dtype)
    finite = torch.ones(1, dtype=torch.bool)
    counter = OpCounter()
    with recorded_launches(run=False) as recorder, counter:
        fused.launch(x, predictions, coefs, history, batch=batch, finite=finite, keep=plan.history > 1)
    return Step(counter.ops + recorder.launches, counter.bytes + recorder.bytes, counter.syncs)


@dataclass(frozen=True)
class Shares:
    """Where a run's time goes, as shares of it, and its UNet evaluations (branches of all steps)."""

    seconds: float
    unet: float
    vae: float
    text: float
    evaluations: float

    @property
    def outside(self) -> float:
        """Neither in the UNet nor in the autoencoder."""
        return 1.0 - self.unet - self.vae


def watch(
    draw: Callable[[], Any],
    modules: Mapping[str, Any],
    sync: Callable[[], None],
    clocked: bool = False,
    times: int = 1,
) -> Shares:
    """A run, the mean of so many in a row, with clocks around the modules "unet", "vae" (its encoder and decoder) and
    "text"; without them 0.

    clocked: the time in replays of CUDA graphs counts as the UNet's, whose modules are then not to be given.
    """
    spent, samples, handles = dict.fromkeys(("unet", "vae", "text"), 0.0), 0, []
    started: dict[str, float] = {}

    def begin(name: str) -> Callable[..., None]:
        def hook(module: Any, arguments: Any) -> None:
            nonlocal samples
            if name == "unet":
                samples += len(arguments[0])
            sync()
            started[name] = time.perf_counter()

        return hook

    def end(name: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            sync()
            spent[name] += time.perf_counter() - started[name]

        return hook

    for name, group in modules.items():
        for module in group:
            handles += [
                module.register_forward_pre_hook(begin(name)),
                module.register_forward_hook(end(name)),
            ]
    try:
        with replays(sync) if clocked else nullcontext([]) as replayed:
            sync()
            start = time.perf_counter()
            for _ in range(times):
                draw()
                sync()
            total = time.perf_counter() - start
        spent["unet"] += sum(replayed)
    finally:
        for handle in handles:
            handle.remove()
    shares = (spent[n] / total for n in ("unet", "vae", "text"))
    return Shares(total / times, *shares, samples / times)
