"""Looks at further scales, where nothing was found or what was found may be part of something larger."""

from __future__ import annotations

import numpy as np
import pytest

from instructdiffusion import TASKS
from instructdiffusion.imaging.resize import resize_picture
from instructdiffusion.inference.scales import extent
from instructdiffusion.results import Boxes, Keypoints, Label, Masks


class ComponentsBackend:
    """Draws a square mark, in pixels of what it sees, where `marks` says so for that height; keeps what it saw."""

    def __init__(self, marks):
        self.marks, self.seen = marks, []

    def __call__(self, pictures, texts, plan, start, noise, *, reconstruct=True, **_):
        self.seen += [p.shape[:2] for p in pictures]
        copies = pictures.astype(np.float32) / 255
        edited = copies.copy()
        side = self.marks.get(pictures.shape[1], 0)
        edited[:, 4 : 4 + side, 4 : 4 + side] = edited[:, 4 : 4 + side, 4 : 4 + side] / 2 + np.float32([0.5, 0, 0])
        return edited, copies if reconstruct else None


@pytest.fixture
def ask(model, monkeypatch):
    def asking(marks, picture=(128, 128), **options):
        backend = ComponentsBackend(marks)
        monkeypatch.setattr(model.backend, "generate", backend)
        question = TASKS["segment"].instruct("the star", ["red"])
        answer = model.run(question, np.full((*picture, 3), 120, np.uint8), **options)
        return answer, backend.seen

    return asking


def area(answer):
    return answer.result.union().mean()


def test_a_thing_that_is_found_is_not_looked_for_again(ask):
    answer, seen = ask({64: 16, 128: 40}, scales=(1, 2, 3))
    assert seen == [(64, 64)] and area(answer) == pytest.approx((16 / 64) ** 2, rel=0.1)
    assert answer.settings["scales"] == [1.0, 2.0, 3.0]


def test_what_was_not_found_is_looked_for_at_the_next_scale_and_no_further(ask):
    answer, seen = ask({128: 40}, scales=(1, 2, 3))
    assert seen == [(64, 64), (128, 128)] and area(answer) == pytest.approx((40 / 128) ** 2, rel=0.1)


def test_what_is_not_there_stays_empty_after_all_scales(ask):
    answer, seen = ask({}, scales=(1, 2, 3))
    assert seen == [(64, 64), (128, 128), (192, 192)] and not len(answer.result)
    assert ask({}, scales=(1,))[1] == [(64, 64)] and ask({})[1] == [(64, 64)]
    assert "scales" not in ask({})[0].settings


def test_a_wide_picture_keeps_its_shape_at_every_scale(ask):
    answer, seen = ask({}, (90, 120), scales=(1, 2, 0.5))
    assert seen == [(64, 96), (128, 176), (64, 96)] and answer.result.canvas_size == (90, 120)


def test_a_part_found_near_gives_way_to_the_whole_seen_from_further_away(model, monkeypatch):
    """And a small thing that only a far look sees does not: there it sees badly. Of what may be several, a small part
    does not either: from further away several become one."""
    source = np.random.default_rng(0).integers(90, 150, (64, 64, 3), dtype=np.uint8)
    cases = [("segment", (34, 24), 24 / 32), ("segment", (16, 12), 16 / 64), ("segment", (0, 12), 0)]
    cases += [("segment", (28, 24), 28 / 64), ("refer", (28, 24), 24 / 32), ("segment", (0, 24), 24 / 32)]
    for task, sides, expected in cases:
        question = TASKS[task].instruct("the star", ["red"])
        looks = []

        def draw(pictures, *_, sides=sides, looks=looks, **__):
            looks.append(pictures[0])
            copies = pictures.astype(np.float32) / 255
            edited, side = copies.copy(), sides[len(looks) - 1]
            edited[:, 4 : 4 + side, 4 : 4 + side] = edited[:, 4 : 4 + side, 4 : 4 + side] / 2 + np.float32([0.5, 0, 0])
            return edited, copies

        monkeypatch.setattr(model.backend, "generate", draw)
        answer = model.run(question, source, scales=(1, 0.5))
        assert area(answer) == pytest.approx(expected**2, rel=0.1)
        if task == "segment" and 0 < sides[0] < 32:
            assert len(looks) == 1  # the look from further away could not count
            continue
        assert [p.shape for p in looks] == [(64, 64, 3)] * 2
        assert np.array_equal(looks[1][:32, :32], resize_picture(source, (32, 32)))
        assert (looks[1][:32, 32:] == looks[1][:32, 31:32]).all()


def test_noise_that_is_given_is_for_the_first_scale(ask, model):
    noise = np.zeros(model.backend.latent_shape((64, 64)), np.float32)
    assert ask({}, scales=(1, 2), noise=noise)[1] == [(64, 64)]


def test_many_questions_come_back_each_with_its_own_scale(model, monkeypatch):
    backend = ComponentsBackend({64: 0, 128: 40})
    monkeypatch.setattr(model.backend, "generate", backend)
    question = TASKS["segment"].instruct("the star", ["red"])
    pictures = [np.full((64, w, 3), 120, np.uint8) for w in (64, 128, 64)]
    answers = model.run(question, pictures, scales=(1, 2))
    assert [a.result.canvas_size for a in answers] == [(64, 64), (64, 128), (64, 64)]
    assert all(len(a.result) == 1 for a in answers) and len(backend.seen) == 6


def test_how_far_a_thing_extends():
    masks = np.zeros((2, 40, 80), bool)
    masks[0, 5:10, 5:25] = masks[1, 0:10, 0:4] = True
    assert extent(Masks(masks, [1, 1], ("a", "a"))) == pytest.approx(20 / 40)
    assert extent(Boxes([[0, 0, 10, 30]], [1], ("a",), (40, 80))) == pytest.approx(30 / 40)
    assert extent(Masks.empty(40, 80)) == extent(Boxes.empty(40, 80)) == 0
    assert extent(Keypoints.empty(("a",), 40, 80)) == extent(Label(None, {"a": 0.0})) == 0
    assert extent(Keypoints([[[1, 1]]], [[True]], [[1]], ("a",), (40, 80))) is None
    assert extent(Label("a", {"a": 1.0})) is None


@pytest.mark.parametrize("bad", [(), (0.1,), (1, 5), (1, 1), "12", 2, (True,), (1, "2")])
def test_scales_that_make_no_sense_are_refused_before_anything_is_asked(bad, model):
    with pytest.raises(ValueError, match="scale"):
        model.check(TASKS["segment"].instruct("the star"), scales=bad)
