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

from instructdiffusion.editor import Editor
from instructdiffusion.models.speed import speed_up
from instructdiffusion.sampling import Guidance, Plan, none

from .authors import package_sampler
from .contenders import Contender, Ours, Question, make_authors, make_pipeline


def make_contenders(
    editor: Editor, scales: tuple[float, float], steps: tuple[int, ...], ladder: bool, compiled: bool = False
) -> list[Contender]:
    """All contenders; the first has the most steps and is what the others are compared with.

    ladder: also the rung with the UNet in another layout, and those that change the answer (fewer steps, another
    solver, one evaluation). compiled: also a rung with the UNet compiled on top of that layout. On a CUDA device
    the first rungs take the step in torch operations, then come the fused kernel, UNet and step as a CUDA graph,
    which the rungs below keep, and the whole model in half precision.
    """
    parts = editor.components
    on_cuda = lies_on_cuda(parts)
    half = parts.unet.dtype != torch.float32
    ours = Ours(editor, scales, backend="reference" if on_cuda else "auto")
    full = max(steps)
    found = "k-diffusion" if package_sampler() else "written from the published algorithm"
    authors = make_authors(ours, scales)
    published = {"solver": "euler_ancestral", "schedule": "native", "guidance": ours.guided}
    made = [
        Contender(
            *(f"authors' loop ({found}), {n} steps", "authors", n, authors),
            lossy=n != full,
            options={**published, "steps": n},
        )
        for n in sorted(set(steps), reverse=True)
    ]
    first = made[0].name
    default = make_pipeline(ours, scales, fast=False)
    # In half precision its generator draws other numbers, and so another answer.
    like = None if half else first
    made.append(Contender(f"diffusers, Euler ancestral, {full} steps", "diffusers", full, default, like=like))
    few = min(20, full)
    dpm = f"diffusers, DPM-Solver++ 2M, {few} steps"
    guided = {"solver": "dpmpp_2m", "schedule": "trailing", "guidance": ours.guided}
    if ladder:
        made.append(
            Contender(
                *(dpm, "diffusers", few, make_pipeline(ours, scales, fast=True), True),
                options={**guided, "steps": few},
            )
        )
    if ladder and on_cuda:
        name = f"diffusers, Euler ancestral, {full} steps, half precision"
        small = Ours(Editor(halved(parts)), scales)
        draw = make_pipeline(small, scales, fast=False)
        made.append(Contender(name, "diffusers", full, draw, lossy=True, parts=small.parts))

    def ancestral(n: int) -> Plan:
        return ours.plan(n, "euler_ancestral", "native")

    def rung(name: str, n: int, draw: Callable[[Question, int], Any], **more: Any) -> None:
        made.append(Contender(f"ours: {name}", "ours", n, draw, **more))

    rung(
        f"Euler ancestral, {full} steps, every branch", full,
        lambda q, n: ours.every_branch(q, ancestral(n), once=False), like=first,
    )  # fmt: skip
    rung("+ conditions made once", full, lambda q, n: ours.every_branch(q, ancestral(n), True), like=first)
    rung("+ branches without weight dropped", full, lambda q, n: ours.edit(q, ancestral(n)), like=first)
    replayed: dict[str, Any] = {}
    lower = ours  # what the rungs below run on
    if on_cuda:
        fused, lower = Ours(editor, scales), Ours(editor, scales, graphs=True)
        rung("+ step as the fused kernel", full, lambda q, n: fused.edit(q, ancestral(n)), like=first)
    if ladder:
        for name, with_compiler in (("channels_last", False), ("channels_last and compiled", True)):
            if compiled or not with_compiler:
                own = dataclasses.replace(parts, unet=copy.deepcopy(parts.unet))
                other = Ours(Editor(speed_up(own, channels_last=True, compiled=with_compiler)), scales)
                draw = lambda q, n, other=other: other.edit(q, ancestral(n))  # noqa: E731
                rung(f"the same, UNet {name}", full, draw, like=first, parts=other.parts)
    if on_cuda:
        replayed = {"evaluations": ancestral(full).evaluations}
        draw = lambda q, n: lower.edit(q, ancestral(n))  # noqa: E731
        rung("the same, UNet + step as a CUDA graph", full, draw, like=first, **replayed)
    if not ladder:
        return made
    if on_cuda:
        quick = Ours(Editor(halved(parts)), scales, graphs=True)
        asked = model_of(quick.parts)
        more = {"lossy": True, "parts": quick.parts, "model": asked}
        rung(
            "the same, half precision", full, lambda q, n: quick.edit(q, ancestral(n)),
            like=first, options={**published, "steps": full}, **more, **replayed,
        )  # fmt: skip
    # diffusers' DPM-Solver++ starts from sqrt(1 + sigma^2) noise: so does this rung, to give the same answer.
    top = ours.schedule.sigma_max
    start = math.sqrt(1 + top**2) / top

    def multistep(n: int, guidance: Guidance | None = None) -> Plan:
        return ours.plan(n, "dpmpp_2m", "trailing", guidance)

    def evaluations(plan: Plan) -> dict[str, Any]:
        return {"evaluations": plan.evaluations} if on_cuda else {}

    rung(
        f"+ DPM-Solver++ 2M, {few} steps", few, lambda q, n: lower.edit(q, multistep(n), start),
        lossy=True, like=dpm, options={**guided, "steps": few}, **evaluations(multistep(few)),
    )  # fmt: skip
    for n in (8, 4):
        draw = lambda q, n: lower.edit(q, multistep(n))  # noqa: E731
        rung(f"+ {n} steps", n, draw, lossy=True, options={**guided, "steps": n}, **evaluations(multistep(n)))
    plain = {**guided, "guidance": "none"}
    for n in (4, 1):
        name = "+ one branch" if n > 1 else "+ one evaluation"
        draw = lambda q, n: lower.edit(q, multistep(n, none()))  # noqa: E731
        seen = evaluations(multistep(n, none()))
        rung(name, n, draw, lossy=True, options={**plain, "steps": n}, **seen)
    if on_cuda:
        draw = lambda q, n: quick.edit(q, multistep(n, none()))  # noqa: E731
        rung("+ half precision", 1, draw, options={**plain, "steps": 1}, **more, **seen)
    return made


