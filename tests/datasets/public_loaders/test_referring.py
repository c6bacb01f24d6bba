"""The loaders of the refer family, of gRefCOCO and of VGPhraseCut give our readers' phrases, masks and pictures."""

from __future__ import annotations

import re
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.filterwarnings("ignore")  # other people's code, other people's warnings
COCO_PICTURES = "images/mscoco/images/train2014"
FAMILY = [  # dataset, who split it, the API's split, ours
    *[("refcoco", "unc", split, split) for split in ("train", "val", "testA", "testB")],
    *[("refcoco+", "unc", split, split) for split in ("train", "val", "testA", "testB")],
    *[("refcocog", "umd", split, split) for split in ("train", "val", "test")],
    *[("refcocog", "google", split, f"{split}G") for split in ("train", "val")],
    *[("refclef", "unc", split, split) for split in ("train", "val", "testA", "testB", "testC")],
    ("refclef", "berkeley", "test", "test"),
]


def refer_api(checkout, monkeypatch, load_text):
    """lichengunc/refer's `REFER`, written for Python 2, with pycocotools' C code as its own (it is a copy of that)."""
    import pycocotools._mask

    folder = checkout("refer")
    module = ModuleType("refer")
    module.__dict__.update(__file__=str(folder / "refer.py"), open=lambda path, mode: open(path, "rb"))
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    for name, stand_in in {
        "cPickle": __import__("pickle"),
        "external._mask": pycocotools._mask,
        **{
            f"matplotlib{part}": ModuleType("matplotlib")
            for part in ("", ".pyplot", ".collections", ".patches")
        },
    }.items():
        monkeypatch.setitem(sys.modules, name, stand_in)
    for name in ("PatchCollection", "Polygon", "Rectangle"):  # it draws with these, and is not asked to
        for part in ("collections", "patches"):
            setattr(sys.modules[f"matplotlib.{part}"], name, None)
    source = re.sub(r"^(\s*)print (.+)$", r"\1print(\2)", (folder / "refer.py").read_text(), flags=re.M)
    load_text(module, source)
    for name in ("external", "external.mask"):
        monkeypatch.delitem(sys.modules, name)
    return module.REFER


def asked(reader):
    """{(ref, words): record} of all that a reader has."""
    found = {(record.meta["ref_id"], record.subjects[0]): record for _, record in reader.records()}
    assert len(found) == len(reader)
    return found


@pytest.mark.parametrize(("name", "by", "split", "own"), FAMILY)
def test_refer(name, by, split, own, made, opened, checkout, monkeypatch, same_but_for_outlines, load_text):
    folder = made(name)
    api = refer_api(checkout, monkeypatch, load_text)(str(folder), name, by)
    records = asked(opened(name, folder, own))
    refs = api.loadRefs(api.getRefIds(split=split))
    assert {(ref["ref_id"], s["sent"]) for ref in refs for s in ref["sentences"]} == set(records)
    for ref in refs:
        (image,) = api.loadImgs(ref["image_id"])
        with Image.open(f"{api.IMAGE_DIR}/{image['file_name']}") as file:
            picture = np.asarray(file)
        found = api.getMask(ref)
        for sentence in ref["sentences"]:
            record = records[ref["ref_id"], sentence["sent"]]
            assert (record.image == picture).all()
            same_but_for_outlines(record.target.data[0], found["mask"])
            if name == "refclef":  # run lengths leave nothing to a rasteriser
                assert (record.target.data[0] == found["mask"]).all()
        x, y, w, h = api.getRefBox(ref["ref_id"])
        rows, columns = np.nonzero(found["mask"])
        bounds = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.abs(np.subtract(bounds, [x, y, x + w, y + h])).max() <= 1.5


@pytest.mark.parametrize("split", ["train", "val", "testA", "testB"])
@pytest.mark.parametrize(
    ("repository", "below"),
    [("gRefCOCO", ""), ("ReLA", "gres_model/data/datasets"), ("InstructDiffusion", "")],
)
def test_grefer(repository, below, split, made, opened, public, same_but_for_outlines):
    folder = made("grefcoco")
    module = "dataset.seg.grefcoco" if repository == "InstructDiffusion" else "grefer"
    api = public(repository, module, below).G_REFER(str(folder))
    records = asked(opened("grefcoco", folder, split))
    refs = api.loadRefs(api.getRefIds(split=split))
    assert {(ref["ref_id"], s["sent"]) for ref in refs for s in ref["sentences"]} == set(records)
    assert {len(record.target) for record in records.values()} == {0, 1}
    for ref in refs:
        found = api.getMaskByRef(ref, merge=True)
        (image,) = api.loadImgs(ref["image_id"])
        for sentence in ref["sentences"]:
            record = records[ref["ref_id"], sentence["sent"]]
            with Image.open(f"{api.IMAGE_DIR}/{image['file_name']}") as file:
                assert (record.image == np.asarray(file)).all()
            assert found["empty"] == ("absent" in record.tags) == (not len(record.target))
            assert record.meta["targets"] == len([n for n in ref["ann_id"] if n != -1])
            if not found["empty"]:
                same_but_for_outlines(record.target.data[0], found["mask"])


