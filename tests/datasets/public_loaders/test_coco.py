"""COCO's own tools, and the faster ones, read the made-up copies that are in COCO's format as our readers do."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from PIL import Image

POSE = {  # dataset -> (split, annotations, joints)
    "coco": ("val", "annotations/person_keypoints_val2017.json", 17),
    "crowdpose": ("test", "json/crowdpose_test.json", 14),
    "aic": ("val", "annotations/aic_val.json", 14),
    "ap10k": ("val", "annotations/ap10k-val-split1.json", 17),
    "humanart": ("val", "HumanArt/annotations/validation_humanart.json", 17),
}


def read_by(tool, path):
    """The file as the tool's COCO class holds it; what it prints is left out."""
    with contextlib.redirect_stdout(io.StringIO()):
        if tool == "pycocotools":
            return pytest.importorskip("pycocotools.coco").COCO(str(path))
        return pytest.importorskip("faster_coco_eval").COCO(str(path))


tools = pytest.mark.parametrize("tool", ["pycocotools", "faster_coco_eval"])


@tools
@pytest.mark.parametrize("name", list(POSE))
def test_joints(tool, name, made, opened):
    split, file, joints = POSE[name]
    theirs, reader = read_by(tool, made(name) / file), opened(name, made(name), split)
    labelled = [a for a in theirs.loadAnns(theirs.getAnnIds()) if a["num_keypoints"]]
    assert {a["id"] for a in labelled} == {row["annotation_id"] for row in reader.rows}
    for index, row in enumerate(reader.rows):
        (entry,) = theirs.loadAnns([row["annotation_id"]])
        (image,) = theirs.loadImgs([entry["image_id"]])
        meta = reader.ask(index, reader.names[:1]).meta
        given = np.reshape(entry["keypoints"], (joints, 3))
        seen = given[:, 2] > 0
        assert (meta["joints"][:, 2] == given[:, 2]).all()
        np.testing.assert_allclose(meta["joints"][seen, :2], given[seen, :2] + 0.5)
        x, y, w, h = entry["bbox"]
        assert meta["box"] == (x, y, x + w, y + h) and meta["size"] == (image["height"], image["width"])
        assert meta["area"] == entry.get("area", w * h)
        (category,) = theirs.loadCats([entry["category_id"]])
        assert meta["figure"] == category["name"]


@tools
@pytest.mark.parametrize("split", ["train", "val"])
def test_masks_and_boxes(tool, split, made, opened, same_but_for_outlines):
    folder = made("coco")
    theirs = read_by(tool, folder / "annotations" / f"instances_{split}2017.json")
    named = {entry["name"]: entry["id"] for entry in theirs.loadCats(theirs.getCatIds())}
    for task in ("segment", "detect"):
        seen = 0
        for _, record in opened("coco", folder, split, task).records():
            image, category = record.meta["image_id"], named[record.meta["category"]]
            crowd = None if task == "segment" else False
            entries = theirs.loadAnns(theirs.getAnnIds([image], [category], iscrowd=crowd))
            seen += len(entries)
            (entry,) = theirs.loadImgs([image])
            with Image.open(folder / f"{split}2017" / entry["file_name"]) as file:
                assert (record.image == np.asarray(file)).all()
            if task == "detect":
                want = [[x, y, x + w, y + h] for x, y, w, h in (a["bbox"] for a in entries)]
                np.testing.assert_allclose(record.target.xyxy, want, atol=1e-3)
                continue
            for mask, annotation in zip(record.target.data, entries, strict=True):
                want = theirs.annToMask(annotation)
                same_but_for_outlines(mask, want)
                if isinstance(annotation["segmentation"], dict):  # run lengths leave nothing to a rasteriser
                    assert (mask == want).all()
        assert seen == len(theirs.getAnnIds(iscrowd=None if task == "segment" else False))
