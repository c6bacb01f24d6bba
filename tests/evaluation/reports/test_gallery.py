"""Which answers are shown, and as what."""

from __future__ import annotations

import base64
import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from instructdiffusion.datasets.synthetic.examples import make_example
from instructdiffusion.evaluation.evaluator import Answered, Case, scene_row
from instructdiffusion.evaluation.reports.gallery import KINDS, data_uri, make_cards, pick, rank, score_text


def rows(*qualities, absent=()):
    return [{"quality": q, "absent": i in absent} for i, q in enumerate(qualities)]


def test_worst_best_and_random_are_apart():
    some = rows(*(i / 50 for i in range(50)))
    picked = pick(some, each=5)
    numbers = [n for _, n in picked]
    assert len(set(numbers)) == 15 and [k for k, _ in picked] == [k for k in KINDS for _ in range(5)]
    assert sorted(numbers[:5]) == [0, 1, 2, 3, 4] and sorted(numbers[5:10]) == [45, 46, 47, 48, 49]
    assert pick(some, each=5) == picked  # the page of a resumed run is the same


def test_few_answers_are_shared_out():
    assert [k for k, _ in pick(rows(0.1, 0.5, 0.9))] == list(KINDS)
    assert pick(rows(0.5)) == [("worst", 0)] and pick([]) == []


def test_the_best_are_of_things_that_are_there():
    some = rows(1, 1, 1, 0.4, 0.3, 0.2, 0.1, absent={0, 1, 2})
    assert {n for k, n in pick(some, each=2) if k == "best"} == {3, 4}


def test_rank():
    assert [rank(rows(0, 1, 2, 3), n) for n in range(4)] == [0, 25, 50, 75]
    assert rank(rows(5, 5, 5), 0) == pytest.approx(100 / 3)


@pytest.mark.parametrize(
    ("task", "row", "text"),
    [
        ("refer", {"quality": 0.5, "absent": False}, "IoU 0.50"),
        ("refer", {"quality": 1.0, "absent": True, "empty": True}, "rightly empty"),
        ("segment", {"quality": 0.0, "absent": True, "empty": False}, "false alarm"),
        ("keypoints", {"quality": 0.25, "absent": False}, "OKS 0.25"),
        ("classify", {"quality": 0.9, "absent": False, "right": True}, "right"),
        ("denoise", {"quality": 3.0, "psnr": 31.26}, "31.3 dB"),
        ("edit", {"quality": 22.0}, "22.0 dB"),
        ("edit", {"quality": 30.1, "clip": 30.12}, "CLIP-Sim 30.1"),
    ],
)
def test_scores_in_words(task, row, text):
    assert score_text(task, row) == text


def test_pictures_come_back_from_their_uris():
    small = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    head, _, body = data_uri(small).partition(",")
    assert head == "data:image/png;base64"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(body)))), small)
    large = np.asarray(Image.fromarray(small).resize((1200, 800)))
    head, _, body = data_uri(large).partition(",")
    with Image.open(io.BytesIO(base64.b64decode(body))) as image:
        assert head == "data:image/webp;base64" and image.size == (512, 341)


@pytest.mark.parametrize("task", ["segment", "keypoints", "detect", "classify", "denoise", "edit"])
def test_a_card_has_source_truth_and_answer(task, tmp_path):
    examples = [make_example(task, seed, split="test") for seed in range(3)]
    cases = [Case(n, "scenes", lambda e=e: e, f"scenes {n}") for n, e in enumerate(examples)]
    answered = []
    for case, e in zip(cases, examples):
        truth = e.record.target
        result = (
            e.target if isinstance(truth, np.ndarray) else truth[0] if isinstance(truth, tuple) else truth
        )
        answer = SimpleNamespace(result=result, picture=e.target)
        answered.append(Answered(case, e, answer, scene_row(case, e, answer, None)))
    asked = []

    def again(numbers):
        asked.extend(numbers)
        return [answered[n] for n in numbers]

    kept = tmp_path / "cards.json"
    made = make_cards(task, [a.row for a in answered], again, cache=kept)
    assert [c.kind for c in made] == list(KINDS) and sorted(asked) == [0, 1, 2]
    titles = [title for title, _ in made[0].pictures]
    drawn = ["drawn by the model"] if task not in ("denoise", "edit") else []
    assert titles == ["source", *drawn, "answer", "truth"]
    assert {c.words for c in made} == {e.instruction.text for e in examples}
    assert make_cards(task, [a.row for a in answered], again, cache=kept) == made and len(asked) == 3
    kept.write_text("{")
    assert make_cards(task, [a.row for a in answered], again, cache=kept) == made and len(asked) == 6
    for card in made:  # one can be laid over the other
        assert len({opened(uri).size for _, uri in card.pictures}) == 1
        assert max(opened(card.pictures[0][1]).size) > 128


def opened(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_points_are_dots_without_plates_of_words():
    """At a card's size the names could not be read; the question has them with their colours."""
    example = make_example("keypoints", 0, split="test")
    case = Case(0, "scenes", lambda: example, "scenes 0")
    answer = SimpleNamespace(result=example.record.target, picture=example.target)
    answered = Answered(case, example, answer, scene_row(case, example, answer, None))
    made = make_cards("keypoints", [answered.row], lambda numbers: [answered])
    shown = {title: np.asarray(opened(uri).convert("RGB")).astype(int) for title, uri in made[0].pictures}
    assert np.abs(shown["answer"] - shown["truth"]).max() < 8  # the answer is the truth
    changed = np.abs(shown["answer"] - shown["source"]).max(2) > 60
    side = shown["source"].shape[0]
    dot = np.pi * (0.018 * side + 2.5) ** 2
    assert 0 < changed.sum() <= len(example.record.subjects) * dot
