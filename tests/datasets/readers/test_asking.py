"""What evaluation asks of readers: any class, any joints, whole pictures, words drawn again."""

from __future__ import annotations

import random

import numpy as np
import pytest

from instructdiffusion.datasets.readers import RecordReader, open_reader
from instructdiffusion.datasets.readers.joints import COCO
from instructdiffusion.datasets.readers.labelmaps import spoken_class
from instructdiffusion.datasets.readers.topdown import cut, square_window


def test_readers_are_what_training_takes(made, tmp_path):
    folder, _ = made("voc")
    assert isinstance(open_reader("voc", folder, cache=tmp_path), RecordReader)


def test_any_class_is_asked_for_by_name(made, tmp_path):
    folder, _ = made("voc")
    reader = open_reader("voc", folder, "val", cache=tmp_path)
    assert reader.present(0) == ("aeroplane", "person") and len(reader.classes) == 20
    person, sofa = reader.ask(0, "person"), reader.ask(0, "sofa")
    assert person.subjects == ("the person",) and len(person.target) == 1 and not person.tags
    assert sofa.subjects == ("the sofa",) and len(sofa.target) == 0 and sofa.tags == {"absent"}
    assert person.meta["void"][:2].all() and not (person.meta["void"] & person.target.union()).any()
    with pytest.raises(ValueError, match="no class"):
        reader.ask(0, "unicorn")
    assert {reader.record(0, random.Random(s)).meta["class"] for s in range(20)} == {"aeroplane", "person"}


def test_a_share_of_the_training_questions_is_for_what_is_not_there(made, tmp_path):
    folder, _ = made("coco-stuff")
    train, val = (open_reader("coco-stuff", folder, split, cache=tmp_path) for split in ("train", "val"))
    absent = [not len(train.record(0, random.Random(s)).target) for s in range(300)]
    assert 0.12 < np.mean(absent) < 0.28
    assert all(len(val.record(0, random.Random(s)).target) for s in range(30))
    assert set(val.present(0)) == {"person", "wall-brick", "building-other"}
    assert val.ask(0, "wall-brick").subjects == ("the brick wall",)


def test_things_that_were_never_annotated_are_not_asked_for(made, tmp_path):
    """labels.txt lists "street sign" and ten more; no label map has them, also where the picture does."""
    folder, _ = made("coco-stuff")
    listed = (folder / "labels.txt").read_text().splitlines()
    reader = open_reader("coco-stuff", folder, cache=tmp_path)
    assert len(listed) == 183 and len(reader.classes) == 171 and "street sign" not in reader.classes
    asked = {reader.record(0, random.Random(s)).meta["class"] for s in range(300)}
    assert asked <= set(reader.classes) and len(asked) > 10


@pytest.mark.parametrize(
    ("name", "spoken"),
    [
        ("building, edifice", "building"),
        ("wall-brick", "brick wall"),
        ("building-other", "building"),
        ("sky-other", "other sky"),
        ("window-blind", "window blind"),
        ("mirror-stuff", "mirror"),
        ("potted plant", "potted plant"),
        ("Playing_field", "playing field"),
        ("crt screen; monitor", "crt screen"),
    ],
)
def test_classes_as_they_are_said(name, spoken):
    assert spoken_class(name, ("sky", "window")) == spoken


def test_any_joints_are_asked_for_by_name(made, tmp_path):
    folder, _ = made("coco")
    reader = open_reader("coco", folder, cache=tmp_path)
    record = reader.ask(1, ["nose", "left eye", "left ear"])
    assert record.subjects == ("the nose", "the left eye", "the left ear")
    assert record.target.visible.tolist() == [[True, True, False]]  # that ear is not labelled
    assert "hidden" in record.tags
    window, joints = record.meta["window"], record.meta["joints"]
    np.testing.assert_allclose(record.target.xy[0, 0] + window[:2], joints[0, :2], atol=1e-3)
    assert joints.shape == (17, 3) and joints[3].tolist() == [0, 0, 0] and joints[-2, 2] == 1
    assert record.meta["area"] == 136 * 200 and record.meta["image_id"] == 1
    with pytest.raises(ValueError, match="has the joints"):
        reader.ask(0, ["tail"])
    with pytest.raises(ValueError, match="has the joints"):
        reader.ask(0, [])


def test_joints_are_drawn_by_the_generator(made, tmp_path):
    folder, _ = made("coco")
    reader = open_reader("coco", folder, cache=tmp_path)
    asked = [reader.record(1, random.Random(seed)) for seed in range(120)]
    assert {len(r.subjects) for r in asked} == {1, 2, 3, 4, 5}
    assert {s for r in asked for s in r.subjects} == {f"the {name}" for name in COCO}
    assert asked[3].subjects == reader.record(1, random.Random(3)).subjects
    assert any("absent" in r.tags or "hidden" in r.tags for r in asked)


def test_the_whole_picture_without_a_margin(made, tmp_path):
    folder, _ = made("coco")
    reader = open_reader("coco", folder, cache=tmp_path)
    crop = reader.ask(0, ["nose"])
    reader.margin = None
    whole = reader.ask(0, ["nose"])
    assert whole.image.shape == (220, 320, 3) and crop.image.shape == (250, 250, 3)
    np.testing.assert_allclose(whole.target.xy - crop.meta["window"][:2], crop.target.xy, atol=1e-3)