def lies_on_cuda(parts: Any) -> bool:
    """Whether the components compute on a CUDA device."""
    return bool(parts.unet.device.type == "cuda")


def halved(parts: Any) -> Any:
    """Copies of the components in float16."""
    names = ("unet", "vae", "text_encoder")
    return dataclasses.replace(parts, **{n: copy.deepcopy(getattr(parts, n)).half() for n in names})


def model_of(parts: Any) -> Any:
    """The components as users have them, with CUDA graphs by choice."""
    from instructdiffusion import InstructDiffusion

    return InstructDiffusion(parts)


def asked_in_words(parts: Any, graphs: bool = False, name: str = "", model: Any = None) -> Contender:
    """`InstructDiffusion.run` as users call it: one evaluation, and the answer read back from the picture.

    model: whose quality it has, None for the one in hand; name: what tells it from another.
    """
    from instructdiffusion import InstructDiffusion

    options = {"steps": 1, "solver": "euler", "schedule": "trailing", "guidance": "none"}
    runs = InstructDiffusion(parts, graphs=graphs)

    def draw(question: Question, steps: int) -> tuple[Tensor, np.ndarray]:
        answer = runs.run(question.instruction, question.picture, **{**options, "steps": steps})
        return question.noise, answer.picture

    more = {"evaluations": 1} if graphs else {}
    title = f"ours: one evaluation, and the masks read back{name}"
    return Contender(title, "ours", 1, draw, lossy=True, options=options, parts=parts, model=model, **more)
