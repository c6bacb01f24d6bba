"""Several subjects and free words, put to a model: what it is asked, and what comes of it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from instructdiffusion import TASKS
from instructdiffusion.cli import main
from instructdiffusion.results import Boxes, Masks

SUBJECTS = ("the star", "the dog", "the car")
COLORS = ("red", "blue", "yellow")


def photo(height, width):
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def asked(model, monkeypatch):
    """The texts that the model is asked, in order."""
    texts, draw = [], model.backend.generate
    monkeypatch.setattr(model.backend, "generate", lambda p, t, *a, **k: texts.extend(t) or draw(p, t, *a, **k))
    return texts


@pytest.mark.parametrize("name", ["segment", "refer", "detect"])
@pytest.mark.parametrize("one_text", [False, True])
def test_several_subjects_are_asked_for_singly_and_answered_as_each_alone(
    name, one_text, model, asked, monkeypatch
):
    monkeypatch.setattr(model.backend, "one_text", one_text, raising=False)
    call, pictures = getattr(model, name), [photo(64, 64), photo(48, 80)]
    answers = call(pictures, SUBJECTS, color=COLORS, batch_size=1)
    singles = [[call(p, s, color=c, batch_size=1) for s, c in zip(SUBJECTS, COLORS)] for p in pictures]
    texts = [a.instruction.text for a in singles[0]]
    assert sorted(asked[: len(asked) // 2]) == sorted(texts * 2)
    for answer, alone in zip(answers, singles):
        assert answer.instruction.subjects == SUBJECTS and answer.instruction.text.split("\n") == texts
        assert answer.result.labels == tuple(label for a in alone for label in a.result.labels)
        field = "xyxy" if name == "detect" else "data"
        rows = np.concatenate([getattr(a.result, field) for a in alone])
        assert np.array_equal(getattr(answer.result, field), rows)
        for subject, a in zip(SUBJECTS, alone):
            assert (f"'{subject}'" in answer.result.message) == (len(a.result) == 0)
        names = [c["name"] for c in answer.to_coco()["categories"]]
        assert set(names) == set(SUBJECTS)


def drawing(monkeypatch, model, things):
    """Have the model draw a half-transparent layer over `things[subject]` (rows, columns) for each subject."""

    def draw(pictures, texts, *args, **options):
        copies = pictures.astype(np.float32) / 255
        edited = copies.copy()
        for picture, text in zip(edited, texts):
            for subject, (rows, columns) in things.items():
                color = next(c for c in TASKS["segment"].palette if f" {c.name}" in text)
                if subject in text:
                    picture[rows, columns] = 0.5 * picture[rows, columns] + 0.5 * color.array
        return edited, copies

    monkeypatch.setattr(model.backend, "generate", draw)


@pytest.mark.parametrize("name", ["segment", "refer", "detect"])
def test_the_one_picture_of_several_subjects_reads_back(name, model, monkeypatch):
    things = {"the star": (slice(4, 24), slice(4, 24)), "the car": (slice(30, 60), slice(20, 60))}
    drawing(monkeypatch, model, things)
    source = np.full((64, 64, 3), (120, 130, 110), np.uint8)
    answer = getattr(model, name)(source, SUBJECTS, color=COLORS, resize_mode="stretch", resolution=64)
    assert answer.result.labels == ("the star", "the car")
    assert answer.message == "nothing found for 'the dog'"
    from_picture = TASKS[name].decode(source, answer.picture, answer.instruction)
    assert from_picture.labels == answer.result.labels
    for result in (answer.result, from_picture):
        boxes = result if isinstance(result, Boxes) else result.boxes()
        np.testing.assert_allclose(boxes.xyxy, [[4, 4, 24, 24], [20, 30, 60, 60]], atol=1.5)


def test_several_where_one_is_named_are_counted(model, monkeypatch):
    drawing(monkeypatch, model, {"star": (slice(4, 24), slice(4, 60))})
    source = np.full((64, 64, 3), (120, 130, 110), np.uint8)
    draw = model.backend.generate

    def two(*args, **options):
        edited, copies = draw(*args, **options)
        edited[:, :, 28:36] = copies[:, :, 28:36]
        return edited, copies

    monkeypatch.setattr(model.backend, "generate", two)
    options = {"resize_mode": "stretch", "resolution": 64}
    assert model.segment(source, "the star", **options).message == "2 found for 'the star'; all were taken"
    assert model.segment(source, "the stars", **options).message == ""
    assert model.refer(source, "the star", **options).message == "2 parts found for 'the star'; all were taken, as one"


def test_everything_but_a_thing_is_one_mask_with_the_words_as_its_label(model, monkeypatch):
    drawing(monkeypatch, model, {"the star": (slice(4, 24), slice(4, 24))})
    source = np.full((64, 64, 3), (120, 130, 110), np.uint8)
    options = {"resize_mode": "stretch", "resolution": 64}
    answer = model.run("segment everything but the star", source, **options)
    assert isinstance(answer.result, Masks) and answer.result.labels == ("everything but the star",)
    assert not answer.result.data[0][8:20, 8:20].any() and answer.result.data[0][30:].all()
    nothing = model.run("segment everything but the dog", source, **options)
    assert len(nothing.result) == 0 and "nothing found for 'the dog'" in nothing.message


def test_free_words_run_as_what_they_are_each_with_its_message(model, asked):
    source = photo(64, 64)
    texts = ["where is the star?", "is it a dog or a cat?", "remove the noise", "make it night"]
    answers = model.run(texts, source, steps=1)
    assert [a.task for a in answers] == ["segment", "classify", "denoise", "edit"]
    for answer in answers[:3]:
        assert answer.message.startswith(f"understood as {answer.task}")
    assert answers[3].message.startswith("understood as an edit") and "make it night" in asked
    same = model.segment(source, "the star", steps=1)
    assert answers[0].instruction == same.instruction and np.array_equal(answers[0].picture, same.picture)


def test_an_explicit_edit_and_published_checkpoints_take_the_words_as_they_are(model, asked, monkeypatch):
    source = photo(64, 64)
    assert model.run("segment the star", source, task="edit", steps=1).task == "edit"
    monkeypatch.setattr(model, "components", replace(model.components, resize_mode="authors"))
    answer = model.run("segment the star", source, steps=1, resize_mode="stretch")
    assert (answer.task, answer.instruction.understanding) == ("edit", "")
    assert set(asked) == {"segment the star"}


def test_words_with_a_task_are_its_subject(model):
    source = photo(64, 64)
    answer = model.run("the star", source, task="segment", steps=1)
    assert answer.instruction == model.segment(source, "the star", steps=1).instruction


def test_ask_from_the_shell(model_folder, tmp_path, capsys):
    Image.fromarray(photo(64, 64)).save(tmp_path / "photo.png")
    options = ["-o", str(tmp_path / "out"), "--model", str(model_folder), "--steps", "1"]
    assert main(["ask", str(tmp_path / "photo.png"), "where is the star?", *options]) == 0
    assert "understood as segment: 'the star' in " in capsys.readouterr().out
    info = json.loads((tmp_path / "out" / "photo_segment.json").read_text())["info"]
    assert info["task"] == "segment" and info["subjects"] == ["the star"]
    assert main(["ask", str(tmp_path / "photo.png"), "make", "it", "night", *options]) == 0
    assert (tmp_path / "out" / "photo_edit.png").is_file()
    assert main(["ask", str(tmp_path / "photo.png"), "detect everything but the dog", *options]) == 2
    assert "segment everything but the dog" in capsys.readouterr().err


def test_several_subjects_from_the_shell(model_folder, tmp_path):
    Image.fromarray(photo(64, 64)).save(tmp_path / "photo.png")
    options = ["-o", str(tmp_path / "out"), "--model", str(model_folder), "--steps", "1"]
    colors = ["--color", "red", "--color", "blue"]
    assert main(["segment", str(tmp_path / "photo.png"), "the star", "the circle", *colors, *options]) == 0
    info = json.loads((tmp_path / "out" / "photo_segment.json").read_text())["info"]
    assert info["subjects"] == ["the star", "the circle"] and info["colors"] == ["red", "blue"]
