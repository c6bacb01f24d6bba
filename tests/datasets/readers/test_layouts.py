"""Layouts: which dataset a folder holds, pictures that several share, and splits that are there by half."""

from __future__ import annotations

import json
import shutil

import pytest

from instructdiffusion.datasets.fixtures import FIXTURES, write_fixture
from instructdiffusion.datasets.readers import READERS, LayoutIncomplete, LayoutMissing, open_reader
from instructdiffusion.datasets.readers.check import survey
from instructdiffusion.datasets.sources import index_digest


def dataset(name: str) -> str:
    """The reader of a fixture: some datasets come in several layouts."""
    return name if name in READERS else name.rpartition("-")[0]


@pytest.mark.parametrize("name", list(FIXTURES))
def test_a_layout_is_of_one_dataset(name, made):
    folder, counts = made(name)
    found = survey(folder, list(READERS))
    assert {known: (set(whole), halves) for known, (whole, halves) in found.items()} == {
        dataset(name): (set(counts), [])
    }


def test_parquet_files_are_told_apart_by_their_columns(made, tmp_path):
    for name, other in (("instructpix2pix", "magicbrush"), ("magicbrush", "instructpix2pix")):
        folder, _ = made(f"{name}-parquet")
        with pytest.raises(LayoutMissing, match="parquet with .*(edit_prompt|turn_index)"):
            open_reader(other, folder, cache=tmp_path)
    spoiled = tmp_path / "spoiled"
    shutil.copytree(made("magicbrush-parquet")[0], spoiled)
    for path in spoiled.rglob("*.parquet"):
        path.write_bytes(path.read_bytes()[:99])
    # What cannot be read may be of either: it is named, and not taken for another dataset's.
    assert "cut off" in str(open_reader("magicbrush", spoiled, cache=tmp_path).problems[0])


# Pictures that several datasets share


@pytest.fixture
def shared(tmp_path):
    """A folder of datasets in which COCO's pictures lie once, in coco, under their names of 2017."""
    for name in ("coco", "refcoco", "grefcoco", "coco-stuff"):
        write_fixture(name, tmp_path / "data" / name)
    base = tmp_path / "data"
    pictures = [
        *base.glob("*coco/images/**/train2014/*.jpg"),
        *base.glob("coco-stuff/images/*/*.jpg"),
    ]
    renamed = {}
    for place, path in enumerate(sorted(pictures)):  # numbers of their own, as in COCO
        split = path.parent.name.replace("2014", "2017")
        number = 500_000 + place
        path.rename(base / "coco" / split / f"{number:012d}.jpg")
        renamed[path.relative_to(base).as_posix()] = number
    for name, inner in (("refcoco", "images/mscoco/images/train2014"), ("grefcoco", "images/train2014")):
        file = base / name / name / "instances.json"
        data = json.loads(file.read_text())
        for image in data["images"]:
            number = renamed[f"{name}/{inner}/{image['file_name']}"]
            image["file_name"] = f"COCO_train2014_{number:012d}.jpg"
        file.write_text(json.dumps(data))
        shutil.rmtree(base / name / "images")
    for labels in (base / "coco-stuff" / "annotations").rglob("*.png"):
        number = renamed[f"coco-stuff/images/{labels.parent.name}/{labels.stem}.jpg"]
        labels.rename(labels.with_name(f"{number:012d}.png"))
    shutil.rmtree(base / "coco-stuff" / "images")
    # Pictures without a label map are named, and the others' made-up ones have none.
    for split in ("train2017", "val2017"):
        for path in (base / "coco" / split).iterdir():
            if int(path.stem) < 500_000:
                path.unlink()
    return base


@pytest.mark.parametrize("inner", ["", "images"])
@pytest.mark.parametrize("flat", [False, True])
def test_one_copy_of_cocos_pictures_serves_all(shared, inner, flat, tmp_path):
    if inner:
        (shared / "coco" / inner).mkdir()
        for split in ("train2017", "val2017"):
            shutil.move(shared / "coco" / split, shared / "coco" / inner / split)
    if flat:  # the annotations right in the folder of the dataset
        for name in ("refcoco", "grefcoco"):
            for path in (shared / name / name).iterdir():
                path.rename(shared / name / path.name)
            (shared / name / name).rmdir()
    for name, count in (("refcoco", 4), ("grefcoco", 3)):
        reader = open_reader(name, shared / name, cache=tmp_path / "cache")
        assert len(dict(reader.records())) == count and not reader.problems
        assert all(row["image"].startswith("../coco/") for row in reader.rows)
        before = index_digest(reader)
    moved = shared.rename(tmp_path / "moved")  # a run is to go on where the folder of datasets now lies
    assert index_digest(open_reader(name, moved / name, cache=tmp_path / "cache")) == before


def test_label_maps_find_cocos_pictures_beside_them(shared, tmp_path):
    reader = open_reader("coco-stuff", shared / "coco-stuff", "val", cache=tmp_path / "cache")
    assert len(dict(reader.records())) == 2 and not reader.problems
    train = open_reader("coco-stuff", shared / "coco-stuff", cache=tmp_path / "cache")
    assert len(dict(train.records())) == 2
    assert all("label map" in p.reason for p in train.problems)


