"""Together: contenders that answer many questions at once, as a folder of pictures is answered.

The authors' loop takes one picture at a time as published; its sampler takes a batch, so that is a row too.
"""

from __future__ import annotations

import dataclasses

from instructdiffusion import InstructDiffusion
from instructdiffusion.inference.components_backend import ComponentsBackend
from instructdiffusion.sampling import none

from .contenders import Contender, Ours, make_authors
from .ladder import ONE, asked_in_words, short_of

TOGETHER = 16  # pictures, as many as `InstructDiffusion.run` puts into a batch


def answer_together(
    backend: ComponentsBackend, scales: tuple[float, float], single: Contender, half: InstructDiffusion
) -> list[Contender]:
    """What `single`, the authors' loop, does, TOGETHER pictures at once; and ours in one evaluation: as drawn, with
    the masks read back, and that in half precision, by `half`.
    """
    parts, many = backend.components, f", {TOGETHER} pictures at once"
    ours, small = Ours(ComponentsBackend(parts), scales), half.backend.components
    plan = ours.plan(1, "euler", "trailing", none())
    authors = make_authors(ours, scales, TOGETHER)
    return [
        dataclasses.replace(single, name=single.name + many, draw=authors, like=single.name, pictures=TOGETHER),
        Contender(
            f"ours: one evaluation{many}",
            *("ours", 1, lambda q, n: ours.edit(q, plan, count=TOGETHER)),
            lossy=True, options=ONE, pictures=TOGETHER,
        ),
        asked_in_words(parts, name=many, count=TOGETHER),
        asked_in_words(small, name=f"{many}, {short_of(parts)}", model=half, count=TOGETHER),
    ]  # fmt: skip
