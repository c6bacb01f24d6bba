"""Graphs: UNet and fused step captured once as a CUDA graph and replayed for every row of every plan.

    graphs = StepGraphs()                       # keep it as long as the model
    latents = graphs.sample(denoiser, x, plan, noise)

What a row differs in (coefficients, timestep, noise, whether it saves its x) is read from buffers on the device,
so that one graph a set of branches serves every row, solver, guidance scale and picture of one size. A row then
costs the host one small copy, one replay and, where the row adds noise, one more copy; nothing waits.

Measured on an H100 (docs/gpu): a row of `tiny` takes 2.5 ms replayed and 17 ms launched one by one. On the CPU the
tests call the captured function directly instead of replaying it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...utils.cache import Places
from ..denoiser import UNetDenoiser
from ..kernels import why_not, why_not_here
from ..noise import StepNoise
from ..plan import Plan, StepCoefs
from ..sampler import OnStep, check_finite, check_start, noise_source
from ..schedule import input_scale

WARM_UP = 3  # runs before a capture, as PyTorch's documentation does: kernels compile, libraries allocate
LIMIT = 8  # graphs that are kept; they share the memory of what they compute, so this bounds their nodes and inputs


def why_no_graph(denoiser: UNetDenoiser) -> str | None:
    """Why UNet and step cannot become a CUDA graph here, in one line; None where they can."""
    device = denoiser.image_latents.device
    if device.type != "cuda":
        return f"CUDA graphs need a CUDA device, the UNet is on {device.type}"
    unet = denoiser.unet
    if any(getattr(unet, name, None) for name in ("_forward_hooks", "_forward_pre_hooks", "_hf_hook")):
        return "the UNet has hooks, which a replay would not call (they watch it, or move its weights)"
    if torch.is_autocast_enabled():
        return (
            "autocast is on, whose cast weights do not outlive a capture (load the model in half precision)"
        )
    return why_not_here(device)


@dataclass(frozen=True)
class _State:
    """Everything that lives across rows, at fixed addresses; history[0] is the last denoised latent."""

    x: Tensor  # [b, c, h, w] float32, as history, saved and noise
    history: tuple[Tensor, ...]
    saved: Tensor | None
    noise: Tensor | None
    row: Tensor  # float32 [SCALARS, save, t]
    finite: Tensor  # bool [b], False from the first bad row on


@dataclass(frozen=True)
class _Step:
    """One set of branches: the UNet's inputs at fixed addresses and the replay of UNet + step on them."""

    input: Tensor  # [n * b, 2c, h, w]; the step writes the first c channels, the rest is the condition
    text: Tensor  # [n * b, length, width]
    batch: Tensor  # [n, b, c, h, w], the view of `input` that the step writes
    replay: Callable[[], None]


