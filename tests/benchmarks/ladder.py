"""The ladder: all contenders in their order, ours with one change a rung."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from instructdiffusion.inference.components_backend import ComponentsBackend
from instructdiffusion.models.optimization import PARTS, speed_up
from instructdiffusion.sampling import Guidance, Plan, instructpix2pix, none

from .authors import package_sampler
from .contenders import Contender, Ours, Question, ask_anew, make_authors, make_pipeline, pix2pix_scales

FEW = 20  # steps, as diffusers' pipeline is asked for at its best
ONE = {"steps": 1, "solver": "euler", "schedule": "trailing", "guidance": "none"}
STRONG = (7.5, 1.5)  # InstructPix2Pix's own scales, under which every branch counts
Draw = Callable[[Question, int], Any]


def make_contenders(
    backend: ComponentsBackend,
    scales: tuple[float, float],
    steps: tuple[int, ...],
    ladder: bool,
    compiled: bool = False,
) -> list[Contender]:
    """All contenders; the first has the most steps and is what the others are compared with.

    ladder: also the rungs that change the answer (fewer steps, another schedule and solver, one evaluation), one
    change a rung: "+" changes what the rung above does, "the same" stands aside. compiled: also a rung with UNet and
    autoencoder compiled, which the rungs below keep. On a CUDA device the first rungs take the step in torch
    operations, then come the fused kernel, and UNet and step as a CUDA graph, which the rungs below keep. The whole
    model in half precision (bfloat16 on a CPU) stands aside.
    """
    made = _others(backend, scales, steps, ladder, compiled)
    made += _Ladder(backend, scales, max(steps), made).rungs(ladder, compiled)
    return made


def _others(
    backend: ComponentsBackend, scales: tuple[float, float], steps: tuple[int, ...], ladder: bool, compiled: bool
) -> list[Contender]:
    """The authors' loop and diffusers' pipeline, compiled too where ours is."""
    parts, ours = backend.components, Ours(backend, scales)
    on_cuda, full = lies_on_cuda(parts), max(steps)
    found = "k-diffusion" if package_sampler() else "written from the published algorithm"
    authors = make_authors(ours, scales)
    made = [
        Contender(
            *(f"authors' loop ({found}), {n} steps", "authors", n, authors),
            lossy=n != full,
            options={**_published(ours), "steps": n},
        )
        for n in sorted(set(steps), reverse=True)
    ]
    theirs = pix2pix_scales(scales)
    # In half precision its generator draws other numbers, and so another answer.
    like = made[0].name if parts.unet.dtype == torch.float32 else None
    name = f"diffusers, Euler ancestral, {full} steps"
    strong = f", guidance {STRONG[0]:g} and {STRONG[1]:g}"
    made += [
        Contender(name, "diffusers", full, make_pipeline(parts, theirs, fast=False), like=like),
        Contender(
            *(f"{name}{strong}", "diffusers", full, make_pipeline(parts, STRONG, fast=False)), scales=STRONG
        ),
    ]
    if ladder and compiled:
        fast = _copied(parts, compiled=True)
        more: dict[str, Any] = {"parts": fast, "compiled": True}
        made += [
            Contender(
                *(f"{name}, compiled", "diffusers", full, make_pipeline(fast, theirs, fast=False)),
                **{"like": like, **more},
            ),
            Contender(
                *(f"{name}{strong}, compiled", "diffusers", full, make_pipeline(fast, STRONG, fast=False)),
                **{"like": made[-1].name if like else None, "scales": STRONG, **more},
            ),
        ]
    if ladder:
        few = min(FEW, full)
        dpm = make_pipeline(parts, theirs, fast=True)
        options = {**_multistep(ours), "steps": few}
        made.append(Contender(_dpm(few), "diffusers", few, dpm, True, options=options))
    if ladder and on_cuda:
        small = Ours(ComponentsBackend(halved(parts)), scales)
        draw = make_pipeline(small.parts, theirs, fast=False)
        made.append(
            Contender(f"{name}, half precision", "diffusers", full, draw, lossy=True, parts=small.parts)
        )
    return made


def _published(ours: Ours) -> dict[str, Any]:
    return {"solver": "euler_ancestral", "schedule": "native", "guidance": ours.guided}


def _multistep(ours: Ours) -> dict[str, Any]:
    return {"solver": "dpmpp_2m", "schedule": "trailing", "guidance": ours.guided}


def _dpm(steps: int) -> str:
    return f"diffusers, DPM-Solver++ 2M, {steps} steps"


class _Ladder:
    """Ours, rung by rung; `others` holds what some of them must agree with."""

    def __init__(
        self, backend: ComponentsBackend, scales: tuple[float, float], full: int, others: list[Contender]
    ) -> None:
        self.scales, self.full, self.few = scales, full, min(FEW, full)
        self.parts = backend.components
        self.on_cuda = lies_on_cuda(self.parts)
        self.short = short_of(self.parts)
        self.first = Ours(backend, scales, step_backend="reference" if self.on_cuda else "auto")
        self.lower = self.first  # what the rungs below run on
        self.like = others[0].name
        strong = next(c for c in others if c.scales == STRONG)
        self.like_strong = strong.name if self.parts.unet.dtype == torch.float32 else None
        self.made: list[Contender] = []

    def rungs(self, ladder: bool, compiled: bool) -> list[Contender]:
        """All of them, in order."""
        self._same_answer(ladder, compiled)
        if ladder:
            quick = self._halved(compiled)
            self._fewer_evaluations()
            self._one_evaluation(quick)
        return self.made

    def plan(self, steps: int, solver: str, spacing: str, guidance: Guidance | None = None) -> Plan:
        """A rung's."""
        return self.first.plan(steps, solver, spacing, guidance)

    def ancestral(self, steps: int) -> Plan:
        """The authors'."""
        return self.plan(steps, "euler_ancestral", "native")

    def _add(self, name: str, steps: int, draw: Draw, **more: Any) -> None:
        self.made.append(Contender(f"ours: {name}", "ours", steps, draw, **more))

    def _on(self, runs: Ours) -> dict[str, Any]:
        """Whose networks are to be watched, where they are not the backend's, and whether those are compiled."""
        if runs.parts is self.parts:
            return {}
        return {"parts": runs.parts, "compiled": is_compiled(runs.parts)}

    def _seen(self, plan: Plan) -> dict[str, Any]:
        return {"evaluations": plan.evaluations} if self.on_cuda else {}

    def _same_answer(self, ladder: bool, compiled: bool) -> None:
        full, first, like = self.full, self.first, {"like": self.like}
        whole = self.ancestral
        name = f"Euler ancestral, {full} steps, every branch"
        self._add(name, full, lambda q, n: first.every_branch(q, whole(n), once=False), **like)
        self._add("+ conditions made once", full, lambda q, n: first.every_branch(q, whole(n), True), **like)
        self._add("+ branches without weight dropped", full, lambda q, n: first.edit(q, whole(n)), **like)
        if self.on_cuda:
            fused = Ours(ComponentsBackend(self.parts), self.scales)
            self._add("+ step as the fused kernel", full, lambda q, n: fused.edit(q, whole(n)), **like)
        if ladder:
            aside = Ours(ComponentsBackend(_copied(self.parts, compiled=False)), self.scales)
            draw = lambda q, n: aside.edit(q, whole(n))  # noqa: E731
            self._add("the same, UNet and autoencoder channels_last", full, draw, **like, **self._on(aside))
        parts = _copied(self.parts, compiled=True) if ladder and compiled else self.parts
        guidance = instructpix2pix(*STRONG)
        strong = lambda n: self.plan(n, "euler_ancestral", "native", guidance)  # noqa: E731
        every = {"like": self.like_strong, "scales": STRONG}
        title = f"the same, guidance {STRONG[0]:g} and {STRONG[1]:g}"
        if parts is not self.parts:
            if not self.on_cuda:
                self._add(f"{title}, not compiled", full, lambda q, n: first.edit(q, strong(n)), **every)
            fast = self.lower = Ours(ComponentsBackend(parts), self.scales)
            draw = lambda q, n: fast.edit(q, whole(n))  # noqa: E731
            self._add("+ channels_last and compiled", full, draw, **like, **self._on(fast))
        if self.on_cuda:
            graphed = self.lower = Ours(ComponentsBackend(parts), self.scales, graphs=True)
            draw = lambda q, n: graphed.edit(q, whole(n))  # noqa: E731
            seen = self._seen(whole(full))
            self._add("+ UNet and step as a CUDA graph", full, draw, **like, **seen, **self._on(graphed))
        lower = self.lower
        draw = lambda q, n: lower.edit(q, strong(n))  # noqa: E731
        self._add(title, full, draw, **every, **self._seen(strong(full)), **self._on(lower))

    def _halved(self, compiled: bool) -> Ours:
        small, whole = halved(self.parts), self.ancestral
        parts = _copied(small, compiled=True) if compiled else small
        quick = Ours(ComponentsBackend(parts), self.scales, graphs=self.on_cuda)
        self.half = {"lossy": True, "parts": parts, "model": model_of(small)}
        self._add(
            *(f"the same, {self.short}", self.full, lambda q, n: quick.edit(q, whole(n))),
            like=self.like, options={**_published(self.first), "steps": self.full},
            **self.half, **self._seen(whole(self.full)),
        )  # fmt: skip
        return quick

    def _lossy(
        self, name: str, plan: Callable[[int], Plan], steps: int, options: dict[str, Any], **more: Any
    ) -> None:
        lower, scale, again = self.lower, more.pop("scale", 1.0), more.pop("again", False)
        draw = lambda q, n: lower.edit(q, plan(n), scale, again=again)  # noqa: E731
        more = {**self._seen(plan(steps)), **self._on(lower), **more}
        self._add(name, steps, draw, lossy=True, options={**options, "steps": steps}, **more)

    def _fewer_evaluations(self) -> None:
        few, published, guided = self.few, _published(self.first), _multistep(self.first)
        multistep = lambda n: self.plan(n, "dpmpp_2m", "trailing")  # noqa: E731
        trailing = lambda n: self.plan(n, "euler_ancestral", "trailing")  # noqa: E731
        self._lossy(f"+ {few} of the steps", self.ancestral, few, published)
        self._lossy("+ trailing timesteps", trailing, few, {**published, "schedule": "trailing"})
        self._lossy("+ DPM-Solver++ 2M", multistep, few, guided)
        # diffusers' DPM-Solver++ starts from sqrt(1 + sigma^2) noise: so must what is to give the same answer.
        top = self.first.schedule.sigma_max
        scale = math.sqrt(1 + top**2) / top
        self._lossy(
            "the same, started as diffusers does", multistep, few, guided, like=_dpm(few), scale=scale
        )
        for n in (8, 4):
            self._lossy(f"+ {n} steps", multistep, n, guided)

    def _one_evaluation(self, quick: Ours) -> None:
        plain = {**_multistep(self.first), "guidance": "none"}
        alone = lambda n: self.plan(n, "dpmpp_2m", "trailing", none())  # noqa: E731
        self._lossy("+ one branch", alone, 4, plain)
        self._lossy("+ one evaluation", alone, 1, plain)
        self._lossy("the same, about a picture asked about before", alone, 1, plain, again=True)
        draw = lambda q, n: quick.edit(q, alone(n))  # noqa: E731
        self._add(
            *(f"+ {self.short}", 1, draw),
            options={**plain, "steps": 1}, **self.half, **self._seen(alone(1)),
        )  # fmt: skip


