"""Pieces: long operations on a CPU give what they gave, and an interruption is noticed between the pieces."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from instructdiffusion import InstructDiffusion
from instructdiffusion.utils import pieces as module
from instructdiffusion.utils.interrupts import check_interrupt, interruptible
from instructdiffusion.utils.pieces import Pieces, pieces


class Stopped(Exception):
    pass


def stopping_after(calls):
    """A check that counts itself, and raises when it has been called so often."""
    count = [0]

    def check():
        count[0] += 1
        if count[0] >= calls:
            raise Stopped

    return check, count


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(module, "LONG", 1e6)
    monkeypatch.setattr(module, "PIECE", 2e6)


def operations():
    draw = torch.Generator().manual_seed(0)
    x, w, b = (torch.randn(s, generator=draw) for s in ((2, 16, 61, 40), (24, 16, 3, 3), (24,)))
    for stride in (1, 2, (2, 1)):
        for padding in (0, 1, (1, 0)):
            yield f"conv {stride} {padding}", lambda s=stride, p=padding: F.conv2d(x, w, b, stride=s, padding=p)
    point = torch.randn(96, 16, 1, 1, generator=draw)
    yield "pointwise", lambda: F.conv2d(x, point)
    q, k, v = (torch.randn(2, 2, n, 12, generator=draw) for n in (1000, 900, 900))
    yield "attention", lambda: F.scaled_dot_product_attention(q, k, v)
    tokens, linear = torch.randn(2, 900, 64, generator=draw), torch.randn(96, 64, generator=draw)
    yield "linear", lambda: F.linear(tokens, linear, None)
    yield "layer", lambda: torch.nn.functional.linear(tokens, weight=linear, bias=None)


@pytest.mark.parametrize(("name", "run"), operations())
def test_pieces_make_up_the_whole(small, name, run):
    whole = run()
    check, count = stopping_after(1e9)
    with interruptible(check), Pieces():
        parts = run()
    assert count[0] > 2, "it was not cut"
    assert parts.shape == whole.shape and torch.allclose(parts, whole, atol=1e-5)
    check, count = stopping_after(3)  # in the midst of it
    with pytest.raises(Stopped), interruptible(check), Pieces():
        run()
    assert count == [3]


def test_short_and_other_operations_are_left_alone(small):
    x = torch.ones(1, 4, 8, 8)
    grouped = torch.ones(16, 1, 3, 3)
    large = torch.ones(1, 16, 200, 200)
    with Pieces():
        assert F.conv2d(x, torch.ones(4, 4, 3, 3), padding="same").shape == (1, 4, 8, 8)
        assert F.conv2d(large, grouped, padding=1, groups=16).shape == (1, 16, 200, 200)
        q = torch.rand(1, 2, 600, 12)
        causal = F.scaled_dot_product_attention(q, q, q, is_causal=True)
    assert torch.equal(causal, F.scaled_dot_product_attention(q, q, q, is_causal=True))


def test_only_many_pixels_on_a_cpu_go_in_pieces():
    assert isinstance(pieces(module.LARGE + 1, torch.device("cpu")), Pieces)
    assert not isinstance(pieces(module.LARGE, "cpu"), Pieces)
    assert not isinstance(pieces(2**30, torch.device("cuda")), Pieces)


def test_a_model_in_pieces_draws_the_same_and_can_be_stopped(model, picture, monkeypatch, small):
    model = InstructDiffusion(model.components)
    whole = model.segment(picture, "the star")
    model.backend.forget()
    monkeypatch.setattr(module, "LARGE", 0)
    check, count = stopping_after(1e9)
    with interruptible(check):
        parts = model.segment(picture, "the star")
    assert np.abs(parts.picture.astype(int) - whole.picture).max() <= 1
    assert count[0] > 300  # between all operations
    for after in (5, count[0] // 2):
        model.backend.forget()
        check, _ = stopping_after(after)
        with pytest.raises(Stopped), interruptible(check):
            model.segment(picture, "the star")


def test_outside_nothing_is_checked():
    check, count = stopping_after(1)
    with pytest.raises(Stopped), interruptible(check):
        check_interrupt()
    check_interrupt()
    assert count == [1]


def test_the_compositor_stops_between_blocks(monkeypatch):
    from instructdiffusion.compositing import learned

    monkeypatch.setattr(learned, "BLOCK", 16)
    source = np.full((64, 64, 3), 90, np.uint8)
    edited = np.full((64, 64, 3), 0.4, np.float32)
    for threads in (1, 2):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        check, count = stopping_after(3)
        with pytest.raises(Stopped), interruptible(check):
            learned.lay("edit", source, edited, edited)
        assert count == [3]
