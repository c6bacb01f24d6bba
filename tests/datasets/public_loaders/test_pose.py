"""The loaders of the pose datasets give our readers' joints, boxes and crops; our readers read their test records."""

from __future__ import annotations

import json
import shutil
import sys
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from instructdiffusion.datasets.readers import open_reader
from instructdiffusion.datasets.readers.joints import unified

pytestmark = pytest.mark.filterwarnings("ignore")  # other people's code, other people's warnings
AUTHORS = {  # dataset -> (class, splits that they call and we call so)
    "coco": ("COCODataset", {"train2017": "train", "val2017": "val"}),
    "crowdpose": ("CrowdPoseDataset", {"train": "train", "val": "val", "test": "test"}),
    "mpii": ("MPIIDataset", {"train": "train", "valid": "val"}),
    "aic": ("AICDataset", {"train": "train"}),
}


def as_the_authors_have(name, folder):
    """COCO's pictures below images/; AI Challenger repacked in COCO's form, with all of its fields, as train."""
    if name == "coco":
        (folder / "images").mkdir()
        for place in sorted(folder.glob("*2017")):
            place.rename(folder / "images" / place.name)
    if name == "aic":
        data = json.loads((folder / "annotations" / "aic_val.json").read_text())
        for entry in data["annotations"]:
            entry |= {"iscrowd": 0, "area": entry["bbox"][2] * entry["bbox"][3]}
        (folder / "annotations" / "aic_train.json").write_text(json.dumps(data))
        train = folder / "ai_challenger_keypoint_train_20170902" / "keypoint_train_images_20170902"
        val = folder / "ai_challenger_keypoint_validation_20170911" / "keypoint_validation_images_20170911"
        shutil.copytree(val, train, dirs_exist_ok=True)


@pytest.mark.parametrize("name", list(AUTHORS))
def test_the_authors(name, copied, opened, public, checkout, monkeypatch):
    """cientgu/InstructDiffusion's dataset/pose/pose.py."""
    folder = copied(name)
    as_the_authors_have(name, folder)
    module = public("InstructDiffusion", "dataset.pose.pose", needs=["cv2", "einops"])
    monkeypatch.chdir(checkout("InstructDiffusion"))
    kind, splits = AUTHORS[name]
    for theirs_called, split in splits.items():
        theirs = getattr(module, kind)(str(folder), theirs_called, is_train=False)
        reader = opened(name, folder, split)
        assert len(theirs) == len(reader)
        names = [words.replace("_", " ") for words in theirs.keypoints_type.values()]
        synonyms = {"top head": "top of the head", "head top": "top of the head", "upper neck": "neck"}
        assert tuple(synonyms.get(words, words) for words in names) == reader.names
        for index, entry in enumerate(theirs.db):
            record = reader.ask(index, reader.names[:1])
            joints = record.meta["joints"]
            seen = joints[:, 2] > 0
            assert (entry["joints_3d_vis"][:, 0] > 0).tolist() == seen.tolist()
            np.testing.assert_allclose(joints[seen, :2], entry["joints_3d"][seen, :2] + 0.5, atol=1e-3)
            with Image.open(entry["image"]) as file:
                assert np.asarray(file).shape[:2] == record.meta["size"]
            # Their boxes end in the last pixel, ours after it.
            x1, y1, x2, y2 = record.meta["box"]
            np.testing.assert_allclose(entry["center"] + 0.5, [(x1 + x2) / 2, (y1 + y2) / 2], atol=0.6)
            left, top, right, bottom = record.meta["window"]
            assert abs(entry["scale"][0] * 200 - (right - left)) <= 2.5 and right - left == bottom - top
            assert_same_crop(theirs[index]["edit"]["c_concat"], record.image)


def assert_same_crop(tensor, crop):
    """Their warped crop, 256 pixels wide, is nearly ours at that size."""
    theirs = tensor.permute(1, 2, 0).numpy() * 127.5 + 127.5
    ours = np.asarray(Image.fromarray(crop).resize((256, 256), Image.Resampling.BILINEAR), float)
    assert np.abs(theirs - ours).mean() < 4


MMPOSE = {  # dataset -> (class, split, annotations, their folder of pictures)
    "coco": ("CocoDataset", "val", "annotations/person_keypoints_val2017.json", "val2017"),
    "crowdpose": ("CrowdPoseDataset", "test", "json/crowdpose_test.json", "images"),
    "mpii": ("MpiiDataset", "train", "annot/train.json", "images"),
    "aic": (
        "AicDataset", "val", "annotations/aic_val.json",
        "ai_challenger_keypoint_validation_20170911/keypoint_validation_images_20170911",
    ),
    "ap10k": ("AP10KDataset", "test", "annotations/ap10k-test-split1.json", "data"),
    "humanart": ("HumanArtDataset", "val", "HumanArt/annotations/validation_humanart.json", ""),
}  # fmt: skip


