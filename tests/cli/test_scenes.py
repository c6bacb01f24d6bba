"""Scenes from the shell."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from instructdiffusion.cli import main


def test_pictures_and_truth_are_written(tmp_path, capsys):
    assert main(["scenes", "--task", "keypoints", "--seed", "7", "--count", "2", "-o", str(tmp_path)]) == 0
    assert f"look in {tmp_path}" in capsys.readouterr().out
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    pictures = [p for p in files if p.suffix == ".png"]
    documents = [p for p in files if p.suffix == ".json"]
    assert pictures and documents
    for path in pictures:
        with Image.open(path) as image:
            image.load()
    data = json.loads(documents[0].read_text())
    assert {"images", "annotations"} <= set(data)


def test_level_and_unseen_pairs_are_asked_for(tmp_path):
    arguments = ["--task", "refer", "--split", "test", "--level", "0", "--unseen", "-o", str(tmp_path)]
    assert main(["scenes", *arguments]) == 0
    data = json.loads((tmp_path / "refer.json").read_text())
    assert data["info"]["level"] == 0 and "unseen-pair" in data["images"][0]["tags"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "sing"], "unknown task"),
        (["--task", "edit", "--count", "0"], "at least 1"),
        (["--task", "edit", "--seed", "-3"], "at least 0"),
        (["--task", "edit", "--size", "31"], "at least 32"),
        (["--task", "edit", "--unseen"], "unseen pairs are for"),
        (["--task", "edit", "--extent", "0.5"], "--extent is from .05 to .95"),
        (["--task", "segment", "--ratio", "wide"], "ratio of width to height"),
    ],
)
def test_bad_arguments(arguments, message, tmp_path, capsys):
    assert main(["scenes", *arguments, "-o", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_scenes_of_another_shape_and_things_of_a_given_size(tmp_path):
    arguments = ["--task", "detect", "--ratio", "16:9", "--size", "90", "--extent", "0.5", "-o", str(tmp_path)]
    assert main(["scenes", *arguments]) == 0
    with Image.open(tmp_path / "detect_0.png") as picture:
        assert picture.size == (160, 90)
    (entry,) = json.loads((tmp_path / "detect.json").read_text())["annotations"]
    assert max(entry["bbox"][2:]) == pytest.approx(45, abs=2)