class StepGraphs:
    """Captured steps by size and branches; give all calls the same UNet. Threads take turns, a run at a time.

    limit: how many graphs are kept; the one that was not used for longest goes first. A graph reads the weights
    where they lay when it was captured: weights changed in place need nothing; weights that moved or were exchanged
    (`unet.to`, `load_state_dict(assign=True)`) and parts that were exchanged, added or taken out (a LoRA) are noticed
    and captured anew. After a change that shows in neither (an adapter's scale, or one switched off) call `clear`.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise ValueError(f"limit is a whole number of graphs of at least 1; got {limit!r}")
        self.limit = limit
        self._lock = threading.RLock()  # on_step may come back on the same thread
        self.clear()

    def clear(self) -> None:
        """Forget all graphs and give their memory back."""
        with self._lock:
            self._unet: Any = None
            self._places: Places | None = None
            self._states: dict[tuple[Any, ...], _State] = {}
            self._steps: dict[tuple[Any, ...], _Step] = {}  # the last used last
            self._pool: Any = None

    def __len__(self) -> int:
        """How many graphs are kept."""
        return len(self._steps)

    def other(self, denoiser: UNetDenoiser) -> bool:
        """Whether what is kept was captured with another UNet."""
        return self._unet is not None and self._unet is not denoiser.unet

    def missing(self, denoiser: UNetDenoiser, plan: Plan) -> int:
        """How many graphs a run would have to capture first."""
        with self._lock:
            if self._unet is not denoiser.unet or self._places != Places(denoiser.unet):
                return len({row.branches for row in plan})
            key = _state_key(denoiser, plan)
            return sum(_step_key(denoiser, b, key) not in self._steps for b in {row.branches for row in plan})

    @torch.no_grad()
    def prepare(self, denoiser: UNetDenoiser, plan: Plan) -> None:
        """Capture what `sample` would capture first, and nothing else; the same errors."""
        with self._lock:
            self._check(denoiser)
            self._ready(denoiser, plan)

    @torch.no_grad()
    def sample(
        self,
        denoiser: UNetDenoiser,
        x: Tensor,
        plan: Plan,
        noise: StepNoise | Sequence[Tensor] | Tensor | None = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """`sampler.sample` by replaying graphs: the same arguments, the same answer (float32) and errors.

        The first call for a size or a set of branches captures, which takes some evaluations of the UNet.
        Raises RuntimeError with the reason of `why_no_graph`, ValueError for a float64 x or another UNet.
        """
        with self._lock:
            return self._sample(denoiser, x, plan, noise, on_step)

    def _check(self, denoiser: UNetDenoiser) -> None:
        reason = why_no_graph(denoiser)
        if reason is not None:
            raise RuntimeError(f"UNet and step cannot be captured: {reason}. Use sampling.sample")
        if self.other(denoiser):
            raise ValueError("these graphs were captured with another UNet; make a StepGraphs for each")

    def _ready(self, denoiser: UNetDenoiser, plan: Plan) -> tuple[_State, dict[tuple[str, ...], _Step]]:
        """The state and the steps of the plan's sets of branches, captured where they are new."""
        now = Places(denoiser.unet)
        if self._places != now:
            self.clear()
            self._unet, self._places = denoiser.unet, now
        key = _state_key(denoiser, plan)
        state = self._state(denoiser, key)
        steps = {b: self._step(denoiser, b, state, key) for b in dict.fromkeys(row.branches for row in plan)}
        while len(self._steps) > self.limit:  # those of this run live on in `steps`
            del self._steps[next(iter(self._steps))]
        for old in set(self._states) - {key} - {step_key[0] for step_key in self._steps}:
            del self._states[old]
        return state, steps

    def _sample(
        self,
        denoiser: UNetDenoiser,
        x: Tensor,
        plan: Plan,
        noise: StepNoise | Sequence[Tensor] | Tensor | None,
        on_step: OnStep | None,
    ) -> Tensor:
        self._check(denoiser)
        check_start(x, denoiser.prediction_type)
        if x.shape != denoiser.image_latents.shape or x.dtype == torch.float64:
            raise ValueError(
                f"latents must be {tuple(denoiser.image_latents.shape)} in at most float32; "
                f"got {tuple(x.shape)} {x.dtype}"
            )
        source = noise_source(noise, plan)
        coefs = plan.coefs(denoiser.prediction_type)
        state, steps = self._ready(denoiser, plan)  # before the state is filled, which captures spoil

        table = _table(plan, coefs, state.x.device)
        finite = torch.ones(len(plan), len(x), dtype=torch.bool, device=state.x.device)
        state.x.copy_(x)
        state.finite.fill_(True)
        last = steps[plan[0].branches]
        last.batch.copy_(state.x * input_scale(plan.sigma_start))
        draws = 0
        for i, row in enumerate(plan):
            step = steps[row.branches]
            if step is not last:
                step.batch.copy_(last.batch[:1])
                last = step
            state.row.copy_(table[i])
            if state.noise is not None and source is not None and coefs[i].noise != 0.0:
                state.noise.copy_(source.step(draws, state.x))
                draws += 1
            step.replay()
            finite[i].copy_(state.finite)
            if on_step is not None:
                on_step(i, state.x.clone(), state.history[0].clone())
        end = state.x.clone()
        check_finite(finite, plan, 0)  # waits: the next run, perhaps on another stream, may have the state
        return end

    def _state(self, denoiser: UNetDenoiser, key: tuple[Any, ...]) -> _State:
        from ..kernels.fused import MAX_HISTORY, SCALARS

        _, past, saved, noise = key
        if past > MAX_HISTORY:
            raise ValueError(f"a graph looks back at most {MAX_HISTORY} rows; the plan looks back {past}")
        if key not in self._states:
            with torch.inference_mode(False):  # so that both kinds of caller may write them

                def latents() -> Tensor:
                    return torch.zeros_like(denoiser.image_latents, dtype=torch.float32)

                device = denoiser.image_latents.device
                self._states[key] = _State(
                    x=latents(),
                    history=tuple(latents() for _ in range(past)),
                    saved=latents() if saved else None,
                    noise=latents() if noise else None,
                    row=torch.zeros(len(SCALARS) + 2, device=device),
                    finite=torch.ones(len(denoiser), dtype=torch.bool, device=device),
                )
        return self._states[key]

    def _step(
        self, denoiser: UNetDenoiser, branches: tuple[str, ...], state: _State, state_key: tuple[Any, ...]
    ) -> _Step:
        """The step of these branches with the denoiser's conditions in place; captured if it is new."""
        images, text = denoiser.conditions(branches)
        key = _step_key(denoiser, branches, state_key)
        step = self._steps.pop(key, None)
        if step is None:
            step = self._capture(denoiser.unet, len(branches), images, text, state)
        self._steps[key] = step
        step.input[:, images.shape[1] :].copy_(images)
        step.text.copy_(text)
        return step

    def _capture(self, unet: Any, n: int, images: Tensor, text: Tensor, state: _State) -> _Step:
        from ..kernels.fused import launch_in_place

        b, c = state.x.shape[:2]
        with torch.inference_mode(False):
            whole = torch.cat([torch.zeros_like(images), images], dim=1).clone(memory_format=_format(unet))
            static_text = text.clone()
        batch = whole[:, :c].unflatten(0, (n, b))
        t = state.row[-1:].expand(n * b)

        def predict() -> Tensor:
            out = unet(whole, t, encoder_hidden_states=static_text, return_dict=False)[0]
            predictions: Tensor = out.unflatten(0, (n, b))
            return predictions

        def run() -> None:
            launch_in_place(
                *(state.x, predict(), state.row, state.history, state.saved, state.noise),
                batch=batch,
                finite=state.finite,
            )

        coefs = StepCoefs((0.0,) * n, 0.0, 0.0, 0.0, (0.0,), 0.0, 0.0, 1.0)
        reason = why_not(
            *(state.x, predict(), coefs, state.history, state.saved, state.noise),
            batch=batch,
            finite=state.finite,
        )
        if reason is not None:
            raise RuntimeError(f"UNet and step cannot be captured: {reason}. Use sampling.sample")
        if self._pool is None and whole.is_cuda:
            self._pool = torch.cuda.graph_pool_handle()
        return _Step(whole, static_text, batch, capture(run, whole.device, self._pool))