def mmposes(kind, checkout, public, monkeypatch):
    """A dataset class of mmpose, without its transforms, with pycocotools for xtcocotools and without mmcv."""
    import pycocotools.coco

    monkeypatch.setitem(sys.modules, "xtcocotools", pycocotools)
    monkeypatch.setitem(sys.modules, "xtcocotools.coco", pycocotools.coco)
    mmcv, datasets = ModuleType("mmcv"), ModuleType("mmpose.datasets")
    mmcv.__version__ = "2.1.0"
    datasets.__path__ = [str(checkout("mmpose") / "mmpose" / "datasets")]
    monkeypatch.setitem(sys.modules, "mmcv", mmcv)
    monkeypatch.setitem(sys.modules, "mmpose.datasets", datasets)
    module = public("mmpose", "mmpose.datasets.datasets", needs=["cv2", "mmengine", "json_tricks", "munkres"])
    return getattr(module, kind)


@pytest.mark.parametrize("name", list(MMPOSE))
def test_mmpose(name, made, opened, public, checkout, monkeypatch):
    """open-mmlab/mmpose's dataset classes, with the joints of its own configs/_base_/datasets."""
    kind, split, file, pictures = MMPOSE[name]
    folder = made(name)
    Dataset = mmposes(kind, checkout, public, monkeypatch)
    monkeypatch.chdir(checkout("mmpose"))
    theirs = Dataset(ann_file=file, data_root=str(folder), data_prefix={"img": pictures}, test_mode=True)
    reader = opened(name, folder, split)
    assert len(theirs) == len(reader)
    names = [theirs.metainfo["keypoint_id2name"][n] for n in range(theirs.metainfo["num_keypoints"])]
    assert tuple(unified(words) for words in names) == reader.names
    for index in range(len(theirs)):
        entry, record = theirs.get_data_info(index), reader.ask(index, reader.names[:1])
        joints = record.meta["joints"]
        seen = joints[:, 2] > 0
        assert (entry["keypoints_visible"][0] > 0).tolist() == seen.tolist()
        first = 1 if name == "mpii" else 0  # its joints are left as they are in the file
        np.testing.assert_allclose(joints[seen, :2], entry["keypoints"][0][seen] + 0.5 - first, atol=1e-3)
        with Image.open(entry["img_path"]) as picture:
            assert np.asarray(picture).shape[:2] == record.meta["size"]
        x1, y1, x2, y2 = record.meta["box"]
        center = entry["bbox"].reshape(2, 2).mean(0)
        np.testing.assert_allclose(center, [(x1 + x2) / 2, (y1 + y2) / 2], atol=0.6)
        room = 1.25 if name == "mpii" else 1  # which our box of MPII has, and theirs is given later
        np.testing.assert_allclose(
            entry["bbox"][0, 2:] - entry["bbox"][0, :2], [(x2 - x1) / room, (y2 - y1) / room], atol=1.1
        )
        if name in ("coco", "ap10k", "humanart"):
            assert entry["area"] == record.meta["area"]


RECORDS = {  # dataset -> (annotation file in mmpose's tests/data, where it goes, where its pictures go, people)
    "coco": ("coco/test_coco.json", "annotations/person_keypoints_val2017.json", "val2017", 12),
    "crowdpose": ("crowdpose/test_crowdpose.json", "annotations/mmpose_crowdpose_val.json", "images", 4),
    "mpii": ("mpii/test_mpii.json", "annotations/mpii_val.json", "images", 5),
    "aic": (
        "aic/test_aic.json", "annotations/aic_val.json",
        "ai_challenger_keypoint_validation_20170911/keypoint_validation_images_20170911", 9,
    ),
    "ap10k": ("ap10k/test_ap10k.json", "annotations/ap10k-val-split1.json", "data", 2),
    "humanart": (
        "humanart/test_humanart.json", "HumanArt/annotations/validation_humanart.json", "HumanArt/images", 4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(RECORDS))
def test_records_of_mmposes_own_tests(name, checkout, tmp_path):
    annotations, place, pictures, people = RECORDS[name]
    source = checkout("mmpose") / "tests" / "data" / annotations
    folder = tmp_path / name
    (folder / place).parent.mkdir(parents=True)
    shutil.copy(source, folder / place)
    shutil.copytree(
        source.parent, folder / pictures, ignore=shutil.ignore_patterns("*.json"), dirs_exist_ok=True
    )
    reader = open_reader(name, folder, "val", cache=tmp_path / "cache")
    assert len(dict(reader.records())) == people and not reader.problems
    data = json.loads(source.read_text())
    entries = data if isinstance(data, list) else [a for a in data["annotations"] if a["num_keypoints"]]
    for entry, index in zip(entries, range(people), strict=True):
        joints = reader.ask(index, reader.names[:1]).meta["joints"]
        if name == "mpii":  # numbered from 1
            seen = np.asarray(entry["joints_vis"]) > 0
            want = np.asarray(entry["joints"]) - 0.5
        else:
            given = np.reshape(entry["keypoints"], (-1, 3))
            seen, want = given[:, 2] > 0, given[:, :2] + 0.5
            assert (joints[:, 2] == given[:, 2]).all()
        assert (joints[:, 2] > 0).tolist() == seen.tolist()
        np.testing.assert_allclose(joints[seen, :2], want[seen], atol=1e-3)
