"""Datasets from the shell: checks with an exit status, and made-up copies."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from instructdiffusion.cli import main
from instructdiffusion.datasets.fixtures import FIXTURES


@pytest.fixture
def folder(tmp_path, capsys):
    assert main(["data", "fixtures", str(tmp_path / "made"), "--dataset", "refcoco"]) == 0
    capsys.readouterr()
    return tmp_path / "made" / "refcoco"


def check(folder, tmp_path, *more):
    return main(
        ["data", "check", str(folder), "-o", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"), *more]
    )


def test_a_whole_dataset(folder, tmp_path, capsys):
    assert check(folder, tmp_path, "--dataset", "refcoco") == 0
    said = capsys.readouterr().out
    assert said.count("4 records, 4 read, none broken") == 4 and "testB" in said
    report = json.loads((tmp_path / "out" / "refcoco.json").read_text())
    assert [part["split"] for part in report["parts"]] == ["train", "val", "testA", "testB"]
    assert all(part["records"] == part["checked"] == 4 and not part["broken"] for part in report["parts"])
    with Image.open(tmp_path / "out" / "refcoco.png") as sheet:
        assert sheet.width > 600 and sheet.height > 16 * 100 and np.asarray(sheet).std() > 10


def test_the_layout_is_recognised(folder, tmp_path, capsys):
    assert check(folder, tmp_path) == 0
    assert "refcoco in" in capsys.readouterr().out
    assert [p.name for p in sorted((tmp_path / "out").iterdir())] == ["refcoco.json", "refcoco.png"]


def test_what_is_broken_is_listed_and_the_status_says_so(folder, tmp_path, capsys):
    pictures = sorted((folder / "images").rglob("*.jpg"))
    pictures[0].unlink()
    pictures[1].write_bytes(pictures[1].read_bytes()[:300])
    assert check(folder, tmp_path, "--dataset", "refcoco") == 1
    said = capsys.readouterr().out
    assert f"{pictures[0].name} is missing" in said and f"{pictures[1].name}, ref" in said
    report = json.loads((tmp_path / "out" / "refcoco.json").read_text())
    train, val = report["parts"][:2]
    assert train["records"] == 0 and len(train["broken"]) == 2  # two expressions of two sentences
    assert val["records"] == 4 and val["checked"] == 0 and len(val["broken"]) == 4
    assert val["broken"][0]["file"].endswith(pictures[1].name) and val["broken"][0]["record"]
    assert (tmp_path / "out" / "refcoco.png").is_file()
    # A second look finds the same: the index does not hide it.
    assert check(folder, tmp_path, "--dataset", "refcoco") == 1


def test_a_split_that_is_there_by_half_is_broken(tmp_path, capsys):
    """It was passed over: annotations of train without their pictures, beside a whole val."""
    assert main(["data", "fixtures", str(tmp_path / "made"), "--dataset", "coco"]) == 0
    folder = tmp_path / "made" / "coco"
    shutil.rmtree(folder / "train2017")
    capsys.readouterr()
    assert check(folder, tmp_path) == 1
    said = capsys.readouterr().out
    assert (
        "annotations/person_keypoints_train2017.json, the whole split" in said
        and "4 read, none broken" in said
    )
    report = json.loads((tmp_path / "out" / "coco.json").read_text())
    broken = [part for part in report["parts"] if part["broken"]]
    assert {(part["split"], part["task"]) for part in broken} == {
        ("train", "keypoints"), ("train", "segment"), ("train", "detect")
    }  # fmt: skip
    assert check(folder, tmp_path, "--split", "val") == 0
    assert check(folder, tmp_path, "--dataset", "coco", "--split", "train", "--task", "detect") == 1
    shutil.rmtree(folder / "val2017")  # nothing is whole any more
    assert check(folder, tmp_path) == 1


def test_words_that_no_task_takes_are_broken(folder, tmp_path):
    from dataclasses import replace

    from instructdiffusion.datasets.readers.check import check_part
    from instructdiffusion.datasets.readers.refcoco import RefCoco

    class Wordless(RefCoco):
        def read(self, row, rng):
            record = super().read(row, rng)
            return replace(record, subjects=(" .",)) if row["id"] == "ref 0, sentence 0" else record

    report = check_part(Wordless(folder, cache=tmp_path / "cache"))
    assert (report.records, report.checked) == (4, 3)
    assert [p.record for p in report.broken] == ["ref 0, sentence 0"] and "empty" in report.broken[0].reason


def test_a_part_and_a_limit(folder, tmp_path, capsys):
    assert (
        check(folder, tmp_path, "--dataset", "refcoco", "--split", "val", "--limit", "2", "--samples", "1")
        == 0
    )
    said = capsys.readouterr().out
    assert "4 records, 2 read" in said and "train" not in said


def test_every_layout_is_written_and_passes(tmp_path, capsys):
    assert main(["data", "fixtures", str(tmp_path / "made")]) == 0
    written = {p.name for p in (tmp_path / "made").iterdir()}
    assert {name for name in FIXTURES if not name.endswith("-parquet")} <= written
    for name in ("sidd", "ade20k-847", "editing", "mpii"):
        assert check(tmp_path / "made" / name, tmp_path, "--dataset", name) == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--dataset", "sing"], 2, "unknown dataset 'sing'"),
        (["--dataset", "coco"], 1, "cocodataset.org"),
        (["--dataset", "refcoco", "--split", "testZ"], 2, "splits"),
        (["--dataset", "refcoco", "--limit", "0"], 2, "at least 1"),
    ],
)
def test_bad_arguments(arguments, status, message, folder, tmp_path, capsys):
    assert check(folder, tmp_path, *arguments) == status
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_folders_that_are_no_dataset(tmp_path, capsys):
    assert check(tmp_path, tmp_path) == 1
    assert "not laid out as any of" in capsys.readouterr().err
    assert check(tmp_path / "nowhere", tmp_path) == 1
    assert "there is no folder" in capsys.readouterr().err


def test_nothing_is_overwritten(folder, capsys):
    assert main(["data", "fixtures", str(folder.parent), "--dataset", "refcoco"]) == 1
    assert "not an empty folder" in capsys.readouterr().err
    assert main(["data", "fixtures", str(folder.parent), "--dataset", "sing"]) == 2
    assert "unknown dataset" in capsys.readouterr().err
