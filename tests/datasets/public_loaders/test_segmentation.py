"""The loaders and the preparing scripts of the segmentation datasets give our readers' class of every pixel."""

from __future__ import annotations

import runpy
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.filterwarnings("ignore")  # other people's code, other people's warnings


def class_names(reader, index):
    """[h, w] of names of classes, "" where there is none."""
    row = reader.rows[index]
    size = reader.record(index).image.shape[:2]
    return np.array([*reader.classes, ""])[reader.load_labels(row, size)]


@pytest.mark.parametrize("split", ["train", "val"])
def test_detail_reads_context59(split, made, opened, public, monkeypatch):
    """zhanghang1989/detail-api, with pycocotools' C code as its own (it is a copy of that)."""
    import pycocotools._mask
    from scipy import ndimage

    monkeypatch.setitem(sys.modules, "detail._mask", pycocotools._mask)
    monkeypatch.setitem(sys.modules, "scipy.ndimage.morphology", ndimage)  # its name before SciPy 2
    folder = made("pascal-context-59") / "VOC2010"
    api = public("detail-api", "detail", "PythonAPI").Detail(
        str(folder / "trainval_merged.json"), str(folder / "JPEGImages"), split
    )
    reader = opened("pascal-context-59", made("pascal-context-59"), split)
    listed = {f"image {image['image_id']}": image for image in api.getImgs()}
    assert set(listed) == {row["id"] for row in reader.rows}
    names = {number: api.getCats(number)[0]["name"] for number in api.cats}
    among = {names[number] for number in api.eval_orders.values() if number in names}  # of the 59
    for index, row in enumerate(reader.rows):
        image = listed[row["id"]]
        values = api.getMask(image)
        want = np.vectorize(lambda n: names[n] if names.get(n) in among else "")(values)
        assert len(np.unique(want)) == 3  # two classes of the 59, and what is none of them
        assert (class_names(reader, index) == want).all()
        with Image.open(f"{api.img_folder}/{image['file_name']}") as file:
            assert (reader.record(index).image == np.asarray(file)).all()


def test_maskformer_prepares_ade20k_full(copied, opened, checkout, public, monkeypatch):
    """Its script reads the index and the coloured maps by its own table, which our reader then reads too."""
    public("MaskFormer", needs=["cv2"])
    folder = copied("ade20k-847")
    script = checkout("MaskFormer") / "datasets" / "prepare_ade20k_full_sem_seg.py"
    (folder / "ade20k_847.json").unlink()
    shutil.copy(script, folder)
    own = {}
    for split in ("train", "val"):
        reader = opened("ade20k-847", folder, split)
        for index, row in enumerate(reader.rows):
            own[row["id"]] = reader.classes, class_names(reader, index)
    monkeypatch.setenv("DETECTRON2_DATASETS", str(folder))
    table = runpy.run_path(str(script), run_name="__main__")["ADE20K_SEM_SEG_FULL_CATEGORIES"]
    made = sorted((folder / "ADE20K_2021_17_01" / "annotations_detectron2").glob("*/*.tif"))
    assert {path.stem for path in made} == set(own) and len(made) == 4
    for path in made:
        values = np.asarray(Image.open(path))
        classes, names = own[path.stem]
        assert list(classes) == [entry["name"] for entry in table]
        assert (names == np.array([*classes, ""])[np.minimum(values, len(classes))]).all()
        assert set(np.unique(names)) == {"", "wall", "mask"}
    for split in ("train", "val"):  # what it wrote is read instead of the raw maps, and is the same
        reader = opened("ade20k-847", folder, split, remake=True)
        for index, row in enumerate(reader.rows):
            assert "annotations_detectron2" in row["labels"]
            assert (class_names(reader, index) == own[row["id"]][1]).all()


def test_maskformer_prepares_ade20k(copied, opened, checkout, monkeypatch):
    folder = copied("ade20k-150")
    monkeypatch.setenv("DETECTRON2_DATASETS", str(folder))
    runpy.run_path(
        str(checkout("MaskFormer") / "datasets" / "prepare_ade20k_sem_seg.py"), run_name="__main__"
    )
    for split, name in (("train", "training"), ("val", "validation")):
        reader = opened("ade20k-150", folder, split)
        prepared = folder / "ADEChallengeData2016" / "annotations_detectron2" / name
        for index, row in enumerate(reader.rows):
            values = np.asarray(Image.open(prepared / f"{row['id']}.png")).astype(int)
            assert (values == 255).any() and values.min() >= 0
            labels = reader.load_labels(row, reader.record(index).image.shape[:2])
            assert (np.where(labels < 0, 255, labels) == values).all()


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_authors_colour_a_class_of_coco_stuff(
    split, made, opened, public, checkout, monkeypatch, same_window
):
    """cientgu/InstructDiffusion's dataset/seg/coco_stuff.py: what they paint, by what name."""
    folder = made("coco-stuff")
    module = public("InstructDiffusion", "dataset.seg.coco_stuff", needs=["cv2", "einops"])
    monkeypatch.chdir(checkout("InstructDiffusion"))
    theirs = module.COCOStuffDataset(str(folder), split=f"{split}2017", crop_res=120)
    reader = opened("coco-stuff", folder, split)
    assert theirs.files == [row["id"] for row in reader.rows]
    seen = set()
    for draw in range(24):
        index = draw % len(theirs)
        sample = theirs[index]
        words, whole = sample["edit"]["c_crossattn"], reader.record(index).image
        painted = (sample["edit"]["c_concat"] != sample["edited"]).any(0).numpy()
        window = same_window({**sample, "edited": sample["edit"]["c_concat"]}, whole, whole)
        (name,) = [n for n in reader.present(index) if n.lower() in words]
        mask = reader.ask(index, name).target.data[0]
        assert (mask[window] == painted).all()
        seen.add(name)
    assert seen == set(reader.present(0)) == {"person", "wall-brick", "building-other"}