def test_windows_are_square_and_black_outside():
    assert square_window([10, 20, 50, 100], 1.25) == (-20, 10, 80, 110)
    picture = np.full((30, 40, 3), 7, np.uint8)
    out = cut(picture, (-5, -5, 15, 15))
    assert (
        out.shape == (20, 20, 3) and not out[:5].any() and not out[:, :5].any() and (out[5:, 5:] == 7).all()
    )
    assert not cut(picture, (100, 100, 120, 120)).any()


def test_a_place_where_pictures_lie_apart(made, tmp_path):
    import shutil

    folder, _ = made("refcoco")
    shutil.copytree(folder / "refcoco", tmp_path / "words" / "refcoco")
    shutil.copytree(folder / "images", tmp_path / "elsewhere" / "images")
    reader = open_reader(
        "refcoco", tmp_path / "words", images=tmp_path / "elsewhere", cache=tmp_path / "cache"
    )
    assert len(list(reader.records())) == 4 and not reader.problems
    # The folder of the expressions itself, with pictures beside it.
    direct = open_reader("refcoco", folder / "refcoco", cache=tmp_path / "cache")
    assert len(list(direct.records())) == 4


def test_families_with_the_same_file_names_are_told_apart(made):
    from instructdiffusion.datasets.readers import READERS

    folder, _ = made("refcoco+")
    assert READERS["refcoco+"].parts(folder / "refcoco+") and not READERS["refcoco"].parts(
        folder / "refcoco+"
    )


def test_targets_of_phrases(made, tmp_path):
    folder, _ = made("grefcoco")
    reader = open_reader("grefcoco", folder, cache=tmp_path)
    records = {r.subjects[0]: r for _, r in reader.records()}
    assert records["left thing"].meta["targets"] == 1 and records["both outer things"].meta["targets"] == 2
    nothing = records["the zebra"]
    assert len(nothing.target) == 0 and nothing.tags == {"absent"}


def test_words_of_edits(made, tmp_path):
    folder, _ = made("gqa-inpaint")
    train = open_reader("gqa-inpaint", folder, cache=tmp_path)
    words = {train.record(0, random.Random(s)).subjects[0] for s in range(20)}
    assert words == {"remove the yellow ball", "remove the yellow ball at the right of the cup"}
    test = open_reader("gqa-inpaint", folder, "test", cache=tmp_path)
    assert test.record(0).subjects == ("remove the yellow ball at the right",)
    folder, _ = made("gier")
    gier = open_reader("gier", folder, cache=tmp_path)
    said = {gier.record(0, random.Random(s)).subjects[0] for s in range(20)}
    assert said == {"Remove the thing on the right", "take out the last thing"}


def test_captions_of_edits(made, tmp_path):
    folder, _ = made("instructpix2pix")
    record = open_reader("instructpix2pix", folder, cache=tmp_path).record(0)
    assert (
        record.caption == "three things, scene 0" and record.meta["target_caption"] == "two things, scene 0"
    )
    folder, _ = made("editing")
    question = open_reader("editing", folder, "test", cache=tmp_path).record(1)
    assert question.meta["kind"] == "add" and question.meta["target_caption"] and "no-target" in question.tags


def test_zip_folders_and_parquet_say_the_same(made, tmp_path):
    pytest.importorskip("pyarrow")
    readers = [
        open_reader("instructpix2pix", made(name)[0], cache=tmp_path)
        for name in ("instructpix2pix", "instructpix2pix-zip")
    ]
    for index in (0, 1, 35):
        one, other = (reader.record(index) for reader in readers)
        assert one.subjects == other.subjects and one.meta["name"] == other.meta["name"]
        np.testing.assert_array_equal(one.target, other.target)
    packed = open_reader("instructpix2pix", made("instructpix2pix-parquet")[0], cache=tmp_path).record(0)
    assert packed.subjects == readers[0].record(0).subjects


def test_a_filtered_list_keeps_only_its_own(copied):
    folder, _, cache = copied("instructpix2pix")
    (folder / "filtered_ids_ip2p.json").write_text('["0000000/9000", "0000003/9103"]')
    reader = open_reader("instructpix2pix", folder, cache=cache)
    assert [row["id"] for row in reader.rows] == ["0000000/9000", "0000003/9103"]
    assert sum(reader.left_out.values()) == 34


def test_splits_do_not_overlap(made, tmp_path):
    for name in ("instructpix2pix-zip", "gier", "ieiw"):
        folder, counts = made(name)
        dataset = name.removesuffix("-zip")
        rows = [open_reader(dataset, folder, split, cache=tmp_path).rows for split, _ in counts]
        names = [row["id"] for part in rows for row in part]
        assert len(names) == len(set(names)) == sum(counts.values())


def test_the_reference_library_reads_the_same_annotations(made, tmp_path):
    reference = pytest.importorskip("pycocotools.coco")
    folder, _ = made("coco")
    coco = reference.COCO(str(folder / "annotations" / "instances_train2017.json"))
    reader = open_reader("coco", folder, task="segment", cache=tmp_path)
    for _, record in reader.records():
        category = coco.getCatIds(catNms=[record.meta["category"]])
        found = coco.loadAnns(coco.getAnnIds(imgIds=[record.meta["image_id"]], catIds=category))
        want = np.any([coco.annToMask(a) for a in found], axis=0)
        got = record.target.union()
        assert len(found) == len(record.target)
        assert (want & got).sum() / (want | got).sum() > 0.95