def test_a_dataset_that_is_a_link_finds_what_lies_beside_the_link(shared, tmp_path):
    """Where people keep annotations on another disk, what is beside them there is not what is beside the link."""
    (tmp_path / "disk").mkdir()
    shutil.move(shared / "refcoco", tmp_path / "disk" / "refcoco")
    (shared / "refcoco").symlink_to(tmp_path / "disk" / "refcoco", target_is_directory=True)
    reader = open_reader("refcoco", shared / "refcoco", cache=tmp_path / "cache")
    assert len(dict(reader.records())) == 4


# Splits that are there by half


HALVES = {  # what is gone -> (dataset, split, what is named)
    "pictures of COCO": ("coco", "train2017", "train", "person_keypoints_train2017.json is there.*train2017"),
    "pictures of CrowdPose": ("crowdpose", "images", "train", "json/crowdpose_train.json is there"),
    "pictures of MPII": ("mpii", "images", "train", "annot/train.json is there"),
    "pictures of AIC": (
        "aic", "ai_challenger_keypoint_train_20170902/keypoint_train_images_20170902", "train", "keypoint_train",
    ),
    "pictures of HumanArt": ("humanart", "HumanArt/images", "val", "validation_humanart.json is there"),
    "pictures of AP-10K": ("ap10k", "data", "test", "ap10k-test-split1.json is there"),
    "pictures of RefCOCO": ("refcoco", "images", "testA", "p is there.*coco/images/train2017"),
    "instances": ("refcoco", "refcoco/instances.json", "val", "none of refcoco/instances.json"),
    "pictures of RefClef": ("refclef", "images", "testC", "p is there.*saiapr"),
    "pictures of COCO-Stuff": ("coco-stuff", "images", "train", "annotations/train2017 is there.*coco/images/train"),
    "labels.txt": ("coco-stuff", "labels.txt", "val", "none of labels.txt"),
    "label maps of ADE20K": (
        "ade20k-150", "ADEChallengeData2016/annotations/validation", "val", "images/validation is there",
    ),
    "the table of ADE20K-847": ("ade20k-847", "ade20k_847.json", "val", "none of ade20k_847.json"),
    "label maps of VOC": ("voc", "VOCdevkit/VOC2012/SegmentationClass", "val", "val.txt is there"),
    "pictures of VOC": ("voc", "VOCdevkit/VOC2012/JPEGImages", "train", "none of JPEGImages"),
    "pictures of Context-59": ("pascal-context-59", "VOC2010/JPEGImages", "val", "merged.json is there"),
    "names of Context-459": ("pascal-context-459", "labels.txt", "val", "trainval is there"),
    "pictures of phrases": ("phrasecut", "images", "miniv", "refer_miniv.json is there"),
    "sharp frames": ("gopro-flat", "train/target", "train", "train/input is there.*train/target"),
    "blurred frames": ("gopro-flat", "test/input", "test", "test/target is there.*test/input"),
    "sharp clips": ("reds", "train/train_sharp", "train", "train_blur is there.*train_sharp"),
    "blurred clips": ("reds", "val/val_blur", "val", "val_sharp is there.*val_blur"),
    "noisy blocks": ("sidd", "ValidationNoisyBlocksSrgb.mat", "val", "Gt.*is there.*Noisy"),
    "clean blocks": ("sidd", "ValidationGtBlocksSrgb.mat", "val", "Noisy.*is there.*Gt"),
    "clean cuts": ("sidd-cut", "train/gt", "train", "train/input is there.*train/gt"),
    "pictures without marks": ("clwd", "test/Watermark_free_image", "test", "Watermarked_image is there"),
    "seeds": ("instructpix2pix-zip", "seeds.json", "val", "shard-00.zip is there"),
    "inpainted pictures": ("gqa-inpaint", "images_inpainted", "train", "train_scenes.json is there"),
}  # fmt: skip


@pytest.mark.parametrize("gone", HALVES)
def test_a_split_that_is_there_by_half_is_named(gone, copied):
    name, lost, split, message = HALVES[gone]
    folder, counts, cache = copied(name)
    path = folder / lost
    path.unlink() if path.is_file() else shutil.rmtree(path)
    with pytest.raises(LayoutIncomplete, match=message) as caught:
        open_reader(dataset(name), folder, split, cache=cache)
    assert READERS[dataset(name)].source in str(caught.value) and caught.value.found.exists()
    whole, halves = survey(folder, list(READERS))[dataset(name)]
    assert split in {part[0] for part in halves} and split not in {part[0] for part in whole}
    assert {(part[0], part[1]) for part in halves} | set(whole) == set(counts)


def test_a_half_of_what_another_dataset_has_whole_is_no_half(made):
    """Restoration sets share names of folders: input/ of SIDD with its gt/ is no GoPro without its target/."""
    folder, _ = made("sidd-cut")
    assert [error for _, error in READERS["gopro"].looks(folder) if isinstance(error, LayoutIncomplete)]
    assert list(survey(folder, list(READERS))) == ["sidd"]
