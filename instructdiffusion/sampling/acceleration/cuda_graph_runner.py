"""CudaGraphRunner: `sample`, by replayed graphs where they can run and pay for their capture, and in words why not."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from torch import Tensor

from ...utils.batching import out_of_memory
from ...utils.errors import first_line
from ..denoiser import UNetDenoiser
from ..kernels import why_reference
from ..noise import StepNoise
from ..plan import Plan
from ..sampler import Model, OnStep, sample
from .cuda_graphs import StepGraphs, why_no_graph

PAYS = (
    8  # rows that a capture must serve: it costs about five evaluations, and replaying saves a part of each
)

_log = logging.getLogger(__name__)


class CudaGraphRunner:
    """Runs plans as `sample` does, the same answer but for rounding, and chooses whether UNet and step are replayed.

        run = CudaGraphRunner()                       # keep it as long as the model
        latents = run(denoiser, x, plan, noise)
        run.reason                              # why that was not replayed, None if it was
        run.step_reason                         # why its step was not the fused kernel, None if it was

    graphs: True replays always, RuntimeError with the reason where that cannot be; False never; None where it can
    and the captures pay: each must serve PAYS rows, of this run and of earlier runs of the same size and branches.
    So twenty steps are replayed at once, and single evaluations from the eighth on. What fails in a capture is
    then logged (at warning), and the run goes on without; where it was not memory, so do all later ones.
    backend: of the step where nothing is replayed (`sample`); with another than "auto", graphs=None replays nothing.
    """

    def __init__(self, graphs: bool | None = None, backend: str = "auto") -> None:
        if graphs not in (None, True, False):
            raise ValueError(f"graphs is None, True or False; got {graphs!r}")
        self.graphs = graphs
        self.backend = backend
        self.reason: str | None = "nothing has run yet"
        self.step_reason: str | None = "nothing has run yet"
        self.held = StepGraphs()
        self._asked: dict[object, int] = {}  # rows that were run without, by size and branches
        self._broken: str | None = None

    def __call__(
        self,
        denoiser: UNetDenoiser,
        x: Tensor,
        plan: Plan,
        noise: StepNoise | Sequence[Tensor] | Tensor | None = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """`sample` with these arguments; its errors, and RuntimeError where graphs=True cannot be."""
        if self.graphs:
            self._follow(denoiser)
            reason = None
        else:
            reason = self._why_not(denoiser, plan)
        if reason is not None:
            return self.launched(denoiser, x, plan, noise, on_step, reason)
        self._say(None)
        self.step_reason = None  # the kernel is in the graph
        return self.held.sample(denoiser, x, plan, noise, on_step)

    def launched(
        self,
        model: Model,
        x: Tensor,
        plan: Plan,
        noise: StepNoise | Sequence[Tensor] | Tensor | None,
        on_step: OnStep | None,
        reason: str,
    ) -> Tensor:
        """`sample` of any model, replaying nothing for the `reason` that is given; its errors."""
        self._say(reason)
        end = sample(model, x, plan, noise, on_step, backend=self.backend)
        self.step_reason = why_reference()
        return end

    def _say(self, reason: str | None) -> None:
        if reason != self.reason:
            _log.debug("UNet and step are %s", "replayed" if reason is None else f"not replayed: {reason}")
        self.reason = reason

    def forget(self) -> None:
        """Let go of all graphs; what they are worth capturing for is counted from here on."""
        self.held.clear()
        self._asked.clear()

    def _follow(self, denoiser: UNetDenoiser) -> None:
        """Let go of another UNet's graphs."""
        if self.held.other(denoiser):
            self.held.clear()

    def _why_not(self, denoiser: UNetDenoiser, plan: Plan) -> str | None:
        """Why this run is not replayed; where it is (None) all of its graphs are captured."""
        if self.graphs is False:
            return "graphs=False"
        if self.backend != "auto":
            return f"backend={self.backend!r} was asked for"
        if self._broken is not None:
            return self._broken
        reason = why_no_graph(denoiser)
        if reason is not None:
            return reason
        self._follow(denoiser)
        missing = self.held.missing(denoiser, plan)
        if not missing:
            return None
        key = (tuple(denoiser.image_latents.shape), frozenset(row.branches for row in plan), plan.draws > 0)
        rows = self._asked.get(key, 0) + len(plan)
        if rows < PAYS * missing:
            if len(self._asked) > 64:  # pictures of ever other sizes
                self._asked.clear()
            self._asked[key] = rows
            return f"{rows} rows do not pay for {missing} captures, {PAYS * missing} do"
        try:
            self.held.prepare(denoiser, plan)
        except RuntimeError as error:  # memory, or an operation that cannot be captured
            self.held.clear()
            reason = f"the capture failed: {type(error).__name__}: {first_line(error)}"
            _log.warning("UNet and step are not replayed: %s", reason)
            if not out_of_memory(error):
                self._broken = reason
            return reason
        self._asked.pop(key, None)
        return None
