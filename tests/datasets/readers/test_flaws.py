"""Faults in annotations, one at a time: each is named with its file and record, and the others still count."""

from __future__ import annotations

import json
import pickle
import zipfile

import numpy as np
import pytest
from PIL import Image

from instructdiffusion.datasets.readers import BrokenRecord, open_reader
from instructdiffusion.datasets.readers.check import check_part


def change(path, edit):
    data = json.loads(path.read_text())
    edit(data)
    path.write_text(json.dumps(data))


def entry(**values):
    """Changes the first annotation (of the second figure or thing)."""

    def edit(data):
        data["annotations"][0].update(values)

    return edit


def image(**values):
    def edit(data):
        data["images"][0].update(values)

    return edit


def drop(table, key):
    def edit(data):
        del data[table][0][key]

    return edit


NAN = float("nan")
POSE = {  # edit of person_keypoints_train2017.json -> (reason, records lost)
    "zero box": (entry(bbox=[10, 10, 0, 5]), "no area", 1),
    "box beside the picture": (entry(bbox=[1000, 10, 20, 20]), "beside the picture", 1),
    "box of three numbers": (entry(bbox=[1, 2, 3]), "expected", 1),
    "NaN in the box": (entry(bbox=[1, 2, NAN, 3]), "finite", 1),
    "NaN joint": (entry(keypoints=[NAN, 1, 2] + [5] * 48), "finite", 1),
    "sixteen joints": (entry(keypoints=[5] * 48), "17 joints", 1),
    "infinite area": (entry(area=float("inf")), "finite", 1),
    "unknown image": (entry(image_id=4711), "4711", 1),
    "unknown category": (entry(category_id=77), "category 77", 1),
    "no id": (drop("annotations", "id"), "'id' is missing", 1),
    "no picture": (image(file_name="000000099999.jpg"), "000000099999.jpg is missing", 2),
    "leaves the root": (image(file_name="../../../etc/passwd"), "leaves the dataset", 2),
    "absolute path": (image(file_name="/etc/passwd"), "leaves the dataset", 2),
    "no height": (drop("images", "height"), "height", 2),
    "image of no size": (image(height=0), "pixels", 2),
    "another order": (lambda d: d["categories"][0]["keypoints"].reverse(), "lists the joints", 4),
}


@pytest.mark.parametrize("fault", POSE)
def test_faults_of_people(fault, copied):
    edit, reason, lost = POSE[fault]
    folder, counts, cache = copied("coco")
    path = folder / "annotations" / "person_keypoints_train2017.json"
    change(path, edit)
    reader = open_reader("coco", folder, cache=cache)
    assert len(reader) == 4 - lost
    assert [i for i, _ in reader.records()] == list(range(4 - lost))
    found = [p for p in reader.problems if reason in p.reason]
    assert found and found[0].file == "annotations/person_keypoints_train2017.json" and found[0].record
    with pytest.raises(BrokenRecord):
        open_reader("coco", folder, cache=cache, on_broken="raise")
    # The verdict of the cache is that of the first time.
    again = open_reader("coco", folder, cache=cache)
    assert not again.fresh and again.problems == reader.problems


THINGS = {
    "two points": (entry(segmentation=[[1, 1, 9, 9]]), "2 points"),
    "NaN point": (entry(segmentation=[[1, 1, 9, 9, NAN, 4]]), "finite"),
    "mask of another size": (entry(segmentation={"size": [60, 80], "counts": [4800]}), "the picture of"),
    "run lengths too short": (entry(segmentation={"size": [120, 160], "counts": [5, 5]}), "add up"),
    "no segmentation": (entry(segmentation=None), "neither"),
    "points in a line": (entry(segmentation=[[10, 10, 20, 10, 30, 10]]), "no pixel"),
    "polygon beside the picture": (entry(segmentation=[[500, 10, 520, 10, 520, 40]]), "no pixel"),
    "run lengths of zeros": (entry(segmentation={"size": [120, 160], "counts": [19200]}), "no pixel"),
}