def _state_key(denoiser: UNetDenoiser, plan: Plan) -> tuple[Any, ...]:
    """What a run's buffers depend on: (shape, earlier denoised latents, whether x is saved, whether noise comes)."""
    saved = any(row.save for row in plan)
    return (tuple(denoiser.image_latents.shape), max(plan.history - 1, 1), saved, plan.draws > 0)


def _step_key(denoiser: UNetDenoiser, branches: tuple[str, ...], state: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a graph depends on, its state first."""
    return (state, branches, tuple(denoiser.prompt_embeds.shape[1:]))


def capture(run: Callable[[], None], device: torch.device, pool: Any) -> Callable[[], None]:
    """Warm `run` up on a side stream, capture it as a CUDA graph, and return the graph's replay.

    All graphs share the memory pool: between replays nothing in it is alive, for what outlives a step was
    allocated outside, so the order of the replays does not matter. They must not run at the same time.
    """
    with (
        torch.cuda.device(device),
        torch.cuda.stream(torch.cuda.current_stream(device)),
    ):  # also after a failure
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                run()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # What other threads do meanwhile (a preview, a loader) must not break the capture.
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            run()

    def replay() -> None:
        with torch.cuda.device(device):
            graph.replay()

    return replay


def _table(plan: Plan, coefs: Sequence[StepCoefs], device: torch.device) -> Tensor:
    """float32 [rows, ...] on the device: each row's scalars, whether it saves its x, and its timestep."""
    from ..kernels.fused import scalars

    rows = [[*scalars(c), float(row.save), row.t] for row, c in zip(plan, coefs, strict=True)]
    table = torch.tensor(rows, dtype=torch.float32)
    if device.type == "cuda":
        table = table.pin_memory()  # only then does the copy not wait
    return table.to(device, non_blocking=True)


def _format(unet: Any) -> torch.memory_format:
    """channels_last where the UNet's first convolution is, else contiguous."""
    weights = [p for p in unet.parameters() if p.ndim == 4 and p.shape[1] > 1 and p.shape[2] > 1]
    last = bool(weights) and weights[0].is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format
