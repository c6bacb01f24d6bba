"""Strips: large pictures in parts give what they gave whole, and every path can be stopped in its midst."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from scipy import ndimage

from instructdiffusion.compositing.rules import keep_detail, keep_unchanged, replace_changed, sharpen_blurred
from instructdiffusion.decoding import decode_mask, guided_mask
from instructdiffusion.decoding import marks as marks_module
from instructdiffusion.imaging.strips import (
    connected_to,
    gaussian_filter,
    in_strips,
    strips,
    uniform_filter,
    with_margin,
)
from instructdiffusion.tasks import TASKS
from instructdiffusion.utils.interrupts import in_thread, interruptible


class Stopped(Exception):
    pass


@pytest.fixture
def narrow(monkeypatch):
    """Strips of some rows of small pictures."""

    def switch(on: bool = True) -> None:
        for function in (strips, in_strips):
            monkeypatch.setattr(function, "__defaults__", (700 if on else 2**20,))

    switch()
    return switch


def counting(stop_at: float = float("inf")):
    """A check that counts itself and raises at a number."""
    calls = [0]

    def check():
        calls[0] += 1
        if calls[0] >= stop_at:
            raise Stopped

    return check, calls


def field(*shape):
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)


def test_strips_are_the_whole_and_small_pictures_one():
    assert [(s.start, s.stop) for s in strips((10, 7, 3), 21)] == [(0, 3), (3, 6), (6, 9), (9, 10)]
    assert [(s.start, s.stop) for s in strips((5, 100), 7)] == [(n, n + 1) for n in range(5)]
    assert list(strips((0, 4))) == []
    whole = field(10, 7, 3)
    calls = []
    assert np.array_equal(in_strips(lambda rows: calls.append(rows) or whole[rows], whole.shape, 21), whole)
    assert len(calls) == 4
    assert in_strips(lambda rows: whole[rows], whole.shape).base is whole  # one strip is not copied
    assert with_margin(slice(3, 6), 10, 2) == (slice(1, 8), slice(2, 5))
    assert with_margin(slice(0, 3), 4, 2) == (slice(0, 4), slice(0, 3))


@pytest.mark.parametrize("shape", [(61, 83), (61, 83, 3), (7, 300)])
def test_filters_of_lines_are_scipys_to_the_bit(narrow, shape):
    values = field(*shape)
    for sigma, truncate, mode in ((1.0, 4.0, "reflect"), (4.0, 2.5, "nearest")):
        sides = (sigma, sigma, 0)[: values.ndim]
        whole = ndimage.gaussian_filter(values, sides, mode=mode, truncate=truncate)
        assert np.array_equal(gaussian_filter(values, sigma, mode, truncate), whole)
    if values.ndim == 2:
        assert np.array_equal(uniform_filter(values, 7, "nearest"), ndimage.uniform_filter(values, 7, mode="nearest"))
        mask, seeds = values > -0.3, values > 1.2
        assert np.array_equal(connected_to(seeds, mask), ndimage.binary_propagation(seeds, mask=mask))
        assert not connected_to(np.zeros_like(mask), mask).any()


def drawings():
    """Source, edit and copy with noise, a changed square and salt and pepper."""
    random = np.random.default_rng(3)
    source = np.clip(field(90, 70, 3) * 20 + 120, 0, 255).astype(np.uint8)
    source[random.random((90, 70)) < 0.03] = 255
    source[random.random((90, 70)) < 0.03] = 0
    clean = np.full((45, 35, 3), 0.47, np.float32)
    edited = clean.copy()
    edited[10:20, 10:25] += 0.3
    return source, edited, clean


@pytest.mark.parametrize(
    "work",
    [
        keep_unchanged,
        lambda s, e, c: replace_changed(s, e, c, 0.04, 0.12),
        sharpen_blurred,
        lambda s, e, c: keep_detail(s, e),
        lambda s, e, c: np.stack(decode_mask(s[::2, ::2], e, np.float32([1, 0, 0]))),
        lambda s, e, c: guided_mask(np.abs(e - c).max(2), s),
        lambda s, e, c: TASKS["segment"].decode(c, e, TASKS["segment"].instruct("it", ["white"]), guide=s).data,
        lambda s, e, c: TASKS["detect"].decode(c, e, TASKS["detect"].instruct("it", ["white"])).xyxy,
        lambda s, e, c: TASKS["keypoints"].decode(c, e, TASKS["keypoints"].instruct(["it", "x"])).scores,
    ],
)
def test_parts_give_what_the_whole_gives_and_stop_where_they_are_told(narrow, work):
    pictures = drawings()
    parts = work(*pictures)
    check, calls = counting()
    with interruptible(check):
        work(*pictures)
    assert calls[0] > 5
    for number in {1, calls[0] // 2, calls[0]}:
        stopping, counted = counting(number)
        with pytest.raises(Stopped), interruptible(stopping):
            work(*pictures)
        assert counted == [number]
    narrow(False)
    assert np.array_equal(parts, work(*pictures))


def test_discs_in_large_pictures_lie_where_they_lie_in_small_ones(narrow, monkeypatch):
    task = TASKS["keypoints"]
    instruction = task.instruct(["the nose", "the eye"], ["red", "blue"])
    source = np.full((160, 120, 3), 110, np.uint8)
    from instructdiffusion.results import Keypoints

    truth = Keypoints(
        np.float32([[[30.4, 50.7], [90.2, 120.1]]]), np.ones((1, 2), bool), np.ones((1, 2), np.float32),
        instruction.subjects, (160, 120),
    )  # fmt: skip
    drawn = task.render(source, truth, instruction)
    whole = task.decode(source, drawn, instruction)
    monkeypatch.setattr(marks_module, "_LARGE", 100)
    parts = task.decode(source, drawn, instruction)
    assert np.abs(parts.xy - whole.xy).max() < 1e-3 and np.abs(parts.scores - whole.scores).max() < 1e-4
    assert np.abs(parts.xy - truth.xy).max() < 0.2


@pytest.mark.parametrize("task", ["segment", "keypoints", "detect", "edit", "denoise", "deblur", "dewatermark"])
def test_every_task_stops_at_the_check_that_says_so(model, picture, narrow, task):
    words = {"keypoints": "the nose", "edit": "add a red star"}.get(task, "the star")
    asked = TASKS[task].instruct(words if TASKS[task].max_subjects else None)

    def run():
        model.backend.forget()
        answer = model.run(asked, picture)
        return answer.picture, answer.overlay(), answer.files("out", "it")

    check, calls = counting()
    with interruptible(check):
        run()
    assert calls[0] > 20
    for number in {calls[0] // 2, calls[0]}:
        stopping, counted = counting(number)
        with pytest.raises(Stopped), interruptible(stopping):
            run()
        assert counted == [number]


def test_what_cannot_be_stopped_goes_on_without_the_caller():
    begun, go, ended = threading.Event(), threading.Event(), threading.Event()

    def work():
        begun.set()
        go.wait(10)
        ended.set()
        return 7

    def check():
        if begun.is_set():
            raise Stopped

    with pytest.raises(Stopped), interruptible(check):
        in_thread(work)
    assert not ended.is_set()
    go.set()
    assert ended.wait(10)
    with interruptible(lambda: None):
        assert in_thread(work) == 7
        with pytest.raises(ZeroDivisionError):
            in_thread(lambda: 1 // 0)
    assert in_thread(threading.get_ident) == threading.get_ident()  # without a host, in this very thread
