"""Scenes as files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from instructdiffusion.datasets.synthetic import SCENE_TASKS
from instructdiffusion.datasets.synthetic.examples import make_example
from instructdiffusion.datasets.synthetic.write import write_scenes


@pytest.mark.parametrize("task", SCENE_TASKS)
def test_files_hold_the_records(task, tmp_path):
    files = write_scenes(task, range(3), tmp_path, split="test", level=1)
    assert all(path.is_file() for path in files) and files[0].name == f"{task}_sheet.png"
    listing = json.loads((tmp_path / f"{task}.json").read_text())
    assert [image["file_name"] for image in listing["images"]] == [f"{task}_{seed}.png" for seed in range(3)]
    ids = [entry["id"] for entry in listing["annotations"]]
    assert ids == list(range(1, len(ids) + 1))
    known = {category["id"]: category["name"] for category in listing["categories"]}
    for entry in listing["annotations"]:
        assert known[entry["category_id"]] == entry["category_name"]
        assert 1 <= entry["image_id"] <= 3
    for seed in range(3):
        with Image.open(tmp_path / f"{task}_{seed}.png") as picture:
            example = make_example(task, seed, split="test", level=1)
            np.testing.assert_array_equal(np.asarray(picture), example.source)
        assert listing["images"][seed]["instruction"] == example.instruction.text


def test_pycocotools_reads_the_scenes(tmp_path):
    """Masks, keypoints of whole categories, and the figures' own boxes."""
    coco = pytest.importorskip("pycocotools.coco").COCO
    for task in ("segment", "detect", "keypoints", "align"):
        write_scenes(task, range(6), tmp_path, split="test", level=1)
    truth = coco(str(tmp_path / "segment.json"))
    for entry in truth.loadAnns(truth.getAnnIds()):
        mask = truth.annToMask(entry)
        ys, xs = np.nonzero(mask)
        assert mask.shape == (64, 64) and mask.sum() == entry["area"]
        assert entry["bbox"] == [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]
    assert len(coco(str(tmp_path / "detect.json")).getAnnIds()) > 0
    for task in ("keypoints", "align"):
        truth = coco(str(tmp_path / f"{task}.json"))
        entries = truth.loadAnns(truth.getAnnIds())
        assert entries
        for entry in entries:
            (category,) = truth.loadCats(entry["category_id"])
            names, points = category["keypoints"], np.reshape(entry["keypoints"], (-1, 3))
            assert len(points) == len(names) == len(set(names))
            assert {a for bone in category["skeleton"] for a in bone} <= set(range(1, len(names) + 1))
            shown = points[:, 2] == 2
            assert shown.sum() == entry["num_keypoints"]
            assert {n for n, s in zip(names, shown) if s} <= set(entry["asked"]) <= set(names)
            x, y, w, h = entry["bbox"]
            assert (
                entry["area"] == pytest.approx(w * h, rel=1e-3) and w * h > 200
            )  # of the figure, not of its joints
            inside = points[shown, :2]
            assert (inside >= np.array([x, y]) - 0.5).all() and (
                inside <= np.array([x + w, y + h]) + 0.5
            ).all()


def test_pycocotools_scores_the_scenes_joints_against_themselves(tmp_path):
    pytest.importorskip("pycocotools.coco")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    write_scenes("align", range(4), tmp_path, split="test", level=1)
    truth = COCO(str(tmp_path / "align.json"))
    found = truth.loadRes(json.loads((tmp_path / "align.json").read_text())["annotations"])
    score = COCOeval(truth, found, "keypoints")
    score.params.kpt_oks_sigmas = np.full(11, 0.05)
    score.evaluate()
    score.accumulate()
    score.summarize()
    assert score.stats[0] == 1.0


def test_unseen_pairs_are_written_when_asked_for(tmp_path):
    write_scenes("refer", range(2), tmp_path, split="test", unseen=True)
    listing = json.loads((tmp_path / "refer.json").read_text())
    assert all("unseen-pair" in image["tags"] for image in listing["images"])


def test_no_seeds_are_refused(tmp_path):
    with pytest.raises(ValueError, match="seed"):
        write_scenes("segment", [], tmp_path)
    assert not list(tmp_path.iterdir())
