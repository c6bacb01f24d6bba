"""Answers are written down for people and for programs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from instructdiffusion.inference.answer import Answer
from instructdiffusion.results import Boxes, Keypoints, Label, Masks
from instructdiffusion.tasks import TASKS
from instructdiffusion.utils.files import WriteError

SOURCE = np.full((40, 60, 3), 100, np.uint8)
MASK = np.zeros((40, 60), bool)
MASK[10:20, 30:50] = True


def answer(task, subjects, result):
    picture = result if isinstance(result, np.ndarray) else SOURCE
    return Answer(TASKS[task].instruct(subjects), result, picture, SOURCE, {"steps": 1})


ANSWERS = {
    "masks": answer("segment", "the star", Masks(MASK[None], np.float32([0.9]), ("the star",))),
    "no masks": answer("segment", "the star", Masks.empty(40, 60, "nothing found for 'the star'")),
    "boxes": answer(
        "detect", "the stars", Boxes([[1, 2, 11, 22], [5, 5, 6, 6]], [0.5, 0.4], ("the stars",) * 2, (40, 60))
    ),
    "points": answer(
        "keypoints",
        ["the nose", "the tail"],
        Keypoints([[[3, 4], [0, 0]]], [[True, False]], [[1, 0]], ("the nose", "the tail"), (40, 60)),
    ),
    "label": answer("classify", ["a dog", "a cat"], Label("a cat", {"a dog": 0.1, "a cat": 0.8})),
    "no label": answer(
        "classify", ["a dog", "a cat"], Label(None, {"a dog": 0.0, "a cat": 0.0}, "nothing found")
    ),
    "picture": answer("edit", "add a star", SOURCE // 2),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_what_is_written_can_be_read(kind, tmp_path):
    given = ANSWERS[kind]
    paths = given.save(tmp_path / "new", "photo", "photo.jpg")
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == sorted(p.name for p in paths)
    task = given.task
    endings = {p.name.removeprefix(f"photo_{task}") for p in paths}
    if kind == "picture":
        assert endings == {".json", ".png"}
        assert np.array_equal(np.asarray(Image.open(tmp_path / "new" / "photo_edit.png")), given.picture)
    else:
        assert endings == {".json", "_overlay.png", "_drawn.png"} | (
            {"_mask.png"} if "masks" in kind else set()
        )
    if kind == "masks":
        assert np.array_equal(
            np.asarray(Image.open(tmp_path / "new" / "photo_segment_mask.png")) == 255, MASK
        )
    data = json.loads((tmp_path / "new" / f"photo_{task}.json").read_text())
    assert data["images"] == [{"id": 1, "file_name": "photo.jpg", "width": 60, "height": 40}]
    assert data["info"]["instruction"] == given.instruction.text and data["info"]["settings"] == {"steps": 1}
    assert data["info"]["message"] == given.message
    ids = {c["id"] for c in data["categories"]}
    assert all(a.get("category_id", 1) in ids for a in data["annotations"])
    expected = {"masks": 1, "boxes": 2, "points": 1, "label": 1}.get(kind, 0)
    assert len(data["annotations"]) == expected


def test_answers_of_two_tasks_do_not_overwrite_each_other(tmp_path):
    first, second = (set(ANSWERS[kind].save(tmp_path, "photo")) for kind in ("masks", "boxes"))
    assert not first & second and set(tmp_path.iterdir()) == first | second


@pytest.mark.parametrize("kind", ANSWERS)
def test_overlays_are_pictures(kind):
    overlay = ANSWERS[kind].overlay()
    assert overlay.dtype == np.uint8 and overlay.ndim == 3 and overlay.shape[2] == 3


@pytest.mark.parametrize("stem", ["", "a/b", "..", "/a"])
def test_stems_are_plain_names(stem, tmp_path):
    with pytest.raises(ValueError, match="plain file name"):
        ANSWERS["masks"].save(tmp_path, stem)


def test_nothing_is_written_where_one_file_cannot_be(tmp_path):
    (tmp_path / "photo_segment_mask.png").mkdir()
    with pytest.raises(WriteError):
        ANSWERS["masks"].save(tmp_path, "photo")
    assert not any(p.suffix == ".tmp" for p in tmp_path.iterdir())


def test_pictures_must_agree():
    with pytest.raises(ValueError, match="one size"):
        Answer(TASKS["denoise"].instruct(), SOURCE, SOURCE[:20], SOURCE)
    with pytest.raises(TypeError, match="uint8"):
        Answer(TASKS["denoise"].instruct(), SOURCE, SOURCE / 255, SOURCE)


def test_categories_are_listed_whatever_was_found():
    for kind in ("masks", "no masks"):
        assert ANSWERS[kind].to_coco()["categories"] == [{"id": 1, "name": "the star"}]
    found = ANSWERS["label"].to_coco()
    assert [c["name"] for c in found["categories"]] == ["a dog", "a cat"]
    assert found["annotations"][0]["category_id"] == 2
    bare = answer("classify", ["a dog", "a cat"], Label("a cat")).to_coco()
    assert bare["categories"][0] == {"id": bare["annotations"][0]["category_id"], "name": "a cat"}


def test_pycocotools_reads_an_answer_as_data_set_and_as_result(tmp_path):
    COCO = pytest.importorskip("pycocotools.coco").COCO
    for kind, count in (("masks", 1), ("boxes", 2), ("points", 1)):
        path = ANSWERS[kind].save(tmp_path, kind, "photo.jpg")[0]
        truth = COCO(str(path))
        result = truth.loadRes(json.loads(path.read_text())["annotations"])
        entries = result.loadAnns(result.getAnnIds(imgIds=[1]))
        assert len(entries) == count and all(truth.loadCats(e["category_id"]) for e in entries)
        if kind == "masks":
            assert np.array_equal(truth.annToMask(entries[0]) == 1, MASK)


def test_a_picture_that_was_kept_is_said():
    for task, subjects in (("edit", "add a star"), ("dewatermark", None)):
        assert answer(task, subjects, SOURCE.copy()).message == "nothing was changed"
        assert answer(task, subjects, SOURCE // 2).message == ""
    assert answer("denoise", None, SOURCE.copy()).message == ""


def test_points_are_shown_in_the_instructions_colours():
    names = ("the nose", "the tail")
    points = Keypoints([[[15.5, 20.5], [45.5, 20.5]]], [[True, True]], [[1, 1]], names, (40, 60))
    made = TASKS["keypoints"].instruct(names, ["cyan", "yellow"])
    drawn = Answer(made, points, SOURCE, SOURCE).overlay()
    times = drawn.shape[0] // 40
    assert drawn[round(20.5 * times), round(15.5 * times)].tolist() == [0, 255, 255]
    assert drawn[round(20.5 * times), round(45.5 * times)].tolist() == [255, 255, 0]


def test_files_of_large_pictures_are_of_sensible_size(tmp_path):
    """Photographs of 12 million pixels are 54 MB as PNG files, beside a mask of 18 KB."""
    noisy = np.random.default_rng(0).normal(128, 40, (1500, 2000, 3)).clip(0, 255).astype(np.uint8)
    mask = np.zeros(noisy.shape[:2], bool)
    mask[300:900, 400:1000] = True
    masks = Masks(mask[None], np.ones(1, np.float32), ("the star",))
    large = Answer(TASKS["segment"].instruct("the star"), masks, noisy, noisy, {})
    paths = {p.name: p for p in large.save(tmp_path, "photo")}
    assert sorted(paths) == [
        "photo_segment.json", "photo_segment_drawn.jpg", "photo_segment_mask.png", "photo_segment_overlay.jpg"
    ]  # fmt: skip
    with Image.open(paths["photo_segment_drawn.jpg"]) as image:
        assert image.size == (2000, 1500) and np.abs(np.asarray(image, np.int16) - noisy).mean() < 25
    edited = Answer(TASKS["edit"].instruct("make it darker"), noisy, noisy, noisy, {})
    (path,) = [p for p in edited.save(tmp_path, "photo") if p.suffix == ".png"]
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image), noisy)  # an answer itself loses nothing


def test_asking_again_leaves_no_picture_of_the_other_format(tmp_path, monkeypatch):
    for limit in (10**9, 1, 10**9):
        monkeypatch.setattr("instructdiffusion.inference.answer.LARGE", limit)
        assert set(ANSWERS["masks"].save(tmp_path, "a.png")) == set(tmp_path.iterdir())
