"""Windows: what the whole picture does not show is looked for in small squares of it."""

from __future__ import annotations

import numpy as np
import pytest

from instructdiffusion import TASKS, InstructDiffusion
from instructdiffusion.datasets.synthetic.examples import make_example
from instructdiffusion.settings import Settings, task_settings


class ComponentsBackend:
    """Covers what is red, where it is seen `least` pixels wide, with half of white; keeps the sizes it saw."""

    def __init__(self, least=10, only=None):
        self.least, self.only, self.seen = least, only, []

    def __call__(self, pictures, *_, **__):
        self.seen += [p.shape[:2] for p in pictures]
        copies = pictures.astype(np.float32) / 255
        edited = copies.copy()
        for after, picture in zip(edited, pictures, strict=True):
            red = (picture[..., 0] > 180) & (picture[..., 1] < 100)
            if red.any(0).sum() >= self.least and self.only in (None, picture.shape[0]):
                after[red] = after[red] / 2 + 0.5
        return edited, copies


@pytest.fixture
def ask(model, monkeypatch):
    def asking(things, task="segment", subject="the star", size=(256, 256), least=10, only=None, **settings):
        backend = ComponentsBackend(least, only)
        monkeypatch.setattr(model.backend, "generate", backend)
        given = model.settings[task].changed(**{"scales": (1,), "windows": 4, **settings})
        monkeypatch.setitem(model.settings, task, given)
        picture = np.full((*size, 3), (60, 140, 70), np.uint8)
        for y, x, side in things:
            picture[y : y + side, x : x + side] = (230, 30, 30)
        return model.run(TASKS[task].instruct(subject, ["white"]), picture), backend.seen

    return asking


def test_a_small_thing_is_found_in_a_window_and_lies_where_it_is(ask):
    answer, seen = ask([(150, 40, 20)])
    assert seen[0] == seen[-1] == (64, 64) and set(seen[1:-1]) == {(48, 48)} and len(seen) <= 6
    truth = np.zeros((256, 256), bool)
    truth[150:170, 40:60] = True
    mask = answer.result.union()
    assert len(answer.result) == 1 and (mask & truth).sum() / (mask | truth).sum() > 0.8
    assert answer.settings["windows"] == 4
    painted = answer.picture
    assert (painted[155:165, 45:55] != (230, 30, 30)).all() and (painted[:140] == (60, 140, 70)).all()


def test_what_a_window_shows_counts_where_it_is_seen_again(ask):
    answer, seen = ask([(150, 40, 20)], only=48)
    assert seen[-1] == (64, 64) and len(answer.result) == 0


def test_boxes_and_wide_pictures_come_home_too(ask):
    answer, _ = ask([(60, 350, 24)], task="detect", size=(200, 400))
    assert np.abs(answer.result.xyxy - [[350, 60, 374, 84]]).max() < 3
    assert answer.result.canvas_size == (200, 400)


def test_several_are_all_found_and_of_one_the_surest_only(ask):
    things = [(30, 100, 20), (110, 100, 20), (200, 100, 20)]
    assert len(ask(things)[0].result) == 3
    answer, _ = ask(things, task="refer")
    (mask,) = answer.result.data
    assert sum(mask[y : y + s, x : x + s].any() for y, x, s in things) == 1


def test_a_thing_found_at_once_is_not_looked_for_in_windows(ask):
    assert ask([(90, 90, 70)])[1] == [(64, 64)]
    assert ask([(150, 40, 20)], windows=0)[1] == [(64, 64)]


def test_what_goes_on_beyond_its_window_is_no_thing(ask):
    """A bar is cut by every window: no window shows a whole thing."""
    answer, seen = ask([(120, x, 14) for x in range(0, 256, 14)], least=65)
    assert len(answer.result) == 0 and len(seen) > 1


def test_a_phrase_about_place_or_size_is_not_asked_of_a_window(ask):
    for phrase in ("the leftmost star", "the star above the dog", "the small star", "the star in the corner"):
        assert ask([(150, 40, 20)], task="refer", subject=phrase)[1] == [(64, 64)]
    assert len(ask([(150, 40, 20)], task="refer", subject="the woman in the red dress")[1]) > 1


def test_scales_that_are_given_are_all_there_is():
    own = Settings(scales=(1, 0.5), windows=4)
    assert own.changed(scales=(1, 2)).windows == 0 and own.changed(scales=(1, 2), windows=3).windows == 3
    assert own.changed(steps=1).windows == 4 and own.to_dict()["windows"] == 4
    assert "windows" not in task_settings(TASKS["segment"]).to_dict()
    for bad in (-1, 17, 1.5, True, "4"):
        with pytest.raises(ValueError, match="windows is a whole number from 0 to 16"):
            Settings(windows=bad)


@pytest.fixture(scope="module")
def tiny():
    return InstructDiffusion.from_pretrained("tiny", device="cpu")


@pytest.mark.parametrize("task", ["segment", "detect", "refer"])
def test_tiny_finds_small_things_that_one_look_does_not(tiny, task):
    """Of 10 things of 12 % of the side: at least 7, where one look finds at most 3; what is not there stays empty."""
    examples = [make_example(task, 400 + s, split="val", size=256, level=3, extent=0.12) for s in range(10)]
    words, pictures = [e.instruction for e in examples], [e.source for e in examples]

    def found(**options):
        return sum(len(a.result) > 0 for a in tiny.run(words, pictures, seed=list(range(10)), **options))

    assert found() >= 7 and found(scales=(1,)) <= 3
    absent = [make_example(task, 700 + s, split="val", size=256, level=3, absent=True) for s in range(8)]
    answers = tiny.run([e.instruction for e in absent], [e.source for e in absent])
    assert sum(len(a.result) > 0 for a in answers) <= 1


def test_nothing_is_decoded_where_nothing_was_drawn(tiny, monkeypatch):
    """And the answer is the one that decoding gives."""
    example = make_example("segment", 703, split="val", size=256, level=3, absent=True)
    decoded = []
    decode = tiny.backend.decode_latents
    monkeypatch.setattr(tiny.backend, "decode_latents", lambda latents: decoded.append(len(latents)) or decode(latents))
    tiny.backend.forget()
    answer = tiny.run(example.instruction, example.source)
    assert decoded == [] and len(answer.result) == 0
    once = tiny.run(example.instruction, example.source, scales=(1,))
    assert decoded == [2] and len(once.result) == 0
    assert np.array_equal(answer.picture, once.picture)