def _copied(parts: Any, compiled: bool) -> Any:
    """Copies of the components, laid out or compiled too."""
    own = {name: copy.deepcopy(getattr(parts, name)) for name in PARTS}
    return speed_up(dataclasses.replace(parts, **own), channels_last=True, compiled=compiled)


def is_compiled(parts: Any) -> bool:
    """Whether the UNet of these components is one that torch.compile made."""
    return hasattr(parts.unet, "_orig_mod")


def lies_on_cuda(parts: Any) -> bool:
    """Whether the components compute on a CUDA device."""
    return bool(parts.unet.device.type == "cuda")


def halved(parts: Any) -> Any:
    """Copies of the components in half precision: on a CPU bfloat16, the quicker one there."""
    dtype = torch.float16 if lies_on_cuda(parts) else torch.bfloat16
    names = ("unet", "vae", "text_encoder")
    return dataclasses.replace(parts, **{n: copy.deepcopy(getattr(parts, n)).to(dtype) for n in names})


def short_of(parts: Any) -> str:
    """What `halved` makes of the components, in words."""
    return "half precision" if lies_on_cuda(parts) else "bfloat16"


def model_of(parts: Any) -> Any:
    """The components as users have them, with CUDA graphs by choice."""
    from instructdiffusion import InstructDiffusion

    return InstructDiffusion(parts)


def asked_in_words(
    parts: Any, graphs: bool = False, name: str = "", model: Any = None, again: bool = False, count: int = 1
) -> Contender:
    """`InstructDiffusion.run` as users call it: one evaluation, and the answer read back from the picture.

    model: whose quality it has, None for the one in hand; name: what tells it from another. again: in new words, about
    a picture that it was asked about before. count: of questions answered at once.
    """
    from instructdiffusion import InstructDiffusion

    runs = InstructDiffusion(parts, graphs=graphs, compiled=False)

    def draw(question: Question, steps: int) -> tuple[Tensor, np.ndarray]:
        asked = question.first(count)
        ask_anew(runs.backend, *(q.text for q in asked), picture=not again)
        answers = runs.run(
            *([q.instruction for q in asked], [q.picture for q in asked]),
            **{**ONE, "steps": steps, "batch_size": count},
        )
        return question.noise, answers[0].picture

    more: dict[str, Any] = {"evaluations": 1} if graphs else {}
    title = f"ours: one evaluation, and the masks read back{name}"
    title += ", about a picture asked about before" if again else ""
    return Contender(
        *(title, "ours", 1, draw), lossy=True, options=ONE, parts=parts, model=model, pictures=count, **more
    )