@pytest.mark.parametrize("split", ["train", "val", "testA", "testB"])
def test_rela_lists_grefcoco(split, made, opened, public, checkout, monkeypatch):
    """The list that ReLA trains and evaluates on: a sentence each, with what it means."""
    folder, package = made("grefcoco"), ModuleType("rela")
    package.__path__ = [str(checkout("ReLA") / "gres_model" / "data" / "datasets")]
    monkeypatch.setitem(sys.modules, "rela", package)  # its own name imports the networks
    module = public("ReLA", "rela.grefcoco")
    monkeypatch.setattr(module.PathManager, "get_local_path", lambda path: path)
    monkeypatch.setattr(module, "Timer", lambda: SimpleNamespace(seconds=lambda: 0))
    listed = module.load_grefcoco_json(
        str(folder), "grefcoco", "unc", split, "pictures", extra_refer_keys=["sent"]
    )
    reader = opened("grefcoco", folder, split)
    assert len(listed) == len(reader)
    for entry, row in zip(listed, reader.rows):
        assert (entry["sentence"]["ref_id"], entry["sentence"]["sent"]) == (row["ref_id"], row["phrase"])
        assert [entry["height"], entry["width"]] == row["size"] and entry["image_id"] == row["image_id"]
        assert entry["file_name"].split("/")[-1] == row["image"].split("/")[-1]
        assert [a.get("segmentation") for a in entry["annotations"]] == (row["masks"] or [None])


@pytest.mark.parametrize("name", ["refcoco", "grefcoco"])
@pytest.mark.parametrize("split", ["train", "val"])
def test_the_authors_colour_what_is_meant(
    name, split, copied, opened, public, checkout, monkeypatch, same_window, same_but_for_outlines
):
    """cientgu/InstructDiffusion's dataset/seg: what they paint is our mask; their pictures lie in images/train2014."""
    folder = copied(name)
    if (folder / COCO_PICTURES).is_dir():
        (folder / COCO_PICTURES).rename(folder / "images" / "train2014")
    kind = {"refcoco": "RefCOCODataset", "grefcoco": "GrefCOCODataset"}[name]
    module = public("InstructDiffusion", f"dataset.seg.{name}_segmentation", needs=["einops"])
    monkeypatch.chdir(checkout("InstructDiffusion"))
    sizes = dict.fromkeys(("min_resize_res", "max_resize_res", "crop_res"), 120)
    theirs = getattr(module, kind)(str(folder), split, **sizes)
    reader = opened(name, folder, split)
    assert len(theirs) == reader.items
    for index, ref in enumerate(theirs.list_ref):
        sample = theirs[index]
        record = next(
            r for _, r in reader.records()
            if r.meta["ref_id"] == ref and r.subjects[0].lower() in sample["edit"]["c_crossattn"]
        )  # fmt: skip
        whole = np.array(record.image)
        painted = (sample["edit"]["c_concat"] != sample["edited"]).any(0).numpy()
        source = {"edit": sample["edit"], "edited": sample["edit"]["c_concat"]}
        window = same_window(source, whole, whole)
        mask = record.target.data[0] if len(record.target) else np.zeros(whole.shape[:2], bool)
        same_but_for_outlines(mask[window], painted)


@pytest.mark.parametrize("split", ["train", "val", "test", "miniv"])
def test_phrasecut(
    split, made, opened, checkout, public, tmp_path, monkeypatch, same_but_for_outlines, load_text
):
    """ChenyunWu/PhraseCutDataset's `RefVGLoader` finds the data beside its own code: here, beside a link to it."""
    place = tmp_path / "PhraseCutDataset"
    (place / "data").mkdir(parents=True)
    (place / "data" / "VGPhraseCut_v0").symlink_to(made("phrasecut"))
    paths = ModuleType("file_paths")
    paths.__file__ = str(place / "utils" / "file_paths.py")
    source = (checkout("PhraseCutDataset") / "utils" / "file_paths.py").read_text()
    load_text(paths, source)
    monkeypatch.setitem(sys.modules, "file_paths", paths)
    module = public("PhraseCutDataset", "refvg_loader", "utils")
    handler = sys.modules["phrase_handler"]
    loader = module.RefVGLoader(split=split)
    reader = opened("phrasecut", made("phrasecut"), split)
    records = {record.meta["image_id"]: {} for _, record in reader.records()}
    for index, record in reader.records():
        records[record.meta["image_id"]][reader.rows[index]["id"].removeprefix("task ")] = record
    assert loader.task_num == len(reader) and set(loader.img_ids) == set(records)
    for image in loader.img_ids:
        data = loader.get_img_ref_data(image)
        assert data["split"] == split
        own = [records[image][task] for task in data["task_ids"]]
        assert [handler.construct_phrase(parts) for parts in data["p_structures"]] == data["phrases"]
        assert [record.subjects[0] for record in own] == data["phrases"]
        with Image.open(paths.img_fpath / f"{image}.jpg") as file:
            assert all((record.image == np.asarray(file)).all() for record in own)
        for record, instances, boxes in zip(own, data["gt_Polygons"], data["gt_boxes"], strict=True):
            assert record.image.shape[:2] == (data["height"], data["width"])
            assert record.meta["targets"] == len(instances) == len(boxes)
            polygons = [polygon for some in instances for polygon in some]
            mask = module.polygons_to_mask(polygons, data["width"], data["height"])
            same_but_for_outlines(record.target.data[0], mask)
            boxed = np.zeros_like(mask)
            for x, y, w, h in boxes:
                boxed[int(y) : int(y + h) + 1, int(x) : int(x + w) + 1] = True
            assert not (mask & ~boxed).any()
    sizes = {s for task in data["task_ids"] for s in loader.get_task_subset(image, task)}
    assert {"all", "i_multi", "i_single"} <= sizes  # their evaluation's own division of the phrases