@pytest.mark.parametrize("fault", THINGS)
def test_faults_of_things(fault, copied):
    edit, reason = THINGS[fault]
    folder, _, cache = copied("coco")
    change(folder / "annotations" / "instances_train2017.json", edit)
    reader = open_reader("coco", folder, task="segment", cache=cache)
    assert len(reader) == 3 and len(reader.problems) == 1
    assert reason in reader.problems[0].reason and "annotation" in reader.problems[0].reason
    # Boxes need no outline: the same file has all of them.
    boxes = open_reader("coco", folder, task="detect", cache=cache)
    assert len(list(boxes.records())) == 4 and not boxes.problems


def numbered(folder, split, *columns):
    """Label maps of a split drawn anew: stripes of the numbers, one map each."""
    maps = sorted((folder / "annotations" / f"{split}2017").iterdir())
    for path, numbers in zip(maps, columns, strict=True):
        size = np.asarray(Image.open(path)).shape
        values = np.resize(np.repeat(numbers, -(-size[1] // len(numbers)))[: size[1]], size)
        Image.fromarray(values.astype(np.uint8)).save(path)


@pytest.mark.parametrize(
    ("maps", "present"),
    [  # 44 is a bottle by default; one less, 45, stands for a plate, which nobody annotated
        (((0, 1, 18, 44), (0, 157)), [("person", "thing18", "thing44"), ("thing157",)]),
        (((0, 1, 18), (2, 182)), [("person", "thing18"), ("bicycle", "thing182")]),  # the largest number
        (((0, 1, 17), (0, 156, 255)), [("person", "bicycle", "thing18"), ("person", "thing157")]),  # void
        (((0, 1, 17), (12, 69)), [("person", "bicycle", "thing18"), ("thing13", "thing70")]),  # hats by default
    ],
)
def test_both_ways_of_numbering_stuff_are_told_apart(maps, present, copied):
    folder, _, cache = copied("coco-stuff")
    numbered(folder, "val", *maps)
    reader = open_reader("coco-stuff", folder, "val", cache=cache)
    assert [reader.present(index) for index in range(2)] == present and not reader.problems
    default = 255 not in maps[1] and 12 not in maps[1]
    assert list(reader.remarks.values()) == ([2] if default else [])
    void = dict(reader.records())[0].meta.get("void")
    assert (void is not None) == default and (void is None or 20 < void.sum())


def test_stuff_that_can_be_numbered_both_ways_is_refused_until_it_is_said(copied):
    folder, _, cache = copied("coco-stuff")
    numbered(folder, "val", (0, 1, 18, 157), (0, 1))
    reader = open_reader("coco-stuff", folder, "val", cache=cache)
    assert len(reader) == 0 and "read both ways" in reader.problems[0].reason
    assert "numbers.txt" in reader.problems[0].reason
    default, shifted = ("person", "thing18", "thing157"), ("person", "bicycle", "thing19", "thing158")
    for said, present in (("1", default), ("0", shifted)):
        (folder / "numbers.txt").write_text(f"{said}\n")
        reader = open_reader("coco-stuff", folder, "val", cache=cache)
        assert reader.fresh and reader.present(0) == present and not reader.problems
    (folder / "numbers.txt").write_text("2\n")
    reader = open_reader("coco-stuff", folder, "val", cache=cache)
    assert len(reader) == 0 and "expected 0 or 1" in reader.problems[0].reason


def test_stuff_numbered_neither_way_is_refused_and_one_bad_map_among_good_ones_is_named(copied):
    folder, _, cache = copied("coco-stuff")
    numbered(folder, "val", (0, 1, 200), (0, 1))
    reader = open_reader("coco-stuff", folder, "val", cache=cache)
    assert len(reader) == 0 and "read neither way" in reader.problems[0].reason
    numbered(folder, "val", (0, 1, 200), (0, 255))
    reader = open_reader("coco-stuff", folder, "val", cache=cache, remake=True)
    assert len(list(reader.records())) == 1 and "number 200" in reader.problems[0].reason


def swap_sides(data):
    for picture in data["images"]:
        picture["height"], picture["width"] = picture["width"], picture["height"]


def test_swapped_sides_of_crowdpose_are_those_of_the_pictures(copied):
    folder, counts, cache = copied("crowdpose")
    path = folder / "json" / "crowdpose_train.json"
    true = open_reader("crowdpose", folder, cache=cache)
    assert true.rows[0]["size"] == [220, 320] and not true.remarks
    want = dict(true.records())
    change(path, swap_sides)
    reader = open_reader("crowdpose", folder, cache=cache)
    records = dict(reader.records())
    assert len(records) == counts["train", "keypoints"] and not reader.problems
    for index, record in records.items():  # the right figure's box ends at 308: not to be clipped to 220
        assert record.meta["box"] == want[index].meta["box"] and record.meta["size"] == (220, 320)
        np.testing.assert_array_equal(record.meta["joints"], want[index].meta["joints"])
    ((what, count),) = reader.remarks.items()
    assert count == 1 and "width and height swapped" in what


def test_other_wrong_sides_of_crowdpose_stay_broken(copied):
    folder, _, cache = copied("crowdpose")
    change(folder / "json" / "crowdpose_train.json", image(width=440, height=640))
    reader = open_reader("crowdpose", folder, cache=cache)
    assert list(reader.records()) == [] and not reader.remarks
    assert "(640, 440)" in reader.problems[0].reason


def test_a_broken_box_is_detects_alone(copied):
    folder, _, cache = copied("coco")
    change(folder / "annotations" / "instances_train2017.json", entry(bbox=[10, 10, 5, 0]))
    reader = open_reader("coco", folder, task="detect", cache=cache)
    assert len(reader) == 3 and "annotation 60: the box [10, 10, 5, 0] has no area" in reader.problems[0].reason
    masks = open_reader("coco", folder, task="segment", cache=cache)
    assert len(list(masks.records())) == 4 and not masks.problems


def test_a_stub_of_two_points_leaves_the_whole_polygon(copied):
    """As COCO has them (cocoapi 348): the whole polygons count, and the category keeps its other things."""
    folder, _, cache = copied("coco")
    path = folder / "annotations" / "instances_train2017.json"
    true = open_reader("coco", folder, task="segment", cache=cache)
    want = [record.target.data for _, record in true.records()]
    change(path, lambda data: data["annotations"][0]["segmentation"].append([70.0, 12.0, 70.0, 20.0]))
    reader = open_reader("coco", folder, task="segment", cache=cache)
    records = [record.target.data for _, record in reader.records()]
    assert len(records) == 4 and not reader.problems
    for got, mask in zip(records, want, strict=True):
        np.testing.assert_array_equal(got, mask)
    ((what, count),) = reader.remarks.items()
    assert count == 1 and "fewer than 3 points" in what
    report = check_part(reader)
    assert report.broken == () and report.remarks == {what: 1} == report.to_dict()["remarks"]


def test_a_picture_of_another_size_than_the_annotation_says(copied):
    folder, _, cache = copied("coco")
    change(folder / "annotations" / "instances_train2017.json", image(width=200))
    reader = open_reader("coco", folder, task="detect", cache=cache)
    kept = dict(reader.records())
    assert len(kept) == 2 and len(reader.problems) == 2 and "(120, 200)" in reader.problems[0].reason


def edit_refs(edit):
    def change_pickle(folder):
        path = folder / "refcoco" / "refs(unc).p"
        refs = pickle.loads(path.read_bytes())
        edit(refs[0])
        path.write_bytes(pickle.dumps(refs))

    return change_pickle


REFS = {
    "unknown annotation": (edit_refs(lambda r: r.update(ann_id=4711)), "4711", 2),
    "unknown image": (edit_refs(lambda r: r.update(image_id=4711)), "4711", 2),
    "no sentence": (edit_refs(lambda r: r.update(sentences=[])), "no sentence", 2),
    "empty sentence": (edit_refs(lambda r: r["sentences"][0].update(sent=" . ")), "expected words", 1),
    "sentence that is none": (edit_refs(lambda r: r["sentences"][0].update(sent=7)), "expected words", 1),
    "unknown split": (edit_refs(lambda r: r.update(split="tset")), "'tset'", 2),
    "no annotation": (edit_refs(lambda r: r.pop("ann_id")), "ann_id", 2),
}


@pytest.mark.parametrize("fault", REFS)
def test_faults_of_expressions(fault, copied):
    edit, reason, lost = REFS[fault]
    folder, _, cache = copied("refcoco")
    edit(folder)
    reader = open_reader("refcoco", folder, cache=cache)
    assert len(reader) == 4 - lost and len(list(reader.records())) == 4 - lost
    assert any(reason in p.reason and "ref 0" in p.record for p in reader.problems)


def test_instances_of_a_referred_thing_that_is_broken(copied):
    folder, _, cache = copied("refcoco")
    change(folder / "refcoco" / "instances.json", entry(segmentation=[[1, 1, 2, 2]]))
    reader = open_reader("refcoco", folder, cache=cache)
    assert len(reader) == 2 and "annotation 10: a polygon has 2 points" in reader.problems[0].reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0: unlabeled\n1: person\n", "names 1 classes"),
        ("person\nbicycle\n", "line 1 is 'person'"),
        ("0: unlabeled\n1: person\n1: cat\n", "a second time"),
        ("", "names 0 classes"),
    ],
)
def test_a_wrong_label_file(text, reason, copied):
    folder, _, cache = copied("coco-stuff")
    (folder / "labels.txt").write_text(text)
    reader = open_reader("coco-stuff", folder, cache=cache)
    assert (
        len(reader) == 0 and reader.problems[0].file == "labels.txt" and reason in reader.problems[0].reason
    )


@pytest.mark.parametrize(
    ("name", "file", "edit", "reason"),
    [
        ("pascal-context-459", "labels.txt", lambda text: text.replace("459: zebra\n", ""), "names 458 classes"),
        ("pascal-context-459", "labels.txt", lambda text: text.replace("7: ", "seven: "), "line 7 is 'seven"),
        ("ade20k-150", "objectInfo150.txt", lambda text: text.replace("\t", " "), "names 0 classes"),
        ("ade20k-847", "ade20k_847.json", lambda text: text.replace('"trainId": 846', '"trainId": 845'), "846 entries"),
    ],
)  # fmt: skip
def test_other_wrong_lists_of_classes(name, file, edit, reason, copied):
    folder, _, cache = copied(name)
    path = next(folder.rglob(file))
    path.write_text(edit(path.read_text()))
    reader = open_reader(name, folder, cache=cache)
    assert len(reader) == 0 and reader.problems[0].file.endswith(file) and reason in reader.problems[0].reason


def test_a_label_map_of_another_size_or_with_unknown_numbers(copied):
    folder, _, cache = copied("ade20k-150")
    place = folder / "ADEChallengeData2016" / "annotations" / "training"
    first, second = sorted(place.iterdir())
    Image.fromarray(np.ones((60, 80), np.uint8)).save(first)
    values = np.asarray(Image.open(second)).copy()
    values[0, 0] = 151
    Image.fromarray(values).save(second)
    reader = open_reader("ade20k-150", folder, cache=cache)
    assert len(reader) == 2 and list(reader.records()) == []
    reasons = [p.reason for p in reader.problems]
    assert "(60, 80)" in reasons[0] and "151" in reasons[1]
    assert reader.problems[0].file.endswith(f"annotations/training/{first.name}")


def test_a_label_map_in_colours(copied):
    folder, _, cache = copied("ade20k-150")
    first = min((folder / "ADEChallengeData2016" / "annotations" / "training").iterdir())
    Image.fromarray(np.ones((120, 160, 3), np.uint8)).save(first)
    reader = open_reader("ade20k-150", folder, cache=cache)
    with pytest.raises(BrokenRecord, match="colours"):
        reader.record(0)


def test_polygons_of_phrases(copied):
    folder, _, cache = copied("phrasecut")
    path = folder / "refer_train.json"
    tasks = json.loads(path.read_text())
    tasks[0]["Polygons"] = [[polygon[:2] for polygon in thing] for thing in tasks[0]["Polygons"]]
    tasks[1]["instance_boxes"][0] = [5, 5, 0, 0]
    path.write_text(json.dumps(tasks))
    reader = open_reader("phrasecut", folder, cache=cache)
    assert len(reader) == 0
    assert ["2 points" in reader.problems[0].reason, "no area" in reader.problems[1].reason] == [True, True]


def test_pairs_of_two_sizes(copied):
    folder, _, cache = copied("gopro")
    path = next((folder / "train").rglob("sharp/000047.png"))
    Image.new("RGB", (80, 60)).save(path)
    reader = open_reader("gopro", folder, cache=cache)
    assert len(list(reader.records())) == 3 and reader.problems[0].file.endswith("sharp/000047.png")


def test_a_clean_picture_without_its_damaged_one(copied):
    folder, _, cache = copied("gopro")
    next((folder / "train").rglob("blur/000047.png")).unlink()
    reader = open_reader("gopro", folder, cache=cache)
    assert len(reader) == 3 and "is missing" in reader.problems[0].reason


def test_a_scene_without_either_half(copied):
    import shutil

    folder, _, cache = copied("gopro")
    shutil.rmtree(folder / "train" / "GOPR0372_07_00" / "blur")
    reader = open_reader("gopro", folder, cache=cache)
    assert len(reader) == 2 and len(reader.problems) == 2


def test_validation_blocks_that_are_cut_off_or_differ(copied):
    from scipy.io import savemat

    folder, _, cache = copied("sidd")
    path = folder / "ValidationGtBlocksSrgb.mat"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    reader = open_reader("sidd", folder, "val", cache=cache)
    assert len(reader) == 0 and reader.problems[0].file == path.name
    savemat(path, {"ValidationGtBlocksSrgb": np.zeros((1, 3, 32, 32, 3), np.uint8)})
    reader = open_reader("sidd", folder, "val", cache=cache)
    assert len(reader) == 0 and "noisy blocks are" in reader.problems[0].reason
    savemat(path, {"other": np.zeros(3)})
    assert "no numbers called" in open_reader("sidd", folder, "val", cache=cache).problems[0].reason


def test_a_damaged_member_of_a_zip(copied):
    folder, _, cache = copied("instructpix2pix-zip")
    path = folder / "shard-00.zip"
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo("0000000/9000_0.jpg")
    data = bytearray(path.read_bytes())
    data[place.header_offset + 400] ^= 255
    path.write_bytes(data)
    reader = open_reader("instructpix2pix", folder, cache=cache)
    assert len(list(reader.records())) == len(reader) - 1
    assert reader.problems[0].file == "shard-00.zip" and reader.problems[0].record == "0000000/9000"
    assert "checksum" in reader.problems[0].reason


def test_a_picture_in_a_parquet_file_that_is_cut_off(copied):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    folder, _, cache = copied("instructpix2pix-parquet")
    path = min(folder.rglob("*.parquet"))
    columns = parquet.read_table(path).to_pydict()
    cell = columns["edited_image"][4]
    columns["edited_image"][4] = {**cell, "bytes": cell["bytes"][:200]}
    columns["edit_prompt"][5] = None
    parquet.write_table(pyarrow.table(columns), path, row_group_size=3)
    reader = open_reader("instructpix2pix", folder, cache=cache)
    assert len(list(reader.records())) == len(reader) - 2
    assert [(p.file, p.record) for p in reader.problems] == [
        (f"data/{path.name}", f"{path.name}, row group 1, row {row}") for row in (1, 2)
    ]
    assert "cut off" in reader.problems[0].reason and "no instruction" in reader.problems[1].reason


def test_a_shard_that_is_missing(copied):
    folder, _, cache = copied("instructpix2pix-zip")
    (folder / "shard-01.zip").unlink()
    reader = open_reader("instructpix2pix", folder, cache=cache)
    assert len(reader) == 18 and len(reader.problems) == 18


def test_words_that_are_missing(copied):
    folder, _, cache = copied("instructpix2pix")
    (folder / "0000000" / "prompt.json").write_text('{"input": "a", "output": "b"}')
    reader = open_reader("instructpix2pix", folder, cache=cache)
    with pytest.raises(BrokenRecord, match="no instruction"):
        reader.record(0)
    (folder / "0000000" / "prompt.json").write_text('{"input": "a", "ed')
    with pytest.raises(BrokenRecord, match="prompt.json.*cut off"):
        reader.record(0)


def test_names_that_leave_the_root_of_lists(copied):
    folder, _, cache = copied("instructpix2pix")
    change(folder / "seeds.json", lambda seeds: seeds.__setitem__(0, ["../outside", ["1"]]))
    reader = open_reader("instructpix2pix", folder, cache=cache)
    assert len(reader) == 34 and "leaves the dataset" in reader.problems[0].reason


@pytest.mark.parametrize(
    "line", ["nope", "{}", '{"source": "../x.png", "target": "y.png", "instruction": "a"}', "7"]
)
def test_lines_of_our_list(line, copied):
    folder, _, cache = copied("ieiw")
    path = folder / "records.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([line, *lines[1:]]) + "\n")
    reader = open_reader("ieiw", folder, cache=cache)
    assert len(reader) == 17 and len(reader.problems) == 1 and reader.problems[0].record == "line 1"


def test_a_benchmark_with_other_fields(copied):
    folder, _, cache = copied("editing")
    change(folder / "benchmark.json", lambda d: d[0].update(soruce="x"))
    change(folder / "benchmark.json", lambda d: d[1].pop("kind"))
    reader = open_reader("editing", folder, "test", cache=cache)
    assert len(reader) == 1 and "soruce" in reader.problems[0].reason and "kind" in reader.problems[1].reason


def test_targets_of_another_shape(copied):
    folder, _, cache = copied("gier")
    reader = open_reader("gier", folder, cache=cache)
    assert reader.record(1).meta["resized"]  # a pixel wider
    Image.new("RGB", (300, 120)).save(folder / "images" / "0_out.jpg")
    with pytest.raises(BrokenRecord, match="0_out.jpg.*request 0"):
        reader.record(0)


def test_a_flag_that_ai_challenger_does_not_have(copied):
    folder, _, cache = copied("aic")
    path = next(folder.rglob("keypoint_train_annotations_*.json"))
    change(path, lambda d: d[0]["keypoint_annotations"]["human1"].__setitem__(2, 0))
    reader = open_reader("aic", folder, cache=cache)
    assert len(reader) == 3 and "expected 1, 2 or 3" in reader.problems[0].reason
    assert "human1" in reader.problems[0].record


def test_sixteen_broken_records_in_a_row_stop_training(copied):
    folder, _, cache = copied("ieiw")
    reader = open_reader("ieiw", folder, cache=cache)
    for path in (folder / "pictures").iterdir():
        path.write_bytes(b"")
    with pytest.raises(BrokenRecord, match="empty"):
        reader.sample(0)


def test_what_is_broken_counts_once_a_record_also_where_ids_repeat(copied):
    folder, _, cache = copied("coco")

    def alike(data):
        for annotation in data["annotations"]:
            annotation["id"] = 7

    change(folder / "annotations" / "person_keypoints_train2017.json", alike)
    for path in (folder / "train2017").iterdir():
        path.write_bytes(path.read_bytes()[:60])
    reader = open_reader("coco", folder, cache=cache)
    assert len(reader) == 4 and list(reader.records()) == [] and len(reader.problems) == 4
    assert len(check_part(reader).broken) == 4  # read once more, and counted once


def test_ids_to_keep_that_are_no_text_are_named(copied):
    folder, _, cache = copied("ieiw")
    (folder / "kept.txt").write_bytes(b"\xff\xfe\xff")
    reader = open_reader("ieiw", folder, cache=cache)
    (problem,) = reader.problems
    assert len(reader) == 0 and problem.file == "kept.txt" and "not a text" in problem.reason
    with pytest.raises(BrokenRecord, match=r"kept\.txt"):
        open_reader("ieiw", folder, cache=cache, on_broken="raise", remake=True)


def test_crowds_without_boxes_are_counted(made, tmp_path):
    folder, _ = made("coco")
    reader = open_reader("coco", folder, "train", task="detect", cache=tmp_path)
    path = folder / "annotations" / "instances_train2017.json"
    crowds = sum(a["iscrowd"] for a in json.loads(path.read_text())["annotations"])
    assert crowds and reader.left_out["crowds, of which there are no boxes"] == crowds
