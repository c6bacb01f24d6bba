"""Rounds: every contender in turn, several times, in alternating order; and whether they drew the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from torch import Tensor

from instructdiffusion.inference.components_backend import ComponentsBackend

from .contenders import Contender, Question
from .counting import Shares, watch

TURN = 0.3  # seconds that a contender runs for before the next has its turn, at least


def compare(contenders: Sequence[Contender], question: Question) -> dict[str, float | None]:
    """`differences` of what they draw now."""
    return differences(contenders, {c.name: c.draw(question, c.steps)[0] for c in contenders})


def differences(contenders: Sequence[Contender], drawn: dict[str, Tensor]) -> dict[str, float | None]:
    """RMS difference of the latents from those of `like`, in the latter's deviations; None without one."""
    out: dict[str, float | None] = {}
    for c in contenders:
        if c.like is None or c.like not in drawn:
            out[c.name] = None
            continue
        like = drawn[c.like].float()
        out[c.name] = float((drawn[c.name].float() - like).square().mean().sqrt() / like.std())
    return out


@dataclass(frozen=True)
class Rounds:
    """What the rounds gave, by contender: seconds a picture and shares of every repeat, latents of the first."""

    seconds: dict[str, list[float]]
    shares: dict[str, list[Shares]]
    drawn: dict[str, Tensor] = field(default_factory=dict)


def timed(
    contenders: Sequence[Contender],
    question: Question,
    repeats: int,
    sync: Callable[[], None],
    say: Callable[[str], None],
    limit: float = math.inf,
    inside: ComponentsBackend | None = None,
) -> Rounds:
    """`repeats` rounds, or as many as end within `limit` seconds, but one; every other goes backwards.

    inside: the backend whose networks' shares are taken in the same runs, None to leave them out.
    """
    rounds = Rounds({c.name: [] for c in contenders}, {c.name: [] for c in contenders})
    began = last = perf_counter()
    for number in range(repeats):
        now = perf_counter()
        if number and now - began + (now - last) > limit:
            say(f"no time for round {number + 1}")
            break
        last = now
        say(f"round {number + 1} of {repeats}")
        for c in contenders if number % 2 == 0 else reversed(contenders):
            kept: list[Tensor] = []

            def draw(c: Contender = c, kept: list[Tensor] = kept) -> None:
                kept.append(c.draw(question, c.steps)[0])

            shares = turn(draw, {} if inside is None else networks(c, inside), sync)
            rounds.seconds[c.name].append(shares.seconds / c.pictures)
            if inside is not None:
                rounds.shares[c.name].append(shares)
            rounds.drawn.setdefault(c.name, kept[0])
    return rounds


def turn(
    draw: Callable[[], Any], modules: dict[str, list[Any]], sync: Callable[[], None], graphed: bool = False
) -> Shares:
    """A contender's turn: one run, or, where that takes less than TURN seconds, the mean of those that fill them.

    Then the first does not count: it finds the processor's caches full of another contender's weights.
    """
    first = watch(draw, modules, sync, graphed)
    if first.seconds >= TURN:
        return first
    return watch(draw, modules, sync, graphed, times=math.ceil(TURN / first.seconds))


def networks(contender: Contender, backend: ComponentsBackend) -> dict[str, list[Any]]:
    """The modules whose time is told apart."""
    parts = contender.parts or backend.components
    return {
        "unet": [] if contender.graphed else [parts.unet],
        "vae": [parts.vae.encoder, parts.vae.decoder],
        "text": [parts.text_encoder],
    }


def watched(contender: Contender, question: Question, backend: ComponentsBackend, sync: Callable[[], None]) -> Shares:
    """A turn with clocks around the networks."""
    draw = lambda: contender.draw(question, contender.steps)  # noqa: E731
    return turn(draw, networks(contender, backend), sync, contender.graphed)
