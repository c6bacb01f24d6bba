"""Common re-packings: the same records as from the raw download."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from instructdiffusion.datasets.readers import READERS, LayoutMissing, open_reader
from instructdiffusion.datasets.readers.check import survey


def assert_same_records(one, other):
    assert len(one) == len(other) > 0
    for index in range(len(one)):
        a, b = one.record(index), other.record(index)
        assert a.subjects == b.subjects
        np.testing.assert_array_equal(a.image, b.image)
        for key in ("data", "xy"):
            if hasattr(a.target, key):
                np.testing.assert_array_equal(getattr(a.target, key), getattr(b.target, key))
        if isinstance(a.target, np.ndarray):
            np.testing.assert_array_equal(a.target, b.target)


def moved(folder, old, new):
    (folder / new).parent.mkdir(parents=True, exist_ok=True)
    shutil.move(folder / old, folder / new)


@pytest.mark.parametrize(
    ("name", "moves"),
    [
        ("mpii", {"annot/train.json": "annotations/mpii_train.json"}),
        ("crowdpose", {"json/crowdpose_train.json": "annotations/mmpose_crowdpose_train.json"}),
        ("coco", {"train2017": "images/train2017"}),
        ("humanart", {"HumanArt/annotations": "annotations", "HumanArt/images": "images"}),
        ("reds", {"train/train_blur": "train/blur", "train/train_sharp": "train/sharp"}),
        ("reds", {"train/train_blur": "train_blur", "train/train_sharp": "train_sharp"}),
        ("coco-stuff", {"annotations": "stuffthingmaps"}),
        ("ade20k-150", {"ADEChallengeData2016/images": "images", "ADEChallengeData2016/annotations": "annotations",
                        "ADEChallengeData2016/objectInfo150.txt": "objectInfo150.txt"}),
        ("voc", {"VOCdevkit/VOC2012": "VOC2012"}),
        ("refcoco", {"images/mscoco/images/train2014": "images/train2014"}),
        ("phrasecut", {"images": "VG_100K"}),
        ("gqa-inpaint", {n: f"gqa-inpaint/{n}" for n in ("images", "images_inpainted", "train_scenes.json")}),
        ("sidd", {"SIDD_Medium_Srgb/Data": "Data"}),
        ("sidd-cut", {"train/gt": "train/groundtruth"}),
        ("sidd-cut", {"train/input": "train/input_crops", "train/gt": "train/gt_crops"}),
        ("sidd-cut", {"train/input": "train/noisy"}),
    ],
)  # fmt: skip
def test_files_in_other_places(name, moves, made, copied):
    folder, _, cache = copied(name)
    known = name.removesuffix("-cut")
    raw = open_reader(known, made(name)[0], cache=cache)
    for old, new in moves.items():
        moved(folder, old, new)
    assert_same_records(raw, open_reader(known, folder, cache=cache))
    assert list(survey(folder, list(READERS))) == [known]


def test_cut_files_that_keep_the_names_of_the_download(made, copied):
    folder, _, cache = copied("sidd-cut")
    raw = open_reader("sidd", made("sidd-cut")[0], cache=cache)
    for part, mark in (("input", "NOISY"), ("gt", "GT")):
        for path in sorted((folder / "train" / part).iterdir()):
            path.rename(path.with_name(f"0001_{mark}_SRGB_010_{path.name}"))
    assert_same_records(raw, open_reader("sidd", folder, cache=cache))


def test_pictures_of_coco_2017_for_expressions(made, copied):
    folder, _, cache = copied("refcoco")
    raw = open_reader("refcoco", made("refcoco")[0], cache=cache)
    for path in sorted((folder / "images").rglob("*.jpg")):
        moved(folder, path.relative_to(folder), f"train2017/{path.name.rpartition('_')[2]}")
    shutil.rmtree(folder / "images")
    assert_same_records(raw, open_reader("refcoco", folder, cache=cache))


def label_maps(reader):
    for row in reader.rows:
        picture = reader.load(row["image"])
        yield reader.path(row["image"]), reader.load_labels(row, picture.shape[:2])


def test_context59_as_label_maps(made, copied):
    folder, _, cache = copied("pascal-context-59")
    raw = open_reader("pascal-context-59", made("pascal-context-59")[0], cache=cache)
    base, names = folder / "VOC2010", []
    (base / "trainval_merged.json").unlink()
    (base / "SegmentationClassContext").mkdir()
    for path, labels in label_maps(raw):
        values = (labels + 1).astype(np.uint8)
        Image.fromarray(values).save(base / "SegmentationClassContext" / f"{path.stem}.png")
        names.append(path.stem)
    (base / "ImageSets" / "SegmentationContext").mkdir(parents=True)
    (base / "ImageSets" / "SegmentationContext" / "train.txt").write_text("\n".join(names))
    assert_same_records(raw, open_reader("pascal-context-59", folder, cache=cache))


def test_context459_as_16_bit_label_maps(made, copied):
    folder, _, cache = copied("pascal-context-459")
    raw = open_reader("pascal-context-459", made("pascal-context-459")[0], cache=cache)
    shutil.rmtree(folder / "trainval")
    place = folder / "annotations_detectron2" / "training"
    place.mkdir(parents=True)
    for path, labels in label_maps(raw):
        Image.fromarray(np.where(labels < 0, 65535, labels).astype(np.uint16)).save(
            place / f"{path.stem}.tif"
        )
    assert_same_records(raw, open_reader("pascal-context-459", folder, cache=cache))


def test_ade847_as_16_bit_label_maps(made, copied):
    folder, _, cache = copied("ade20k-847")
    raw = open_reader("ade20k-847", made("ade20k-847")[0], cache=cache)
    base = folder / "ADE20K_2021_17_01"
    for kind in ("images_detectron2", "annotations_detectron2"):
        (base / kind / "training").mkdir(parents=True)
    for path, labels in label_maps(raw):
        values = np.where(labels < 0, 65535, labels).astype(np.uint16)
        Image.fromarray(values).save(base / "annotations_detectron2" / "training" / f"{path.stem}.tif")
        shutil.copy(path, base / "images_detectron2" / "training")
    shutil.rmtree(base / "images")
    assert_same_records(raw, open_reader("ade20k-847", folder, cache=cache))


@pytest.mark.parametrize("file", ["register_ade20k_full.py", "prepare_ade20k_full_sem_seg.py"])
def test_the_table_of_ade847_as_program_text_is_only_read(file, copied):
    """MaskFormer writes an entry a line, and one of a long name over four lines with a comma after the last."""
    folder, _, cache = copied("ade20k-847")
    table = json.loads((folder / "ade20k_847.json").read_text())
    (folder / "ade20k_847.json").unlink()
    lines = [f'    {{"name": "{e["name"]}", "id": {e["id"]}, "trainId": {e["trainId"]}}},' for e in table]
    long = table[500]
    lines[500] = (
        f'    {{\n        "name": "{long["name"]}",\n        "id": {long["id"]},\n'
        f'        "trainId": {long["trainId"]},\n    }},'
    )
    text = "raise SystemExit('run')\nADE20K_SEM_SEG_FULL_CATEGORIES = [\n" + "\n".join(lines) + "\n]\n"
    (folder / file).write_text(text)
    reader = open_reader("ade20k-847", folder, cache=cache)
    assert not reader.problems and len(reader.classes) == 847
    assert reader.present(0) == ("thing 0, object 0", "thing 500, object 500")


def test_voc_with_the_enlarged_list(copied):
    folder, _, cache = copied("voc")
    base = folder / "VOCdevkit" / "VOC2012"
    with pytest.raises(LayoutMissing):
        open_reader("voc", folder, "trainaug", cache=cache)
    shutil.copytree(base / "SegmentationClass", base / "SegmentationClassAug")
    lines = ["/JPEGImages/2007_000032.jpg /SegmentationClassAug/2007_000032.png"]
    (base / "ImageSets" / "Segmentation" / "trainaug.txt").write_text("\n".join(lines))
    reader = open_reader("voc", folder, "trainaug", cache=cache)
    assert len(list(reader.records())) == 1 and not reader.problems


def test_lists_of_the_papers_authors(copied, made, tmp_path):
    folder, _, cache = copied("gier")
    entries = json.loads((folder / "GIER.json").read_text())
    (folder / "GIER.json").unlink()
    packed = [
        {
            "input": e["input"],
            "output": e["output"],
            "prompts": e["expert_summary"] or e["amateur_summary"] or [e["request"]],
        }
        for e in entries
    ]
    (folder / "GIER_new.json").write_text(json.dumps(packed))
    reader = open_reader("gier", folder, cache=cache)
    assert len(list(reader.records())) == 18
    assert reader.record(0).subjects == ("Remove the thing on the right",)

    brush = tmp_path / "brush"
    shutil.copytree(made("magicbrush")[0] / "train" / "images", brush / "data")
    turn = {"input": "data/139306/139306-input.png", "edited": "data/139306/139306-output1.png"}
    (brush / "magic_train.json").write_text(json.dumps([{**turn, "instruction": "take it away"}]))
    reader = open_reader("magicbrush", brush, cache=cache)
    assert reader.record(0).subjects == ("take it away",)


def test_only_the_kept_of_our_list(copied):
    folder, _, cache = copied("ieiw")
    (folder / "kept.txt").write_text("pair-0\npair-5\n")
    reader = open_reader("ieiw", folder, cache=cache)
    assert [row["id"] for row in reader.rows] == ["pair-0", "pair-5"] and reader.left_out[
        "not in kept.txt"
    ] == 16
